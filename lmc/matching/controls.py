"""What the methods are compared with: the units as they come, and a random order."""

from __future__ import annotations

from lmc.matching.base import Match, Task
from lmc.permutation import identity, random_permutation
from lmc.seeds import generator


def no_matching(task: Task) -> Match:
    """The identity: B as it is."""
    permutation = identity(task.spec)
    return Match(permutation, task.objective(permutation))


def random_matching(task: Task, *, seed: int = 0) -> Match:
    """A seeded random permutation: by symmetry no better than none."""
    permutation = random_permutation(task.spec, generator("random_permutation", seed))
    return Match(permutation, task.objective(permutation))
