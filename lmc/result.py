"""What an experiment returns: tidy tables, headline numbers and a few arrays for pictures."""

from __future__ import annotations

import itertools
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Table = dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished experiment.

    `tables` maps a name to columns of equal length; losses are in nats, errors in [0, 1]. `arrays` holds what
    is drawn but is no table (permutations, unit similarities, answers on a few images). `networks` are the ids
    of the networks in the store, in the order of the config's seeds.
    """

    experiment: str
    id: str
    config: dict[str, Any]
    metrics: dict[str, float]
    tables: dict[str, Table]
    networks: list[str]
    seconds: float
    made_with: dict[str, str]
    arrays: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    def frame(self, name: str) -> pd.DataFrame:
        """The table `name` as a pandas data frame; a KeyError lists the tables there are."""
        import pandas as pd

        if name not in self.tables:
            raise KeyError(f"no table {name!r}; there are: {', '.join(self.tables)}")
        return pd.DataFrame(self.tables[name])

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """Every table as flat records, non-finite values as None."""
        return {name: [_finite(row) for row in rows(table)] for name, table in self.tables.items()}

    def to_json(self) -> dict[str, Any]:
        """What the command line prints with --json."""
        return {
            "experiment": self.experiment,
            "id": self.id,
            "config": self.config,
            "metrics": _finite(self.metrics),
            "tables": self.records(),
            "seconds": self.seconds,
        }


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one part of an experiment gives; pieces can be computed anywhere and are merged in the order of the parts.

    `tables` maps a name to flat records, `values` a name to numbers that are averaged over the pieces, `check` is the
    largest change of a logit that a permutation caused.
    """

    tables: dict[str, list[dict[str, Any]]]
    values: dict[str, list[float]]
    arrays: dict[str, np.ndarray] = field(repr=False)
    check: float
    made_with: dict[str, str]


def joined_records(pieces: Sequence[Piece], name: str) -> list[dict[str, Any]]:
    """The records of the table `name`, piece after piece."""
    return list(itertools.chain.from_iterable(piece.tables[name] for piece in pieces))


def relabelled(result: Result, labels: Sequence[str]) -> Result:
    """The same result with other names for its loaded networks; the names of files are no part of its id."""
    old = result.config.get("labels", [])
    if list(labels) == old:
        return result
    sizes = {2, 3, len(old)}  # of pairs, triples and the whole group; labels are such that their names differ
    groups = [group for size in sizes for group in itertools.combinations(range(len(old)), size)]
    new = {"-".join(old[i] for i in group): "-".join(labels[i] for i in group) for group in groups}
    new |= dict(zip(old, labels, strict=True))
    new |= {f"π({was})": f"π({now})" for was, now in zip(old, labels, strict=True)}

    def renamed(name: str) -> str:
        first, *rest = name.split("|")
        return "|".join((new.get(first, first), *rest))

    tables = {name: {key: _renamed(key, values, new) for key, values in t.items()} for name, t in result.tables.items()}
    arrays = {renamed(name): array for name, array in result.arrays.items()}
    return replace(result, config={**result.config, "labels": list(labels)}, tables=tables, arrays=arrays)


def _renamed(column: str, values: list[Any], new: dict[str, str]) -> list[Any]:
    """The column with other labels in it, if it holds any."""
    return [new[value] for value in values] if column in ("pair", "triple", "group", "label") else values


def rows(table: Table) -> list[dict[str, Any]]:
    """The rows of a table of columns."""
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def columns(records: list[dict[str, Any]], names: Sequence[str]) -> Table:
    """The columns `names` of a list of records."""
    return {name: [record[name] for record in records] for name in names}


def versions(device: str, dtype: str) -> dict[str, str]:
    """What a result was made with."""
    found = {"python": platform.python_version(), "device": device, "dtype": dtype}
    for package in ("torch", "numpy", "scipy", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
