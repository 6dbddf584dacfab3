"""Two networks along their training: does one permutation align them at every epoch?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.barriers import CONNECTED
from lmc.errors import InputError
from lmc.experiments.comparison import array_name
from lmc.experiments.history import History, matched, means
from lmc.experiments.networks import Loaded, Network
from lmc.experiments.options import check_number, option
from lmc.experiments.work import Work
from lmc.result import Piece, Table, columns, joined_records, versions

if TYPE_CHECKING:
    from lmc.experiments.bench import Bench, Curve
    from lmc.stacking import State

TABLES = {
    "alignment": (
        "pair", "method", "fit_epoch", "epoch", "split", "loss_barrier", "error_barrier", "agreement",
    ),
    "layers": ("pair", "method", "fit_epoch", "permutation", "units", "agreement"),
    "path": ("pair", "method", "fit_epoch", "epoch", "split", "lam", "loss", "error"),
    "straight": ("network", "split", "lam", "loss", "error"),
    "curves": ("network", "epoch", "split", "loss", "error"),
}  # fmt: skip
USUAL = (0, 1, 2, 3, 5, 10, 20, 40, 60)
NONE = -1  # the place of no permutation among the fits


@dataclass(frozen=True, kw_only=True)
class Trajectory(History):
    """Every pair at chosen epochs: the permutation fitted at each of them is applied at all (Sharma et al. 2024).

    The table `path` has the segments at all epochs without a permutation, under the one fitted at that epoch and under
    the last one; `straight` the line from the first weights of a network to its last. Example:
    `lmc.run(lmc.Trajectory(width=64, seeds=(0, 1, 2, 3)))`.
    """

    name: ClassVar[str] = "trajectory"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 2

    checkpoints: tuple[int, ...] = option(
        USUAL, "epochs to fit and compare at, 0 is the start; the last one always is among them", low=0, high=10_000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.checkpoints, str) or not isinstance(self.checkpoints, Sequence):
            raise InputError("checkpoints", self.checkpoints, "a list of epochs would be right")
        last = self.recipe.epochs
        given = [epoch for epoch in USUAL if epoch < last] if self.checkpoints == USUAL else self.checkpoints
        limits = {"low": 0, "high": last}
        found = {int(check_number("checkpoints", epoch, limits, whole=True)) for epoch in given}
        self._set("checkpoints", tuple(sorted({*found, last})))

    def parts(self) -> list[tuple[int, ...]]:
        """(place of A, of B, of the fit among the checkpoints), and (place,) for each network's own line."""
        fits = range(NONE, len(self.checkpoints))
        places = sorted({place for pair in self.members() for place in pair})
        return [*((*pair, fit) for fit in fits for pair in self.members()), *((place,) for place in places)]

    def reads(self, part: tuple[int, ...]) -> list[tuple[Network | Loaded, tuple[int, ...]]]:
        networks = self.networks()
        if len(part) == 1:
            return [(networks[part[0]], (0, self.checkpoints[-1]))]
        return [(networks[place], self.checkpoints) for place in part[:2]]

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One fit of one pair at all epochs, or one network's own line. Reports progress; may raise Stopped."""
        from lmc.experiments.bench import Bench

        bench = Bench(self, work)
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        arrays: dict[str, np.ndarray] = {}
        if len(part) == 1:
            self._own_line(part[0], bench, work, rows)
        else:
            self._fit(part, bench, work, rows, arrays)
        made_with = versions(str(bench.shown.device), self.dtype)
        return Piece(tables=rows, values={}, arrays=arrays, check=bench.check, made_with=made_with)

    def _own_line(self, place: int, bench: Bench, work: Work, rows: dict[str, list[dict[str, Any]]]) -> None:
        network, last = self.networks()[place], self.checkpoints[-1]
        assert isinstance(network, Network)
        states = work.checkpoints([network], [0, last])[network.id]
        rows["straight"] += _path({"network": network.label}, bench, bench.segment(states[0], states[last]))
        about = work.store.load_about(network.id) or {"curves": []}
        rows["curves"] += [{"network": network.label, **row} for row in about["curves"]]

    def _fit(
        self,
        place: tuple[int, ...],
        bench: Bench,
        work: Work,
        rows: dict[str, list[dict[str, Any]]],
        arrays: dict[str, np.ndarray],
    ) -> None:
        a, b = self.pair(place)
        fit, pair = place[2], f"{a.label}-{b.label}"
        states = work.checkpoints([a, b], self.checkpoints)
        for method in ("none",) if fit == NONE else self.method[1:]:
            epoch = None if fit == NONE else self.checkpoints[fit]
            at = self.checkpoints[fit]
            permutation = matched(bench, method, states[a.id][at], states[b.id][at], work.report)
            if epoch is not None:
                arrays |= {
                    array_name(pair, method, f"permutation@{epoch}", group): order.numpy().astype(np.int32)
                    for group, order in permutation.items()
                }
            where = {"pair": pair, "method": method, "fit_epoch": epoch}
            self._apply(where, permutation, bench, states[a.id], states[b.id], work, rows)

    def _apply(
        self,
        where: dict[str, Any],
        permutation: Any,
        bench: Bench,
        a: Mapping[int, State],
        b: Mapping[int, State],
        work: Work,
        rows: dict[str, list[dict[str, Any]]],
    ) -> None:
        from lmc.permutation import apply_permutation

        fit, last = where["fit_epoch"], self.checkpoints[-1]
        named = "no permutation" if fit is None else f"the permutation of epoch {fit}"
        for k, epoch in enumerate(self.checkpoints):
            work.report(k / len(self.checkpoints), f"pair {where['pair']}, {named} at epoch {epoch}")
            curve = bench.segment(a[epoch], apply_permutation(bench.traced.spec, permutation, b[epoch]))
            here = {**where, "epoch": epoch}
            for split in curve.losses:
                barriers = curve.barriers(bench.lams, split)
                rows["alignment"].append({**here, "split": split, **barriers, "agreement": None})
            if fit in (None, epoch, last):
                rows["path"] += _path(here, bench, curve)

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        """The tables; shares of agreement are None until the last epoch's permutation is there."""
        fits = _permutations(pieces)
        found = {name: joined_records(pieces, name) for name in TABLES}
        last = self.checkpoints[-1]
        for (pair, method, fit), orders in sorted(fits.items()):
            goal = fits.get((pair, method, last))
            if goal is not None:
                found["layers"] += [
                    {"pair": pair, "method": method, "fit_epoch": fit, "permutation": group, "units": len(order),
                     "agreement": float(np.mean(order == goal[group])) if len(order) else 1.0}
                    for group, order in orders.items()
                ]  # fmt: skip
        shares = {(p, m, fit): _agreement(orders, fits.get((p, m, last))) for (p, m, fit), orders in fits.items()}
        for row in found["alignment"]:
            row["agreement"] = shares.get((row["pair"], row["method"], row["fit_epoch"]))
        found["alignment"].sort(key=_order)
        found["path"].sort(key=_order)
        return {name: columns(found[name], names) for name, names in TABLES.items()}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        """Mean barriers `<quantity>.<method>.<last, every or first>.<split>`, and where they settle.

        `last` is the last epoch under its own permutation, `every` the highest of all epochs under that one, `first`
        the last epoch under the permutation of the first trained checkpoint. `stable_epoch.<method>.fit.<split>` is the
        first epoch whose permutation leaves an error barrier of at most 0.02 from then on, if there is one.
        """
        return _headlines(means(joined_records(pieces, "alignment"), "method", "fit_epoch", "epoch", "split"))


def _headlines(found: dict[tuple[Any, ...], dict[str, float]]) -> dict[str, float]:
    last = max(epoch for _, _, epoch, _ in found)
    trained = min(epoch for _, _, epoch, _ in found if epoch > 0)
    headlines: dict[str, float] = {}
    for (method, fit, epoch, split), values in found.items():
        for quantity, value in values.items():
            key = f"{quantity}.{method}."
            if epoch == last and fit in (None, last):
                headlines[f"{key}last.{split}"] = value
            if epoch == last and fit == trained:
                headlines[f"{key}first.{split}"] = value
            if fit in (None, last):
                headlines[f"{key}every.{split}"] = max(value, headlines.get(f"{key}every.{split}", value))
    for method, split in {(method, split) for method, fit, _, split in found if fit is not None}:
        stable = stable_epoch({(f, e): v["error_barrier"] for (m, f, e, s), v in found.items()
                               if (m, s) == (method, split) and f is not None})  # fmt: skip
        if stable is not None:
            headlines[f"stable_epoch.{method}.fit.{split}"] = float(stable)
    return headlines


def stable_epoch(barriers: Mapping[tuple[int, int], float]) -> int | None:
    """The first fit epoch whose permutation leaves at most 0.02 at every later epoch; `barriers` by (fit, epoch)."""
    for fit in sorted({fit for fit, _ in barriers}):
        if all(value <= CONNECTED for (f, epoch), value in barriers.items() if f == fit and epoch >= fit):
            return fit
    return None


def _path(where: Mapping[str, Any], bench: Bench, curve: Curve) -> list[dict[str, Any]]:
    return [
        {**where, "split": split, "lam": lam, "loss": loss, "error": error}
        for split in curve.losses
        for lam, loss, error in zip(bench.lams, curve.losses[split], curve.errors[split], strict=True)
    ]


def _permutations(pieces: Sequence[Piece]) -> dict[tuple[str, str, int], dict[str, np.ndarray]]:
    """(pair, method, fit epoch) → the permutation."""
    found: dict[tuple[str, str, int], dict[str, np.ndarray]] = {}
    for piece in pieces:
        for name, order in piece.arrays.items():
            pair, method, what, group = name.split("|")
            found.setdefault((pair, method, int(what.split("@")[1])), {})[group] = order
    return found


def _agreement(orders: dict[str, np.ndarray], goal: dict[str, np.ndarray] | None) -> float | None:
    """The share of units that both place the same; None without a goal, 1.0 without units."""
    if goal is None:
        return None
    units = sum(len(order) for order in orders.values())
    same = sum(int((order == goal[group]).sum()) for group, order in orders.items())
    return same / units if units else 1.0


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    fit = -1 if row["fit_epoch"] is None else row["fit_epoch"]
    return row["pair"], row["method"] != "none", row["method"], fit, row["epoch"]
