"""Weight matching (Git Re-Basin, Ainsworth et al. 2022, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lmc.matching.assignment import assign_together
from lmc.matching.base import Match, Task
from lmc.permutation import Permutation, identity, random_permutation
from lmc.seeds import generator
from lmc.symmetry import PermutationSpec, Piece

MAX_SWEEPS = 200


def weight_matching(task: Task, *, seed: int = 0, restarts: int = 1) -> Match:
    """Maximise ⟨θ_A, π(θ_B)⟩ by coordinate ascent: one group at a time is an assignment problem.

    Blocks and the groups in them (heads, with their query/key and value units) are one problem. Groups are visited in
    a seeded random order; one whose neighbours have not moved since it was solved is left alone, as solving it again
    could not change it. Ends when no group can gain more than rounding. The first start is the identity, further
    `restarts` are seeded random permutations; the best objective wins.
    """
    matches = []
    for start in range(restarts):
        draws = generator("weight_matching", seed, start)
        first = identity(task.spec) if start == 0 else random_permutation(task.spec, draws)
        matches.append(ascend(task, first, draws))
    return max(matches, key=lambda match: match.objective)


@dataclass
class _View:
    """A piece of a tensor whose every axis is one group or none: A as it is, B as permuted so far."""

    groups: tuple[str | None, ...]
    a: Tensor
    b: Tensor

    def reorder(self, group: str, order: Tensor) -> None:
        for axis, name in enumerate(self.groups):
            if name == group:
                self.b = self.b.index_select(axis, order)

    def inner(self) -> float:
        return float(torch.sum(self.a.double() * self.b.double()))


def ascend(task: Task, start: Permutation, draws: torch.Generator) -> Match:
    """Coordinate ascent from `start`, groups in the order that `draws` gives: one start of `weight_matching`."""
    device = task.inputs.device
    permutation = {group: order.to(device) for group, order in start.items()}
    views = _views(task)
    for view in views:
        for group in dict.fromkeys(g for g in view.groups if g):
            view.reorder(group, permutation[group])
    problems = [_Problem(groups, [v for v in views if set(groups) & set(v.groups)]) for groups in task.spec.together()]
    scale = sum(float(v.a.double().norm() * v.b.double().norm()) for v in views)
    tolerance = 8 * torch.finfo(task.a[task.spec.parameters[0]].dtype).eps * scale
    history = [sum(view.inner() for view in views)]
    unsolved = set(range(len(problems)))
    for _ in range(MAX_SWEEPS):
        for place in torch.randperm(len(problems), generator=draws).tolist():
            if place not in unsolved:
                continue
            unsolved.discard(place)
            problem = problems[place]
            gain = _improve(task.spec, problem, permutation, tolerance)
            if gain > 0:
                unsolved |= {k for k, other in enumerate(problems) if problem.changes(other)}
                history.append(history[-1] + gain)
        if not unsolved:
            break
    found = {group: order.cpu() for group, order in permutation.items()}
    return Match(found, task.objective(found), history)


@dataclass
class _Problem:
    """Groups that move together, and the pieces of tensors that they move."""

    groups: tuple[str, ...]
    views: list[_View]

    @property
    def twice(self) -> bool:
        """Whether some tensor moves along two axes: then an assignment sees only the linear part of a gain."""
        return any(sum(name in self.groups for name in view.groups) > 1 for view in self.views)

    def changes(self, other: _Problem) -> bool:
        """Whether the other problem has to be solved again when this one's groups moved."""
        if other is self:
            return self.twice
        return any(set(view.groups) & set(other.groups) for view in self.views)


def _improve(spec: PermutationSpec, problem: _Problem, permutation: Permutation, tolerance: float) -> float:
    """Solve the assignment of a problem, all else held; apply it if it gains. Returns the gain, or 0."""
    scores: dict[str, Tensor] = {}
    for view in problem.views:
        for axis, name in enumerate(view.groups):
            if name in problem.groups:
                gram = _gram(view, axis)
                scores[name] = scores[name] + gram if name in scores else gram
    orders, value = assign_together(spec, problem.groups, scores)
    gain = value - sum(float(table.double().trace()) for table in scores.values())
    if gain <= tolerance:
        return 0.0
    twice = problem.twice
    before = sum(view.inner() for view in problem.views) if twice else 0.0
    _reorder(problem.views, orders)
    if twice:
        gain = sum(view.inner() for view in problem.views) - before
        if gain <= tolerance:
            _reorder(problem.views, {group: torch.argsort(order) for group, order in orders.items()})
            return 0.0
    for group, order in orders.items():
        permutation[group] = permutation[group][order.to(permutation[group].device)]
    return gain


def _reorder(views: list[_View], orders: Permutation) -> None:
    for view in views:
        for group, order in orders.items():
            view.reorder(group, order.to(view.b.device))


def _views(task: Task) -> list[_View]:
    return [
        _View(piece.groups, piece.take(task.a[name]), piece.take(task.b[name]))
        for name, piece in moving_pieces(task.spec)
    ]


def moving_pieces(spec: PermutationSpec) -> list[tuple[str, Piece]]:
    """The pieces of all parameters along which some group moves, each with its parameter's name."""
    return [(name, piece) for name in spec.parameters for piece in spec.pieces(name) if any(piece.groups)]


def _gram(view: _View, axis: int) -> Tensor:
    """Inner products `[units of A, units of B]` of the slices along `axis`."""
    a, b = (tensor.movedim(axis, 0).flatten(1) if tensor.ndim > 1 else tensor[:, None] for tensor in (view.a, view.b))
    return a @ b.T
