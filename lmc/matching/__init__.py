"""Methods that find a permutation of B: one file each, one shared interface (`Task` in, `Match` out)."""

from __future__ import annotations

from lmc.matching.activation import activation_matching, unit_similarity
from lmc.matching.base import Match, Task
from lmc.matching.controls import no_matching, random_matching
from lmc.matching.weight import weight_matching

__all__ = [
    "Match",
    "Task",
    "activation_matching",
    "no_matching",
    "random_matching",
    "unit_similarity",
    "weight_matching",
]
