"""What every matching method takes and gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from lmc.permutation import Permutation, apply_permutation
from lmc.stacking import State
from lmc.symmetry import PermutationSpec, Traced

Report = Callable[[float, str], None]
"""Called by slow methods with the share done (0 to 1) and what is being done; it may raise to stop them."""


def quiet(share: float, text: str) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class Step:
    """Where a search stands: `seconds` after it began, at this `value` of what it improves.

    `group` is the group whose reordering led there, if it was one.
    """

    seconds: float
    value: float
    group: str | None = None


Watch = Callable[[Step], None]
"""Called by searches with every step."""


def unseen(step: Step) -> None:
    """A watch that nobody keeps."""


class Course:
    """The steps of a search that begins now."""

    def __init__(self, watch: Watch = unseen) -> None:
        self.steps: list[Step] = []
        self._watch, self._began = watch, time.perf_counter()

    @property
    def last(self) -> float:
        """Where the search stands; there must be a step."""
        return self.steps[-1].value

    def add(self, value: float, group: str | None = None) -> None:
        """A step, taken now."""
        self.steps.append(Step(time.perf_counter() - self._began, value, group))
        self._watch(self.steps[-1])


@dataclass
class Task:
    """Two networks to align: find a permutation of B that brings it close to A.

    `a` and `b` are state dicts of the traced model on one device; `inputs` are the training images that methods may
    look at, `[N, ...]`, and `labels` `[N]` their classes, which methods that descend a loss need.
    """

    traced: Traced
    a: State
    b: State
    inputs: Tensor
    labels: Tensor | None = None

    @property
    def spec(self) -> PermutationSpec:
        return self.traced.spec

    @cached_property
    def correlation(self) -> dict[str, Tensor]:
        """Pearson correlation of post-activation values, group → `[units of A, units of B]`, float64."""
        from lmc.matching.activation import unit_similarity

        return unit_similarity(self, "pearson")

    def objective(self, permutation: Permutation) -> float:
        """⟨θ_A, π(θ_B)⟩ over all parameters that the permutation can move, summed in float64."""
        moved = apply_permutation(self.spec, permutation, self.b)
        return sum(float(torch.sum(self.a[n].double() * moved[n].double())) for n in moving(self.spec))


@dataclass(frozen=True)
class Match:
    """A permutation of B, its objective ⟨θ_A, π(θ_B)⟩, and the steps of the search that led to it, the start first.

    The value of a step is the objective; of methods that descend a loss it is the lowest found so far on the held-back
    images. Steps tell times, so they are not compared.
    """

    permutation: Permutation
    objective: float
    steps: list[Step] = field(default_factory=list, compare=False)

    @property
    def history(self) -> list[float]:
        """The values of the steps."""
        return [step.value for step in self.steps]


def moving(spec: PermutationSpec) -> list[str]:
    """The parameters along which some group moves."""
    return [name for name in spec.parameters if any(any(piece.groups) for piece in spec.pieces(name))]
