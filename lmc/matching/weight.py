"""Weight matching (Git Re-Basin, Ainsworth et al. 2022, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmc.matching.assignment import assign_together
from lmc.matching.base import Match, Task
from lmc.permutation import Permutation, identity, random_permutation
from lmc.seeds import generator
from lmc.symmetry import PermutationSpec, Piece

MAX_SWEEPS = 200
LARGE = 256  # units from which on similarities are updated; computing fewer anew is as fast


def weight_matching(task: Task, *, seed: int = 0, restarts: int = 1) -> Match:
    """Maximise ⟨θ_A, π(θ_B)⟩ by coordinate ascent: one group at a time is an assignment problem.

    Blocks and the groups in them (heads, with their query/key and value units) are one problem. Groups are visited in
    a seeded random order; one whose neighbours have not moved since it was solved is left alone, as solving it again
    could not change it. Ends when no group can gain more than rounding, all similarities computed anew. The first
    start is the identity, further `restarts` are seeded random permutations; the best objective wins.
    """
    matches = []
    for start in range(restarts):
        draws = generator("weight_matching", seed, start)
        first = identity(task.spec) if start == 0 else random_permutation(task.spec, draws)
        matches.append(ascend(task, first, draws))
    return max(matches, key=lambda match: match.objective)


def ascend(task: Task, start: Permutation, draws: torch.Generator) -> Match:
    """Coordinate ascent from `start`, groups in the order that `draws` gives: one start of `weight_matching`."""
    permutation = {group: order.to(task.inputs.device) for group, order in start.items()}
    views = _views(task, permutation)
    problems = [_Problem(groups, [v for v in views if set(groups) & set(v.groups)]) for groups in task.spec.together()]
    scale = sum(float(v.a.norm()) * float(v.b.norm()) for v in views)
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
            unsolved = {place for place, problem in enumerate(problems) if problem.similarity.forget()}
        if not unsolved:
            break
    found = {group: order.cpu() for group, order in permutation.items()}
    return Match(found, task.objective(found), history)


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


@dataclass
class _Similarity:
    """The inner products `[units of A, units of B]` of one large group, kept from visit to visit.

    When other groups have moved, what their moved units contribute is replaced; `anew` says that nothing was yet.
    """

    table: Tensor | None = None
    orders: Permutation = field(default_factory=dict)
    seen: list[Tensor] = field(default_factory=list)
    anew: bool = True

    def forget(self) -> bool:
        """Have it computed anew next time, if it was not; whether that is so."""
        old, self.anew = not self.anew, True
        if old:
            self.table = None
        return old

    def at(self, group: str, views: Sequence[_View], permutation: Mapping[str, Tensor]) -> Tensor:
        """The table as the views stand."""
        if self.table is None:
            self.table = sum(_grams(views, group), torch.zeros((), dtype=views[0].a.dtype, device=views[0].a.device))
        else:
            for view, before in zip(views, self.seen, strict=True):
                self._update(group, view, before, permutation)
        self.orders = dict(permutation)
        self.seen = [view.b for view in views]
        return self.table

    def _update(self, group: str, view: _View, before: Tensor, permutation: Mapping[str, Tensor]) -> None:
        others = [(axis, g) for axis, g in enumerate(view.groups) if g and g != group]
        moved = {axis: (permutation[g] != self.orders[g]).nonzero()[:, 0] for axis, g in others}
        moved = {axis: places for axis, places in moved.items() if len(places)}
        if not moved:
            return
        a, old, new = view.a, before, view.b
        if len(moved) == 1:
            (axis, places), = moved.items()
            a, old, new = (tensor.index_select(axis, places) for tensor in (a, old, new))
        assert self.table is not None
        self.table += _gram(a, new - old, view.groups.index(group))
        self.anew = False

    def reorder(self, group: str, order: Tensor, views: Sequence[_View], permutation: Mapping[str, Tensor]) -> None:
        """The group itself has moved: so have the table's columns."""
        if self.table is not None:
            self.table = self.table.index_select(1, order)
            self.orders, self.seen = {**self.orders, group: permutation[group]}, [view.b for view in views]


@dataclass
class _Problem:
    """Groups that move together, and the pieces of tensors that they move."""

    groups: tuple[str, ...]
    views: list[_View]
    similarity: _Similarity = field(default_factory=_Similarity)

    @property
    def twice(self) -> bool:
        """Whether some tensor moves along two axes: then an assignment sees only the linear part of a gain."""
        return any(sum(name in self.groups for name in view.groups) > 1 for view in self.views)

    def changes(self, other: _Problem) -> bool:
        """Whether the other problem has to be solved again when this one's groups moved."""
        if other is self:
            return self.twice
        return any(set(view.groups) & set(other.groups) for view in self.views)

    def scores(self, permutation: Permutation) -> dict[str, Tensor]:
        """Inner products `[units of A, units of B]` of every group, all else held."""
        first = self.groups[0]
        if len(self.groups) == 1 and len(permutation[first]) >= LARGE and not self.twice:
            return {first: self.similarity.at(first, self.views, permutation)}
        found: dict[str, Tensor] = {}
        for group in self.groups:
            for gram in _grams(self.views, group):
                found[group] = found[group] + gram if group in found else gram
        return found


def _improve(spec: PermutationSpec, problem: _Problem, permutation: Permutation, tolerance: float) -> float:
    """Solve the assignment of a problem, all else held; apply it if it gains. Returns the gain, or 0."""
    scores = problem.scores(permutation)
    orders, value = assign_together(spec, problem.groups, scores)
    gain = value - sum(float(table.diagonal().sum(dtype=torch.float64)) for table in scores.values())
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
        order = order.to(permutation[group].device)
        permutation[group] = permutation[group][order]
        problem.similarity.reorder(group, order, problem.views, permutation)
    return gain


def _reorder(views: list[_View], orders: Permutation) -> None:
    for view in views:
        for group, order in orders.items():
            view.reorder(group, order.to(view.b.device))


def _views(task: Task, permutation: Permutation) -> list[_View]:
    """The pieces that move, B's in the order of the permutation."""
    found = [
        _View(piece.groups, piece.take(task.a[name]), piece.take(task.b[name]))
        for name, piece in moving_pieces(task.spec)
    ]
    for view in found:
        for group in dict.fromkeys(g for g in view.groups if g):
            view.reorder(group, permutation[group])
    return found


def moving_pieces(spec: PermutationSpec) -> list[tuple[str, Piece]]:
    """The pieces of all parameters along which some group moves, each with its parameter's name."""
    return [(name, piece) for name in spec.parameters for piece in spec.pieces(name) if any(piece.groups)]


def _grams(views: Sequence[_View], group: str) -> list[Tensor]:
    return [_gram(view.a, view.b, axis) for view in views for axis, name in enumerate(view.groups) if name == group]


def _gram(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Inner products `[units of A, units of B]` of the slices along `axis`."""
    a, b = (tensor.movedim(axis, 0).flatten(1) if tensor.ndim > 1 else tensor[:, None] for tensor in (a, b))
    return a @ b.T
