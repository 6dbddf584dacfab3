"""What every matching method takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from lmc.permutation import Permutation, apply_permutation
from lmc.stacking import State
from lmc.symmetry import PermutationSpec, Traced


@dataclass
class Task:
    """Two networks to align: find a permutation of B that brings it close to A.

    `a` and `b` are state dicts of the traced model on one device; `inputs` are the training images that methods may
    look at, `[N, ...]`.
    """

    traced: Traced
    a: State
    b: State
    inputs: Tensor

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
        names = [n for n in self.spec.parameters if any(g for piece in self.spec.pieces(n) for g in piece.groups)]
        return sum(float(torch.sum(self.a[n].double() * moved[n].double())) for n in names)


@dataclass(frozen=True)
class Match:
    """A permutation of B, its objective ⟨θ_A, π(θ_B)⟩, and the objective after every step that led to it."""

    permutation: Permutation
    objective: float
    history: list[float] = field(default_factory=list)
