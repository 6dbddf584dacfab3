"""What interpolation does to the scale of hidden units, and two ways to mend it: BatchNorm reset and REPAIR.

Between two networks hidden units vary less than in either of them, because what they compute does not add up
(variance collapse; Jordan et al. 2022), and interpolated running statistics do not know it.

Both ways run a private copy of the module's structure: the template, its train flag, its buffers and the global
random state are left alone.
"""

from lmc.normalization.rescaling import Repair, repair
from lmc.normalization.statistics import BATCH, has_statistics, reset

__all__ = ["BATCH", "Repair", "has_statistics", "repair", "reset"]
