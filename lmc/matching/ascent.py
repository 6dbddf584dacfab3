"""The state of coordinate ascent on ⟨θ_A, π(θ_B)⟩ from several starts at once: B as each has permuted it so far.

Tensors of B have a first axis over the starts; an order is `[starts, units]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmc.matching.assignment import assign_together
from lmc.matching.base import Task
from lmc.permutation import Permutation
from lmc.symmetry import PermutationSpec, Piece

LARGE = 256  # units from which on similarities are updated; computing fewer anew is as fast


@dataclass
class View:
    """A piece of a tensor whose every axis is one group or none: A as it is, B as permuted so far."""

    groups: tuple[str | None, ...]
    a: Tensor
    b: Tensor

    def reorder(self, group: str, orders: Tensor, starts: Tensor) -> None:
        """Permute B of these starts (an index) by `orders`."""
        for axis, name in enumerate(self.groups):
            if name == group:
                self.b = _reordered(self.b, axis + 1, orders, starts)

    def inner(self) -> Tensor:
        """⟨A, B⟩ of every start, float64."""
        return (self.a.double() * self.b.double()).flatten(1).sum(1)


def _reordered(b: Tensor, axis: int, orders: Tensor, starts: Tensor) -> Tensor:
    if len(b) == 1:
        return b.index_select(axis, orders[0])
    moved = b.movedim(axis, 1).clone()
    moved[starts] = moved[starts[:, None], orders]
    return moved.movedim(1, axis).contiguous()


@dataclass
class Similarity:
    """The inner products `[units of A, units of B]` of one large group, kept from visit to visit, for one start.

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

    def at(self, group: str, views: Sequence[View], permutation: Mapping[str, Tensor]) -> Tensor:
        """The table as the views stand."""
        if self.table is None:
            self.table = total(grams(views, group))[0]
        else:
            for view, before in zip(views, self.seen, strict=True):
                self._update(group, view, before, permutation)
        self.orders = dict(permutation)
        self.seen = [view.b for view in views]
        return self.table

    def _update(self, group: str, view: View, before: Tensor, permutation: Mapping[str, Tensor]) -> None:
        others = [(axis, g) for axis, g in enumerate(view.groups) if g and g != group]
        moved = {axis: (permutation[g][0] != self.orders[g][0]).nonzero()[:, 0] for axis, g in others}
        moved = {axis: places for axis, places in moved.items() if len(places)}
        if not moved:
            return
        a, old, new = view.a, before, view.b
        if len(moved) == 1:
            ((axis, places),) = moved.items()
            a = a.index_select(axis, places)
            old, new = (tensor.index_select(axis + 1, places) for tensor in (old, new))
        assert self.table is not None
        self.table += gram(a, new - old, view.groups.index(group))[0]
        self.anew = False

    def reorder(self, group: str, order: Tensor, views: Sequence[View], permutation: Mapping[str, Tensor]) -> None:
        """The group itself has moved: so have the table's columns."""
        if self.table is not None:
            self.table = self.table.index_select(1, order)
            self.orders, self.seen = {**self.orders, group: permutation[group]}, [view.b for view in views]


@dataclass
class Problem:
    """Groups that move together, and the pieces of tensors that they move."""

    groups: tuple[str, ...]
    views: list[View]
    similarity: Similarity = field(default_factory=Similarity)

    @property
    def twice(self) -> bool:
        """Whether some tensor moves along two axes: then an assignment sees only the linear part of a gain."""
        return any(sum(name in self.groups for name in view.groups) > 1 for view in self.views)

    def changes(self, other: Problem) -> bool:
        """Whether the other problem has to be solved again when this one's groups moved."""
        if other is self:
            return self.twice
        return any(set(view.groups) & set(other.groups) for view in self.views)

    def improve(self, spec: PermutationSpec, permutation: Permutation, starts: Tensor, tolerance: float) -> Tensor:
        """Solve the assignments of these starts, all else held; apply those that gain. Returns the gains, or 0."""
        scores = self._scores(permutation, starts)
        solved = [assign_together(spec, self.groups, {g: t[k] for g, t in scores.items()}) for k in range(len(starts))]
        now = total([table.diagonal(dim1=1, dim2=2).sum(1, dtype=torch.float64) for table in scores.values()])
        gains = torch.tensor([value for _, value in solved], dtype=torch.float64) - now.cpu()
        better = (gains > tolerance).nonzero()[:, 0]
        if not len(better):
            return torch.zeros_like(gains)
        orders = {g: torch.stack([solved[k][0][g] for k in better.tolist()]) for g in self.groups}
        kept = self._apply(orders, permutation, starts[better], tolerance)
        found = torch.zeros_like(gains)
        found[better] = gains[better] if kept is None else kept
        return found

    def _apply(self, orders: Permutation, permutation: Permutation, starts: Tensor, tolerance: float) -> Tensor | None:
        """Reorder; where a tensor moves along two axes, only what gains. Returns the true gains there, else None."""
        before = total([view.inner() for view in self.views])[starts] if self.twice else None
        self._reorder(orders, starts)
        gains = None
        if before is not None:
            gains = (total([view.inner() for view in self.views])[starts] - before).cpu()
            worse = (gains <= tolerance).nonzero()[:, 0]
            if len(worse):
                self._reorder({g: torch.argsort(order[worse], dim=1) for g, order in orders.items()}, starts[worse])
                gains[worse] = 0.0
            right = (gains > 0).nonzero()[:, 0]
            orders, starts = {g: order[right] for g, order in orders.items()}, starts[right]
        for group, order in orders.items():
            if len(starts):
                device = permutation[group].device
                now = permutation[group].clone()
                now[starts] = now[starts].gather(1, order.to(device))
                permutation[group] = now
                self.similarity.reorder(group, order[0].to(device), self.views, permutation)
        return gains

    def _reorder(self, orders: Permutation, starts: Tensor) -> None:
        for view in self.views:
            for group, order in orders.items():
                view.reorder(group, order.to(view.b.device), starts)

    def _scores(self, permutation: Permutation, starts: Tensor) -> dict[str, Tensor]:
        """Inner products `[starts, units of A, units of B]` of every group, all else held."""
        first, count = self.groups[0], len(permutation[self.groups[0]])
        if count == len(self.groups) == 1 and permutation[first].shape[1] >= LARGE and not self.twice:
            return {first: self.similarity.at(first, self.views, permutation)[None]}
        chosen = None if len(starts) == count else starts
        found = {group: grams(self.views, group, chosen) for group in self.groups}
        return {group: total(tables) for group, tables in found.items() if tables}


def views_of(task: Task, permutation: Permutation) -> list[View]:
    """The pieces that move, B's in the orders `[starts, units]` of the permutation."""
    count = len(next(iter(permutation.values()))) if permutation else 1
    found = []
    for name, piece in moving_pieces(task.spec):
        b = piece.take(task.b[name])
        found.append(View(piece.groups, piece.take(task.a[name]), b.expand(count, *b.shape)))
    for view in found:
        for group in dict.fromkeys(g for g in view.groups if g):
            view.reorder(group, permutation[group], torch.arange(count, device=view.b.device))
    return found


def moving_pieces(spec: PermutationSpec) -> list[tuple[str, Piece]]:
    """The pieces of all parameters along which some group moves, each with its parameter's name."""
    return [(name, piece) for name in spec.parameters for piece in spec.pieces(name) if any(piece.groups)]


def total(tensors: Sequence[Tensor]) -> Tensor:
    """The sum of at least one tensor."""
    found = tensors[0]
    for tensor in tensors[1:]:
        found = found + tensor
    return found


def grams(views: Sequence[View], group: str, starts: Tensor | None = None) -> list[Tensor]:
    """What every axis along which the group lies adds to its similarity, of all starts or of these."""
    return [
        gram(view.a, view.b if starts is None else view.b[starts], axis)
        for view in views
        for axis, name in enumerate(view.groups)
        if name == group
    ]


def gram(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Inner products `[starts, units of A, units of B]` of the slices along `axis` of `a`."""
    left = a.movedim(axis, 0).reshape(a.shape[axis], -1)
    right = b.movedim(axis + 1, 1).reshape(len(b), b.shape[axis + 1], -1)
    return left @ right.mT
