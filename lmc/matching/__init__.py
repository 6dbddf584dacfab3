"""Methods that find permutations, one file each, with one shared interface: `Task` in, `Match` out.

For many networks at once it is `ManyTask` in, `ManyMatch` out.
"""

from __future__ import annotations

from lmc.matching.activation import activation_matching, unit_similarity
from lmc.matching.annealing import simulated_annealing
from lmc.matching.base import Match, Step, Task, unseen
from lmc.matching.brute_force import brute_force, every_permutation
from lmc.matching.controls import no_matching, random_matching
from lmc.matching.cycle_consistent import cycle_consistent
from lmc.matching.decidedness import entropies
from lmc.matching.many import ManyMatch, ManyTask, match_to_first
from lmc.matching.merge_many import merge_many
from lmc.matching.sinkhorn import sinkhorn
from lmc.matching.straight_through import straight_through
from lmc.matching.straight_through_many import straight_through_many
from lmc.matching.weight import weight_matching
from lmc.matching.widening import widened

__all__ = [
    "ManyMatch",
    "ManyTask",
    "Match",
    "Step",
    "Task",
    "activation_matching",
    "brute_force",
    "cycle_consistent",
    "entropies",
    "every_permutation",
    "match_to_first",
    "merge_many",
    "no_matching",
    "random_matching",
    "simulated_annealing",
    "sinkhorn",
    "straight_through",
    "straight_through_many",
    "unit_similarity",
    "unseen",
    "weight_matching",
    "widened",
]
