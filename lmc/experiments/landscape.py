"""The plane through three networks: loss and error over it, from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.errors import InputError
from lmc.experiments.bench import SPLITS
from lmc.experiments.group import Group, Matched, Mixtures
from lmc.experiments.networks import Loaded, Network
from lmc.experiments.options import option
from lmc.experiments.work import Work, naming
from lmc.result import Piece, Table, columns, joined_records, versions

if TYPE_CHECKING:
    from lmc.simplex import Weights
    from lmc.stacking import State

TABLES = {
    "plane": ("method", "level", "split", "u", "v", "size", "loss", "error"),
    "corners": ("method", "label", "u", "v"),
}
COARSEST = 8  # squares a side of the first level; every further level has twice as many
MARGIN = 0.25  # of the larger extent of the three networks, on every side


@dataclass(frozen=True, kw_only=True)
class Landscape(Group):
    """Loss and error over the plane through three networks, or through A, B and B in its permuted order.

    With two networks the third point is π(B), so there is a plane for every method but none; with three they stand
    there under their common permutations. Distances are those of the parameters. Example:
    `lmc.run(lmc.Landscape(width=32, seeds=(0, 1), method=("weight",)))`.
    """

    name: ClassVar[str] = "landscape"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 2

    levels: int = option(3, "levels of detail, each with squares half as wide", low=1, high=6)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_whole("levels")
        networks = self.load or self.seeds
        if len(networks) > 3:
            name = "load" if self.load else "seeds"
            raise InputError(name, getattr(self, name), f"{self.name} takes two networks or three")
        if not self.planes():
            right = "with two networks some matching is needed, such as weight: its B is the third point"
            raise InputError("method", self.method, right)

    def planes(self) -> tuple[str, ...]:
        """The methods that there is a plane for."""
        two = len(self.load or self.seeds) == 2
        return tuple(method for method in self.method if not (two and method == "none"))

    def members(self) -> list[tuple[int, ...]]:
        return [tuple(range(len(self.load or self.seeds)))]

    def parts(self) -> list[tuple[int, ...]]:
        """(level, place of the method in `planes()`): the coarse levels of all methods first."""
        return [(level, place) for level in range(self.levels) for place in range(len(self.planes()))]

    def reads(self, part: tuple[int, ...]) -> list[tuple[Network | Loaded, tuple[int, ...]]]:  # noqa: ARG002
        return [(network, (network.last_epoch,)) for network in self.networks()]

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One level of one method. Reports progress; may raise Stopped."""
        from lmc.experiments.bench import Bench
        from lmc.simplex import plane_corners, plane_weights

        level, method = part[0], self.planes()[part[1]]
        networks = self.networks()
        found = work.final_states(networks)
        bench = Bench(self, work)
        work.report(0.0, f"{method}: matching")
        said = naming(method, lambda share, text: work.report(0.1 * share, text))
        matched = Matched(bench, [found[network.id] for network in networks], method, said)
        states, labels = _three(matched, [network.label for network in networks])
        try:
            corners = plane_corners(states, bench.traced.spec.parameters)
        except ValueError:
            right = f"{method} leaves every unit in its place, so there is no plane; another method would be right"
            raise InputError("method", method, right) from None
        work.report(0.1, f"{method}: squares of level {level + 1}")
        u, v, size = squares(corners, level)
        curve = Mixtures(bench).mixed(states, plane_weights(u, v, corners))
        where = {"method": method, "level": level}
        plane = [
            {**where, "split": split, "u": x, "v": y, "size": size, "loss": loss, "error": error}
            for split in SPLITS
            for x, y, loss, error in zip(u.tolist(), v.tolist(), curve.losses[split], curve.errors[split], strict=True)
        ]
        named = zip(labels, corners.tolist(), strict=True)
        standing = [{"method": method, "label": label, "u": x, "v": y} for label, (x, y) in named]
        made_with = versions(str(bench.shown.device), self.dtype)
        tables: dict[str, list[dict[str, Any]]] = {"plane": plane, "corners": standing if level == 0 else []}
        return Piece(tables=tables, values={}, arrays={}, check=bench.check, made_with=made_with)

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        return {name: columns(joined_records(pieces, name), names) for name, names in TABLES.items()}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        """The lowest and highest loss and error that were found, `<quantity>.<method>.<lowest or highest>.<split>`."""
        found: dict[str, float] = {}
        for row in joined_records(pieces, "plane"):
            for quantity in ("loss", "error"):
                for name, pick in (("lowest", min), ("highest", max)):
                    key = f"{quantity}.{row['method']}.{name}.{row['split']}"
                    found[key] = pick(found.get(key, row[quantity]), row[quantity])
        return found


def squares(corners: Weights, level: int) -> tuple[Weights, Weights, float]:
    """Centres (u, v) and edge length of the squares that a level adds: the coarsest cover the plane.

    A finer level has squares half as wide; all of the plane is covered again.
    """
    low, high = corners.min(0), corners.max(0)
    side = (1 + 2 * MARGIN) * float((high - low).max())
    count = COARSEST * 2**level
    first = (low + high) / 2 - side / 2
    ticks = (np.arange(count) + 0.5) * side / count
    u, v = np.meshgrid(first[0] + ticks, first[1] + ticks)
    return u.ravel(), v.ravel(), side / count


def _three(matched: Matched, labels: Sequence[str]) -> tuple[list[State], list[str]]:
    """The three networks of the plane and their names; of two, the second comes again in its permuted order."""
    if len(labels) == 3:
        return matched.aligned, list(labels)
    a, b = matched.states
    return [a, b, matched.aligned[1]], [*labels, f"π({labels[1]})"]
