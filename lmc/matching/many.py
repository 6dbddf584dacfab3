"""Three networks and more: what methods that match them all take and give, and matching each to the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmc.matching.ascent import moving_pieces
from lmc.matching.base import Match, Task
from lmc.permutation import Permutation, apply_permutation, compose, identity, invert
from lmc.stacking import State
from lmc.symmetry import PermutationSpec, Traced


@dataclass
class ManyTask:
    """Networks to align with each other: find a permutation for each that brings all of them close together.

    `states` are state dicts of the traced model on one device, at least two; `inputs` are the training images that
    methods may look at, `[N, ...]`, and `labels` `[N]` their classes, which methods that descend a loss need.

    Raises:
        ValueError: there are fewer than two networks.
    """

    traced: Traced
    states: Sequence[State]
    inputs: Tensor
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.states) < 2:
            raise ValueError(f"there is nothing to match in {len(self.states)} network; give two or more.")

    @property
    def spec(self) -> PermutationSpec:
        return self.traced.spec

    def pair(self, i: int, j: int) -> Task:
        """The task of aligning network `j` to network `i`."""
        return Task(self.traced, self.states[i], self.states[j], self.inputs, self.labels)

    def permuted(self, permutations: Sequence[Permutation]) -> list[State]:
        """Every network in the order that its permutation gives it."""
        return [apply_permutation(self.spec, p, s) for p, s in zip(permutations, self.states, strict=True)]

    def objective(self, permutations: Sequence[Permutation]) -> float:
        """Σ over pairs i < j of ⟨π_i(θ_i), π_j(θ_j)⟩ over all parameters that can move, summed in float64."""
        states, total = self.permuted(permutations), 0.0
        for name in dict.fromkeys(name for name, _ in moving_pieces(self.spec)):
            before = states[0][name].double()
            for state in states[1:]:
                tensor = state[name].double()
                total += float(torch.sum(before * tensor))
                before = before + tensor
        return total


@dataclass(frozen=True)
class ManyMatch:
    """A permutation for every network, the first the identity.

    `objective` is Σ over pairs i < j of ⟨π_i(θ_i), π_j(θ_j)⟩, `history` its value after every step that led to it; of
    methods that descend a loss, the lowest so far on the held-back images, at the start and after every step.
    """

    permutations: list[Permutation]
    objective: float
    history: list[float] = field(default_factory=list)


def match_to_first(task: ManyTask, method: Callable[[Task], Match]) -> ManyMatch:
    """Each network matched to network 0 by a method for two; the others never see each other."""
    others = [method(task.pair(0, j)).permutation for j in range(1, len(task.states))]
    return matched(task, [identity(task.spec), *others], [])


def matched(task: ManyTask, permutations: Sequence[Permutation], history: list[float]) -> ManyMatch:
    """The match that leaves network 0 as it is: a common permutation of all networks changes no inner product."""
    home = invert(permutations[0])
    relative = [compose(home, permutation) for permutation in permutations]
    return ManyMatch(relative, task.objective(relative), history)
