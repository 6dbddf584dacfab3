"""Inner products of the units of A with those of B, under several permutations of the other groups at once.

Units of B are numbered as they are in B, so reordering a group changes nothing of its own table, and what no other
group moves is summed once for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmc.matching.assignment import likely_from
from lmc.permutation import Permutation

MUCH = 0.8  # of the other units; when more have moved, computing all anew is as fast
MANY = 20  # updates, each of which adds rounding


@dataclass(frozen=True)
class Block:
    """A part of a tensor, of A and of B, and the group along each axis, None where nothing moves."""

    groups: tuple[str | None, ...]
    a: Tensor
    b: Tensor

    def others(self, axis: int) -> tuple[str, ...]:
        """The groups along the other axes, in the order of their names."""
        return tuple(sorted(group for dim, group in enumerate(self.groups) if group and dim != axis))

    def arranged(self, axis: int) -> tuple[Tensor, Tensor]:
        """Both parts as `[units, units of the others, features]`."""
        moving = sorted((group, dim) for dim, group in enumerate(self.groups) if group and dim != axis)
        fixed = [dim for dim, group in enumerate(self.groups) if not group]
        dims = (axis, *(dim for _, dim in moving), *fixed)
        count = 1
        for _, dim in moving:
            count *= self.a.shape[dim]
        a, b = (tensor.permute(dims).reshape(tensor.shape[axis], count, -1) for tensor in (self.a, self.b))
        return a, b


class Link:
    """What tensors add to the table of one of their groups, as the groups `others` move them too.

    `a` is `[others, features · units of A]`, `b` is `[others, features · units of B]`.
    """

    def __init__(self, others: tuple[str, ...], parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.others, self._units = others, len(parts[0][0])
        self.a, self.b = (_laid_out(torch.cat([part[k] for part in parts], 2)) for k in (0, 1))

    def index(self, orders: Mapping[str, Tensor], starts: Tensor) -> Tensor:
        """Which of the others' units stand at each place of A, `[starts, others]`."""
        if len(self.others) == 1:
            return orders[self.others[0]][starts]
        found = torch.zeros(len(starts), 1, dtype=torch.long, device=self.b.device)
        for group in self.others:
            order = orders[group][starts]
            found = (found[:, :, None] * order.shape[1] + order[:, None]).flatten(1)
        return found

    @property
    def columns(self) -> Tensor:
        """The weights of A's units, `[others · features, units of A]`."""
        return self.a.view(-1, self._units)

    def rows(self, index: Tensor) -> Tensor:
        """The weights of B's units in the order of A's, `[starts, others · features, units of B]`."""
        return self.b.index_select(0, index.flatten()).view(len(index), -1, self._units)

    def update(self, table: Tensor, before: Tensor, after: Tensor) -> None:
        """Add to a table what it gains when the others go from one index `[others]` to another."""
        places = (before != after).nonzero()[:, 0]
        a = self.a.index_select(0, places).view(-1, self._units)
        b = self.b.index_select(0, after[places]).sub_(self.b.index_select(0, before[places]))
        table.addmm_(a.T, b.view(-1, self._units))


def _laid_out(tensor: Tensor) -> Tensor:
    """`[units, others, features]` as `[others, features · units]`: what is gathered lies side by side."""
    return tensor.permute(1, 2, 0).reshape(tensor.shape[1], -1)


def links_of(blocks: Iterable[Block]) -> dict[str, list[Link]]:
    """What all blocks add to the tables of their groups, those that the same groups move together; by group."""
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[Tensor, Tensor]]] = {}
    for block in blocks:
        for axis, group in enumerate(block.groups):
            if group:
                alike.setdefault((group, block.others(axis)), []).append(block.arranged(axis))
    found: dict[str, list[Link]] = {}
    for (group, others), parts in alike.items():
        found.setdefault(group, []).append(Link(others, parts))
    return found


@dataclass
class KeptTable:
    """The table of one start.

    `likely` are the scores from which on partners are likely (see `likely_from`), when the table was computed anew;
    `indices` those of the links that it stands for now; `updates` how often it was updated since.
    """

    table: Tensor
    likely: Tensor
    indices: list[Tensor]
    updates: int = 0

    def moved(self, link: int, index: Tensor) -> float:
        """The share of a link's rows that are others now."""
        return float((self.indices[link] != index).float().mean())


class Similarity:
    """The tables `[units of A, units of B]` of one group."""

    def __init__(self, links: Sequence[Link]) -> None:
        fixed = [
            link.columns.T @ link.rows(link.b.new_zeros(1, 1, dtype=torch.long))[0] for link in links if not link.others
        ]
        self.base = fixed[0] if fixed else None
        self.links = [link for link in links if link.others]

    def tables(self, orders: Permutation, starts: Tensor) -> Tensor:
        """The tables `[starts, units of A, units of B]` of these starts."""
        return self._anew([link.index(orders, starts) for link in self.links], len(starts))

    def table(self, orders: Permutation, start: Tensor, kept: KeptTable | None) -> KeptTable:
        """The table of one start (an index `[1]`); of one that was kept, what has moved since is replaced."""
        indices = [link.index(orders, start)[0] for link in self.links]
        moved = [] if kept is None else [kept.moved(k, index) for k, index in enumerate(indices)]
        if kept is None or kept.updates >= MANY or max(moved, default=0.0) > MUCH:
            table = self._anew([index[None] for index in indices], 1)[0]
            return KeptTable(table, likely_from(table), indices)
        if any(moved):
            for link, before, after, share in zip(self.links, kept.indices, indices, moved, strict=True):
                if share:
                    link.update(kept.table, before, after)
            kept.indices, kept.updates = indices, kept.updates + 1
        return kept

    def _anew(self, indices: Sequence[Tensor], count: int) -> Tensor:
        found = None if self.base is None else self.base.expand(count, *self.base.shape)
        for link, index in zip(self.links, indices, strict=True):
            a, rows = link.columns.T.expand(count, -1, -1), link.rows(index)
            found = torch.bmm(a, rows) if found is None else torch.baddbmm(found, a, rows)
        assert found is not None
        return found


class Objective:
    """⟨A, π(B)⟩ of several permutations at once, in float64, from the links of all groups that it is about."""

    def __init__(self, links: Mapping[str, Sequence[Link]]) -> None:
        # the same tensors are in a link of each of their groups: take them from one
        self._links: dict[tuple[str, ...], tuple[str, Link]] = {}
        for group, own in links.items():
            for link in own:
                self._links.setdefault(tuple(sorted((group, *link.others))), (group, link))

    def of(self, orders: Permutation, starts: Tensor) -> Tensor:
        """The values `[starts]`."""
        found = torch.zeros(len(starts), dtype=torch.float64, device=starts.device)
        for groups, (group, link) in self._links.items():
            rows = link.rows(link.index(orders, starts))
            own = orders[group][starts][:, None].expand(-1, rows.shape[1], -1)
            value = (rows.gather(2, own).double() * link.columns.double()).flatten(1).sum(1)
            found += value / groups.count(group)  # a tensor with two axes of the group is in its link twice
        return found
