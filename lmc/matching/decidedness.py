"""How far the weights decide a permutation: the entropy of soft permutations (after Kwok's perm_stability)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lmc.matching.base import Report, Task, quiet
from lmc.matching.sinkhorn import balanced
from lmc.permutation import Permutation, apply_permutation
from lmc.stacking import State
from lmc.symmetry import PermutationSpec

TOLERANCE = 1e-6  # of the sums of rows, which should be 1
ITERATIONS = 1_000


def entropies(task: Task, permutation: Permutation, report: Report = quiet) -> dict[str, float]:
    """How open the order of every group is, all other groups held: 1 if every partner is as good, 0 if decided.

    A unit is the m numbers that move with it, of A and of B under `permutation`. Scores are cosines of units of A and
    units of B, times √m, that is in standard deviations of what unrelated units have; a unit of zeros has 0 with all.
    Sinkhorn iterations make a doubly stochastic matrix of their exponentials, in float64, until the sums are 1 within
    1e-6 or a thousand are done. The mean entropy of its rows is given as a share of log n, the highest for n units.
    One unit alone is decided.

    Units in blocks (heads) are left out, as each of their blocks has an order of its own. Blocks are measured by the
    numbers that move with blocks alone, and left out where there are none.
    """
    moved = apply_permutation(task.spec, permutation, task.b)
    found = {}
    for place, group in enumerate(task.spec.groups):
        tell = partial(report, place / len(task.spec.groups), f"how decided {group} is")
        of_a, of_b = (_units(task.spec, group, state) for state in (task.a, moved))
        if of_a and group not in task.spec.blocks:
            found[group] = _entropy(in_balance(_scores(torch.cat(of_a, 1), torch.cat(of_b, 1)), tell))
    return found


def in_balance(scores: Tensor, tell: Callable[[], None] = lambda: None) -> Tensor:
    """The matrix of rows and columns that sum to 1 which Sinkhorn iterations make of exp(`scores`) `[units, units]`.

    `tell` is called before every iteration.
    """
    logs = scores
    for _ in range(ITERATIONS):
        tell()
        logs = balanced(logs)
        if bool((logs.exp().sum(1) - 1).abs().max() <= TOLERANCE):
            break
    return logs.exp()


def _units(spec: PermutationSpec, group: str, state: State) -> list[Tensor]:
    """What moves with every unit, `[units, numbers]` of every axis that moves, float64."""
    return [
        piece.take(state[name]).double().movedim(axis, 0).reshape(spec.groups[group], -1)
        for name in spec.parameters
        for piece in spec.pieces(name)
        for axis, moves in enumerate(piece.groups)
        if moves == group
    ]


def _scores(a: Tensor, b: Tensor) -> Tensor:
    return math.sqrt(a.shape[1]) * _directions(a) @ _directions(b).T


def _directions(units: Tensor) -> Tensor:
    """Units at length 1, or 0 as they are."""
    lengths = units.norm(dim=1, keepdim=True)
    return units / torch.where(lengths > 0, lengths, 1.0)


def _entropy(matrix: Tensor) -> float:
    """The mean entropy of the rows `[units, units]` as a share of the highest."""
    highest = math.log(len(matrix))
    return float(torch.special.entr(matrix).sum(1).mean()) / highest if highest else 0.0
