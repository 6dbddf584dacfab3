"""What every matching method takes and gives."""

from __future__ import annotations

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
    """A permutation of B, its objective ⟨θ_A, π(θ_B)⟩, and the objective after every step that led to it.

    Of methods that descend a loss, `losses` is the lowest found so far on the held-back images, at the start and after
    every step.
    """

    permutation: Permutation
    objective: float
    history: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def moving(spec: PermutationSpec) -> list[str]:
    """The parameters along which some group moves."""
    return [name for name in spec.parameters if any(any(piece.groups) for piece in spec.pieces(name))]
