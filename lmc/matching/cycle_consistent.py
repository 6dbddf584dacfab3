"""Cycle-consistent matching of many networks by Frank-Wolfe (C2M3, Crisostomi et al. 2024, section 3).

The permutation between two networks is factored through a space common to all, P_ij = P_iᵀ P_j, so that every
composition agrees by construction. All P_i are relaxed to doubly stochastic matrices and improved together.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import torch
from numpy.polynomial import Polynomial
from torch import Tensor

from lmc.matching.ascent import moving_pieces
from lmc.matching.assignment import assign_together
from lmc.matching.many import ManyMatch, ManyTask, matched
from lmc.matching.merge_many import polish
from lmc.permutation import Permutation, identity, random_permutation
from lmc.seeds import generator
from lmc.symmetry import PermutationSpec

Soft = dict[str, Tensor]  # group → `[networks, units in the common space, units]`, doubly stochastic

MAX_STEPS = 200
PATIENCE = 5  # steps in a row that gain less than
SLOW = 1e-3  # of the objective: coordinate ascent does the rest faster


def cycle_consistent(task: ManyTask, *, seed: int = 0, restarts: int = 1) -> ManyMatch:
    """Maximise the summed inner products of all pairs over permutations into a common space.

    Frank-Wolfe on soft permutations ends in permutations, or is rounded to the nearest; coordinate ascent then leads
    to a fixed point. In the first start one network spans the common space and the others know nothing of it (every
    unit is everywhere alike), so that the units' order in the inputs plays no part; `restarts` begin halfway between
    that and seeded random permutations, each with another network to span the space. The best objective wins.
    """
    if not task.spec.groups:
        return matched(task, [identity(task.spec) for _ in task.states], [0.0])
    matches = []
    for start in range(restarts):
        anchor = start % len(task.states)
        soft, _ = relax(task, soft_start(task, anchor, seed, start), anchor)
        matches.append(polish(task, rounded(task.spec, soft), seed, start))
    return max(matches, key=lambda match: match.objective)


def soft_start(task: ManyTask, anchor: int, seed: int, start: int) -> Soft:
    """The identity for the network `anchor`; for the others the barycentre of all permutations, or near it."""
    like = task.states[0][task.spec.parameters[0]]
    draws = generator("cycle_consistent", seed, start)
    drawn = [random_permutation(task.spec, draws) for _ in task.states]
    soft = {}
    for group, units in task.spec.groups.items():
        middle = like.new_full((len(drawn), units, units), 1 / units)
        if start > 0:
            middle = (middle + _matrices(drawn, group, like)) / 2
        middle[anchor] = torch.eye(units)
        soft[group] = middle
    return soft


def relax(task: ManyTask, soft: Soft, anchor: int | None = None) -> tuple[Soft, list[float]]:
    """Frank-Wolfe from `soft`: the soft permutations at its end, and the objective after every step.

    A step goes towards the permutations that the gradient likes best, one assignment for each network and group, as
    far as the objective, a polynomial along the way, is highest. The network `anchor` stays for the first step: where
    all others are spread evenly its gradient is nothing but rounding.
    """
    stacks = _stacks(task, soft)
    scale = sum(float(stack.parts[frozenset()].double().square().sum()) for stack in stacks)
    rounding = 8 * torch.finfo(next(iter(soft.values())).dtype).eps * scale
    history: list[float] = []
    slow = 0
    for step in range(MAX_STEPS):
        goals = _goals(task.spec, stacks)
        if step == 0 and anchor is not None:
            goals[anchor] = identity(task.spec)
        ways = [stack.ways(goals) for stack in stacks]
        line = sum((stack.line(way) for stack, way in zip(stacks, ways, strict=True)), Polynomial([0.0]))
        share = _highest(line)
        history = [*(history or [line(0.0)]), line(share)]
        for stack, way in zip(stacks, ways, strict=True):
            stack.go(way, share)
        soft = {g: torch.lerp(matrix, _matrices(goals, g, matrix), share) for g, matrix in soft.items()}
        gain = history[-1] - history[-2]
        slow = slow + 1 if gain <= SLOW * abs(history[-1]) else 0
        if gain <= rounding or slow == PATIENCE:
            break
    return soft, history


def rounded(spec: PermutationSpec, soft: Soft) -> list[Permutation]:
    """The permutations nearest to soft ones, one for each network."""
    networks = range(len(next(iter(soft.values()))))
    return [_assigned(spec, {group: matrices[i] for group, matrices in soft.items()}) for i in networks]


def _assigned(spec: PermutationSpec, scores: Soft) -> Permutation:
    return {g: order for groups in spec.together() for g, order in assign_together(spec, groups, scores)[0].items()}


def _matrices(permutations: Sequence[Permutation], group: str, like: Tensor) -> Tensor:
    """Permutations as matrices `[networks, units, units]`: row `k` holds a one where unit `k` comes from."""
    orders = torch.stack([permutation[group] for permutation in permutations]).to(like.device)
    return torch.eye(orders.shape[1], dtype=like.dtype, device=like.device)[orders]


class _Stack:
    """All pieces of all networks that the same groups move, side by side: `[networks, units, …, features]`.

    `parts` holds what becomes of them under the soft permutations of a subset of the groups' axes, for every subset:
    what a step and a gradient need are then sums and reorderings of these, not products with soft matrices.
    """

    def __init__(self, groups: tuple[str, ...], tensor: Tensor, soft: Soft) -> None:
        self.groups = groups
        self.all = frozenset(range(len(groups)))
        self.parts: dict[frozenset[int], Tensor] = {frozenset(): tensor}
        for axes in _subsets(self.all)[1:]:
            last = max(axes)
            before = self.parts[axes - {last}].movedim(last + 1, 1)
            after = (soft[groups[last]] @ before.flatten(2)).reshape(before.shape)
            self.parts[axes] = after.movedim(1, last + 1)

    def gradients(self) -> list[tuple[str, Tensor]]:
        """The derivative of the objective by every axis's soft permutations: its group, `[networks, units, units]`."""
        whole = self.parts[self.all]
        rest = whole.sum(0) - whole
        return [
            (group, _rows(rest, axis) @ _rows(self.parts[self.all - {axis}], axis).mT)
            for axis, group in enumerate(self.groups)
        ]

    def ways(self, goals: Sequence[Permutation]) -> dict[frozenset[int], list[Tensor]]:
        """For every subset of axes the coefficients of t^k (1 - t)^(|subset| - k) on the way to the permutations."""
        device = self.parts[self.all].device
        orders = [torch.stack([goal[group] for goal in goals]).to(device) for group in self.groups]
        mixed: dict[tuple[frozenset[int], frozenset[int]], Tensor] = {}  # (all axes, those at the goal already)
        for axes in _subsets(self.all):
            for there in _subsets(axes):
                if there:
                    last = max(there)
                    mixed[axes, there] = _reordered(mixed[axes - {last}, there - {last}], last, orders[last])
                else:
                    mixed[axes, there] = self.parts[axes]
        return {
            axes: [
                _sum([mixed[axes, there] for there in _subsets(axes) if len(there) == k]) for k in range(len(axes) + 1)
            ]
            for axes in _subsets(self.all)[1:]
        }

    def line(self, ways: dict[frozenset[int], list[Tensor]]) -> Polynomial:
        """The objective along the way, Σ over pairs i < j of ⟨Y_i(t), Y_j(t)⟩ = (‖Σ Y_i‖² - Σ ‖Y_i‖²) / 2."""
        terms = torch.stack(ways[self.all]).double().flatten(2)
        together, apart = terms.sum(1), terms.flatten(1)
        products = (together @ together.T - apart @ apart.T).tolist()
        degree = 2 * len(self.groups)
        pairs = itertools.product(range(len(terms)), repeat=2)
        return sum((products[k][m] / 2 * _bernstein(k + m, degree) for k, m in pairs), Polynomial([0.0]))

    def go(self, ways: dict[frozenset[int], list[Tensor]], share: float) -> None:
        """Take the share of the way that lies between here, 0, and the permutations, 1."""
        for axes, terms in ways.items():
            weights = (share**k * (1 - share) ** (len(axes) - k) for k in range(len(terms)))
            self.parts[axes] = _sum([weight * term for weight, term in zip(weights, terms, strict=True)])


def _stacks(task: ManyTask, soft: Soft) -> list[_Stack]:
    found: dict[tuple[str, ...], list[Tensor]] = {}
    for name, piece in moving_pieces(task.spec):
        dims = sorted((group, dim) for dim, group in enumerate(piece.groups) if group)
        rest = [dim for dim, group in enumerate(piece.groups) if not group]
        tensors = [piece.take(state[name]).permute(*(dim for _, dim in dims), *rest) for state in task.states]
        stacked = torch.stack(tensors)
        flat = stacked.reshape(*stacked.shape[: len(dims) + 1], -1)
        found.setdefault(tuple(group for group, _ in dims), []).append(flat)
    return [_Stack(groups, torch.cat(tensors, -1), soft) for groups, tensors in found.items()]


def _rows(tensor: Tensor, axis: int) -> Tensor:
    """Every network's tensor as rows along one of its axes."""
    return tensor.movedim(axis + 1, 1).flatten(2)


def _reordered(tensor: Tensor, axis: int, orders: Tensor) -> Tensor:
    """Every network's tensor with one of its axes in the network's order `[networks, units]`."""
    return torch.stack([one.index_select(axis, order) for one, order in zip(tensor, orders, strict=True)])


def _subsets(axes: frozenset[int]) -> list[frozenset[int]]:
    """All subsets, small ones first."""
    return [frozenset(chosen) for k in range(len(axes) + 1) for chosen in itertools.combinations(sorted(axes), k)]


def _sum(tensors: list[Tensor]) -> Tensor:
    return functools.reduce(torch.add, tensors)


@functools.cache
def _bernstein(k: int, degree: int) -> Polynomial:
    """t^k (1 - t)^(degree - k)."""
    return Polynomial([0.0, 1.0]) ** k * Polynomial([1.0, -1.0]) ** (degree - k)


def _highest(line: Polynomial) -> float:
    """Where between 0 and 1 a polynomial is highest."""
    flat = [root.real for root in map(complex, line.deriv().roots()) if abs(root.imag) < 1e-9 and 0 < root.real < 1]
    return max([0.0, 1.0, *flat], key=line)


def _goals(spec: PermutationSpec, stacks: list[_Stack]) -> list[Permutation]:
    """For every network the permutation that the gradient likes best."""
    slopes: Soft = {}
    for stack in stacks:
        for group, slope in stack.gradients():
            slopes[group] = slopes[group] + slope if group in slopes else slope
    return rounded(spec, slopes)
