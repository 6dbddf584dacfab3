"""Two networks under every method: what each gains, what it costs, and whether they agree."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.experiments.base import METHODS
from lmc.experiments.bench import find
from lmc.experiments.networks import Loaded, Network
from lmc.experiments.options import option
from lmc.experiments.pair import TABLES as OF_PAIRS
from lmc.experiments.pair import Pair
from lmc.experiments.work import Work, naming, part
from lmc.result import Piece, Table, columns, joined_records

if TYPE_CHECKING:
    from lmc.matching import Match, Step, Task

TABLES = {
    **{name: OF_PAIRS[name] for name in ("path", "barriers")},
    "methods": ("pair", "method", "seconds", "objective"),
    "course": ("pair", "method", "seconds", "value", "group"),
    "agreement": ("pair", "method", "other", "agreement"),
    "decided": ("pair", "method", "permutation", "units", "entropy"),
}
RUNS, LONG = 5, 0.2  # a method that is quick is timed so many times, as long as all take no more seconds


@dataclass(frozen=True, kw_only=True)
class Methods(Pair):
    """Every pair that can be drawn from the seeds, under all methods: barriers, times, agreement, decidedness.

    `course` holds the steps of every search: of `weight` the value is ⟨θ_A, π(θ_B)⟩ and `group` what was reordered, of
    methods that descend a loss it is the lowest so far on held-back training images. `agreement` is the share of units
    that two methods place the same, `entropy` of a group 0 where its order is decided and 1 where any other would do
    as well. Times are those of the machine that ran it. Example: `lmc.run(lmc.Methods(width=16, seeds=(0, 1)))`.
    """

    name: ClassVar[str] = "methods"
    revision: ClassVar[int] = 1

    method: tuple[str, ...] = option(METHODS, "matching methods; none is always in the result", choices=METHODS)

    def parts(self) -> list[tuple[int, ...]]:
        """(a, b, place of the method): the quick methods of all pairs first."""
        return [(*pair, place) for place in range(len(self.method)) for pair in self.members()]

    def reads(self, part: tuple[int, ...]) -> list[tuple[Network | Loaded, tuple[int, ...]]]:
        return super().reads(part[:2])

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One pair under one method. Reports progress; may raise Stopped or InputError."""
        i, j, place = part
        return _compare(self, (self.networks()[i], self.networks()[j]), self.method[place], work)

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        tables = {name: joined_records(pieces, name) for name in TABLES if name != "agreement"}
        tables["agreement"] = _agreement(pieces)
        return {name: columns(tables[name], names) for name, names in TABLES.items()}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        found = super().metrics(pieces)
        times: dict[str, list[float]] = {}
        for row in joined_records(pieces, "methods"):
            times.setdefault(f"seconds.{row['method']}.direct", []).append(row["seconds"])
        return {**found, **{name: float(np.mean(values)) for name, values in times.items()}}


def _compare(config: Methods, pair: tuple[Network | Loaded, ...], method: str, work: Work) -> Piece:
    from lmc.experiments.comparison import Comparison, matching_share
    from lmc.matching import entropies

    a, b = pair
    states = work.final_states(pair)
    comparison = Comparison(config, work)
    bench, labels, share = comparison.bench, (a.label, b.label), matching_share(method)
    task = bench.task(states[a.id], states[b.id])
    search = Search(config, method, "-".join(labels), work.reporting(part(work.report, 0.0, share)))
    match, seconds = search.timed(task)
    bench.require_same_function(match.permutation, task.b, f"the permutation of method {method}")
    comparison.under(labels, method, task, match, part(work.report, share, 0.95))
    said = naming(f"pair {'-'.join(labels)}, {method}", part(work.report, 0.95, 1.0))
    decided = [
        {"permutation": group, "units": task.spec.groups[group], "entropy": entropy}
        for group, entropy in entropies(task, match.permutation, said).items()
    ]
    piece = comparison.piece()
    piece.tables["methods"] = search.rows([{"seconds": seconds, "objective": match.objective}])
    piece.tables["course"] = search.rows([asdict(step) for step in match.steps])
    piece.tables["decided"] = search.rows(decided)
    return piece


@dataclass(frozen=True)
class Search:
    """One method at work on the pair of that name."""

    config: Methods
    method: str
    pair: str
    work: Work

    def rows(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records, with what they belong to."""
        return [{"pair": self.pair, "method": self.method, **row} for row in found]

    def timed(self, task: Task) -> tuple[Match, float]:
        """What the method finds, and the seconds of its fastest run; the first run is heard as it goes."""
        name = f"pair {self.pair}, {self.method}"
        report = naming(name, self.work.report)
        report(0.0, "matching")

        def once(watch: Callable[[Step], None] | None) -> tuple[Match, float]:
            start = time.perf_counter()
            match = find(replace(task), self.method, self.config, report, watch)  # with nothing kept from before
            return match, time.perf_counter() - start

        runs = [once(lambda step: self.work.recorded(name, self.rows([asdict(step)])))]
        while len(runs) < RUNS and sum(seconds for _, seconds in runs) < LONG:
            runs.append(once(None))
        return min(runs, key=lambda run: run[1])


def _agreement(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """Of every two methods of a pair, the share of units that both place the same."""
    orders: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for piece in pieces:
        for name, array in piece.arrays.items():
            pair, method, what, group = (*name.split("|"), "", "", "")[:4]
            if what == "permutation":
                orders.setdefault(pair, {}).setdefault(method, {})[group] = array
    return [
        {"pair": pair, "method": one, "other": other, "agreement": _share(methods[one], methods[other])}
        for pair, methods in orders.items()
        for one, other in itertools.combinations(methods, 2)
    ]


def _share(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    units = sum(len(order) for order in one.values())
    return sum(int((order == other[group]).sum()) for group, order in one.items()) / units
