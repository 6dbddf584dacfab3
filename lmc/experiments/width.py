"""Barriers against width: the same triples, drawn from one pool of seeds, at every width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from lmc.errors import InputError
from lmc.experiments.base import SHAPE, Experiment
from lmc.experiments.group import Group
from lmc.experiments.networks import Loaded, Network
from lmc.experiments.options import check_number, option
from lmc.experiments.triple import SHORT, Triple
from lmc.result import Result, Table, columns, rows
from models import get_architecture

COLUMNS = ("width", "triple", "method", "comparison", "split", "loss_barrier", "error_barrier")
MOST = 20  # widths


@dataclass(frozen=True, kw_only=True)
class Width(Group):
    """Every triple of the seeds at every width: how barriers fall as networks get wider.

    It is made of `Triple` experiments with a coarse triangle, each of them kept. Example:
    `lmc.run(lmc.Width(widths=(8, 16, 32, 64), seeds=(0, 1, 2)))`.
    """

    name: ClassVar[str] = "width"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 3

    groups: int = option(5, "at most this many triples, by a seeded draw beyond that", low=1, high=1000)
    widths: tuple[int, ...] = option((8, 16, 32, 64, 128, 256), "widths, in place of --width", low=1, high=1_000_000)
    side: int = option(6, "steps along a side of the triangle", low=1, high=200)

    def __post_init__(self) -> None:
        given, usual = self.width, get_architecture(self.arch).default_width if self.width is not None else None
        super().__post_init__()
        if given is not None and given != usual:
            raise InputError("width", given, "this experiment has many; --widths would be right")
        if self.load:
            raise InputError("load", self.load, "networks from files have one width; seeds would be right")
        self._check_whole("side")
        self._check_widths()

    def _check_widths(self) -> None:
        if isinstance(self.widths, str) or not isinstance(self.widths, Sequence) or not self.widths:
            raise InputError("widths", self.widths, "a list of whole numbers would be right")
        limits = self.__dataclass_fields__["widths"].metadata
        found = sorted({int(check_number("widths", width, limits, whole=True)) for width in self.widths})
        if len(found) > MOST:
            raise InputError("widths", self.widths, f"at most {MOST} widths would be right")
        self._set("widths", tuple(found))
        self.children()  # a width may not suit the architecture

    def children(self) -> list[Experiment]:
        """One triple at one width each, the narrowest first."""
        shared = {f.name: getattr(self, f.name) for f in fields(Triple) if f.name not in _OWN}
        named = self._named()
        return [
            Triple(
                **shared,
                width=width,
                references=1,
                seeds=tuple(named[place][0] for place in members),
                order_seeds=tuple(named[place][1] for place in members),
            )
            for width in self.widths
            for members in self.members()
        ]

    def turns(self) -> list[int]:
        """The narrowest first, so that points come soon; the widest before the last but one, which ends beside it."""
        places = list(range(len(self.widths) * len(self.members())))
        one = len(self.members())
        return [*places[: -2 * one], *places[-one:], *places[-2 * one : -one]]

    def networks(self) -> tuple[Network | Loaded, ...]:
        """The networks of all widths, in the order of the widths and the seeds; of seeds that are in some triple."""
        used = sorted({place for members in self.members() for place in members})
        shape = {name: getattr(self, name) for name in SHAPE if name != "width"}
        named = self._named()
        return tuple(
            Network(seed=named[place][0], order_seed=named[place][1], recipe=self.recipe, width=width, **shape)
            for width in self.widths
            for place in used
        )

    def used(self) -> list[Network | Loaded]:
        return list(self.networks())

    def gathered(self, results: Sequence[Result]) -> dict[str, Table]:
        """The table `widths`."""
        found = [
            {"width": result.config["width"], **row} for result in results for row in rows(result.tables["barriers"])
        ]
        return {"widths": columns(found, COLUMNS)}

    def headlines(self, tables: dict[str, Table]) -> dict[str, float]:
        """Mean error barriers `error_barrier.<method>.<comparison>.<split>` at the largest width, and where the data
        say one `connecting_width.<method>.<comparison>.<split>`, the width at which the mean would be connected."""
        return _metrics(rows(tables["widths"]))


_OWN = ("width", "widths", "references", "seeds", "order_seeds", "groups", "load", "labels")


def _metrics(found: Sequence[dict[str, Any]]) -> dict[str, float]:
    from lmc.scaling import connecting_width

    widest = max(row["width"] for row in found)
    at_widest: dict[str, list[float]] = {}
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        if row["comparison"] in SHORT:
            key = f"{row['method']}.{SHORT[row['comparison']]}.{row['split']}"
            grouped.setdefault(f"connecting_width.{key}", []).append(row)
            if row["width"] == widest:
                at_widest.setdefault(f"error_barrier.{key}", []).append(row["error_barrier"])
    crossings = {
        key: connecting_width(*([row[name] for row in same] for name in ("width", "error_barrier", "triple")))
        for key, same in grouped.items()
    }
    means = {key: float(np.mean(values)) for key, values in at_widest.items()}
    return means | {key: crossing.width for key, crossing in crossings.items() if crossing.width is not None}
