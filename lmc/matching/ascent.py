"""Coordinate ascent on ⟨θ_A, π(θ_B)⟩ from several starts at once: one group at a time is an assignment problem."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmc.matching.assignment import assign_all, assign_among_likely, assign_together
from lmc.matching.base import Course, Task
from lmc.matching.similarity import Block, KeptTable, Link, Objective, Similarity, links_of
from lmc.matching.visits import Mode, Ranks, Visits
from lmc.permutation import Permutation
from lmc.symmetry import PermutationSpec, Piece

Tables = dict[tuple[str, int], KeptTable]  # of large groups, for every start

LARGE = 256  # units from which on tables are kept, and assignments look for likely partners first


class Problem:
    """Groups that move together, and the blocks of tensors that they move."""

    def __init__(self, spec: PermutationSpec, groups: tuple[str, ...], links: Mapping[str, Sequence[Link]]) -> None:
        self.spec, self.groups = spec, groups
        own = {group: links[group] for group in groups if group in links}
        self.large = len(groups) == 1 and spec.groups[groups[0]] >= LARGE
        self.similarities = {group: Similarity(found) for group, found in own.items()}
        self.moves_with = {other for found in own.values() for link in found for other in link.others}
        # a tensor that moves along two axes: an assignment sees only the linear part of a gain
        self.whole = Objective(own) if self.moves_with & set(groups) else None

    def touches(self, other: Problem) -> bool:
        """Whether a move of this one changes what is best for the other."""
        return bool(self.moves_with & set(other.groups))


@dataclass(eq=False)
class Visit:
    """One problem, to be solved for some starts (an index), all else held. Not `exact`, a large one is solved roughly.

    Starts with large networks are visited one by one, as each has a thread of its own then.
    """

    problem: Problem
    place: int
    starts: Tensor
    exact: bool
    orders: Permutation
    kept: Tables

    def __post_init__(self) -> None:
        self.here = {group: self.orders[group][self.starts] for group in self.problem.groups}
        self.tables = {group: self._tables(group, one) for group, one in self.problem.similarities.items()}

    def _tables(self, group: str, similarity: Similarity) -> Tensor:
        if not self.problem.large:
            return similarity.tables(self.orders, self.starts)
        key = (group, int(self.starts[0]))
        self.kept[key] = similarity.table(self.orders, self.starts, self.kept.get(key))
        return self.kept[key].table[None]

    @property
    def rough(self) -> bool:
        """Whether only likely partners are looked at."""
        return self.problem.large and not self.exact

    def solve(self) -> Permutation:
        """The best orders, group → `[starts, units]`."""
        group, *inside = self.problem.groups
        if inside:
            return self._together()
        table = self.tables[group]
        if self.rough:
            likely = self.kept[group, int(self.starts[0])].likely
            return {group: assign_among_likely(table[0], self.here[group][0], likely)[None]}
        return {group: assign_all(table)}

    def _together(self) -> Permutation:
        solved = [
            assign_together(self.problem.spec, self.problem.groups, {g: table[k] for g, table in self.tables.items()})
            for k in range(len(self.starts))
        ]
        return {group: torch.stack([orders[group] for orders, _ in solved]) for group in self.problem.groups}

    def apply(self, solved: Permutation, tolerance: float) -> Tensor:
        """Move the starts that gain more than the tolerance; their gains, and 0 of the others."""
        found = {group: order.to(self.starts.device) for group, order in solved.items()}
        gains = self._value(found) - self._value(self.here)
        if not bool((gains > tolerance).any()):
            return torch.zeros(len(gains), dtype=gains.dtype)
        if self.problem.whole is not None:
            trial = self.orders | {g: self.orders[g].index_copy(0, self.starts, order) for g, order in found.items()}
            true = self.problem.whole.of(trial, self.starts) - self.problem.whole.of(self.orders, self.starts)
            gains = torch.where(gains > tolerance, true, 0.0)
        better = gains > tolerance
        for group, order in found.items():
            self.orders[group].index_copy_(0, self.starts[better], order[better])
        return torch.where(better, gains, 0.0).cpu()

    def _value(self, orders: Permutation) -> Tensor:
        """What the tables give for orders `[starts, units]`, float64 `[starts]`."""
        chosen = [table.gather(2, orders[group][:, :, None]) for group, table in self.tables.items()]
        return torch.stack([values.sum((1, 2), dtype=torch.float64) for values in chosen]).sum(0)


@dataclass(eq=False)
class Climb:
    """Where one start has come: the value there, up to rounding, its permutation, and the way."""

    permutation: Permutation
    course: Course
    value: float = 0.0

    def step(self, gain: float, group: str) -> None:
        """It has gained by reordering this group."""
        self.value += gain
        self.course.add(self.value, group)


class Ascent:
    """Coordinate ascent over one set of blocks, from any number of starts, as often as it is asked for."""

    def __init__(self, task: Task, blocks: Sequence[Block]) -> None:
        self.device = task.inputs.device
        links = links_of(blocks)
        together = [groups for groups in task.spec.together() if links.keys() & set(groups)]
        self.problems = [Problem(task.spec, groups, links) for groups in together]
        self.large = any(problem.large for problem in self.problems)
        self._objective = Objective(links)
        self._tolerance = 8 * torch.finfo(task.a[task.spec.parameters[0]].dtype).eps * _scale(blocks)
        self._touches = np.zeros((len(self.problems), len(self.problems)), dtype=bool)
        for (i, one), (j, other) in itertools.product(enumerate(self.problems), repeat=2):
            self._touches[i, j] = one.touches(other)

    def begin(self, climbs: Sequence[Climb]) -> None:
        """Note the value that every climb starts with; else values, and the steps of their courses, start at 0."""
        orders = self._stacked(climbs)
        for climb, value in zip(
            climbs, self._objective.of(orders, self._index(range(len(climbs)))).tolist(), strict=True
        ):
            climb.value = value
            climb.course.add(value)

    def run(
        self,
        climbs: Sequence[Climb],
        ranks: Sequence[Ranks],
        report: Callable[[float], None],
        *,
        mode: Mode = Mode.WHOLE,
    ) -> None:
        """Lead every climb on until no group of it can gain, which means none can roughly in the mode ROUGH."""
        orders = self._stacked(climbs)
        kept: Tables = {}
        visits = Visits(self._touches, ranks, mode)
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads) if self.large and threads > 1 else nullcontext() as pool:
            run = pool.map if pool else map
            while wave := visits.next(all_ready=self.large):
                report(visits.share)
                made = [
                    visit for place, starts, exact in wave for visit in self._visits(place, starts, exact, orders, kept)
                ]
                for visit, solved in zip(made, list(run(Visit.solve, made)), strict=True):
                    gains = visit.apply(solved, self._tolerance).numpy()
                    starts = visit.starts.cpu().numpy()
                    visits.visited(visit.place, starts, gains > 0, rough=visit.rough)
                    for start, gain in zip(starts[gains > 0], gains[gains > 0].tolist(), strict=True):
                        climbs[start].step(gain, visit.problem.groups[0])
        for k, climb in enumerate(climbs):
            climb.permutation = {group: order[k].cpu() for group, order in orders.items()}

    def _visits(self, place: int, starts: np.ndarray, exact: bool, orders: Permutation, kept: Tables) -> list[Visit]:
        problem = self.problems[place]
        parts = [[start] for start in starts] if problem.large else [starts]
        return [Visit(problem, place, self._index(part), exact, orders, kept) for part in parts]

    def _stacked(self, climbs: Sequence[Climb]) -> Permutation:
        groups = climbs[0].permutation
        return {g: torch.stack([climb.permutation[g] for climb in climbs]).to(self.device) for g in groups}

    def _index(self, starts: Sequence[int] | np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(starts, dtype=np.int64)).to(self.device)


def _scale(blocks: Sequence[Block]) -> float:
    """The most that the objective can be, tensor by tensor."""
    norms = torch._foreach_norm([tensor for block in blocks for tensor in (block.a, block.b)]) if blocks else []
    return sum(float(a) * float(b) for a, b in zip(norms[::2], norms[1::2], strict=True))


def moving_pieces(spec: PermutationSpec) -> list[tuple[str, Piece]]:
    """The pieces of all parameters along which some group moves, each with its parameter's name."""
    return [(name, piece) for name in spec.parameters for piece in spec.pieces(name) if any(piece.groups)]
