"""The numbers behind the charts, as plain functions that tests can check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from lmc.barriers import BASELINES, barrier, baseline_values
from lmc.charts.style import CONNECTED

Table = pd.DataFrame | dict[str, list[Any]]


class Interval(NamedTuple):
    """A mean and how far it may be off."""

    mean: float
    low: float
    high: float


def frame(table: Table, columns: Iterable[str]) -> pd.DataFrame:
    """The table as a data frame; a ValueError names the columns it lacks."""
    data = table if isinstance(table, pd.DataFrame) else pd.DataFrame(table)
    missing = [c for c in columns if c not in data.columns]
    if missing:
        raise ValueError(
            f"the table lacks the columns {', '.join(missing)}; it has {', '.join(map(str, data.columns))}"
        )
    return data


def choose_rows(data: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """The rows where `column` is `value`; a ValueError lists the values there are if none is."""
    rows = data[data[column] == value]
    if rows.empty:
        there = ", ".join(map(str, dict.fromkeys(data[column]))) or "none"
        raise ValueError(f"no rows with {column} {value!r}; the table has: {there}")
    return rows


def check_measure(measure: str) -> str:
    """`loss` or `error`, else a ValueError."""
    if measure not in ("loss", "error"):
        raise ValueError(f"unknown measure {measure!r}; choose one of: loss, error")
    return measure


def mean_interval(values: Sequence[float] | np.ndarray, resolution: float | None = None) -> Interval:
    """The mean and its 95% interval.

    With three values or more it is Student's t-interval, with fewer the range of the values. It is never
    narrower than ± `resolution`, the step in which the measure can move at all (1/n on n test images).

    >>> mean_interval([0.1, 0.3], resolution=1 / 360)
    Interval(mean=0.2, low=0.1, high=0.3)
    """
    v = np.asarray(values, float)
    v = v[np.isfinite(v)]
    if not len(v):
        return Interval(float("nan"), float("nan"), float("nan"))
    mean = float(np.mean(v))
    low, high = float(np.min(v)), float(np.max(v))
    if len(v) >= 3:
        half = float(stdtrit(len(v) - 1, 0.975) * np.std(v, ddof=1) / np.sqrt(len(v)))
        low, high = mean - half, mean + half
    step = resolution or 0.0
    return Interval(mean, min(low, mean - step), max(high, mean + step))


def mean_curves(path: pd.DataFrame, measure: str, resolution: float | None = None) -> pd.DataFrame:
    """Columns method, lam, value, low, high, pairs: the mean over pairs at each λ."""
    rows = []
    for (method, lam), group in path.groupby(["method", "lam"], sort=True):
        rows.append((method, lam, *mean_interval(group[measure].to_numpy(), resolution), group["pair"].nunique()))
    return pd.DataFrame(rows, columns=["method", "lam", "value", "low", "high", "pairs"])


def mean_baseline(path: pd.DataFrame, measure: str, baseline: str = "line") -> pd.DataFrame:
    """Columns lam, value, threshold: the baseline, mean over pairs and methods, and what is 0.02 above it."""
    if baseline not in BASELINES:
        raise ValueError(f"unknown baseline {baseline!r}; choose one of: {', '.join(BASELINES)}")
    curves = []
    for _, group in path.groupby(["pair", "method"], sort=False):
        one = group.sort_values("lam")
        lams = one["lam"].tolist()
        curves.append(pd.DataFrame({"lam": lams, "value": baseline_values(lams, one[measure].tolist(), baseline)}))
    mean = pd.concat(curves).groupby("lam", as_index=False)["value"].mean()
    return mean.assign(threshold=mean["value"] + CONNECTED)


def pair_barriers(path: pd.DataFrame, measure: str, baseline: str = "line") -> dict[str, list[float]]:
    """By method, the barrier of each pair: the largest rise of its curve above its baseline."""
    found: dict[str, list[float]] = {}
    for (_, method), group in path.groupby(["pair", "method"], sort=False):
        one = group.sort_values("lam")
        found.setdefault(str(method), []).append(barrier(one["lam"].tolist(), one[measure].tolist(), baseline))
    return found


def mean_barriers(path: pd.DataFrame, measure: str, baseline: str = "line") -> dict[str, float]:
    """By method, the mean of `pair_barriers` over the pairs."""
    return {method: float(np.mean(values)) for method, values in pair_barriers(path, measure, baseline).items()}


def clipped(data: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The same curves with bands kept where values can be: errors in [0, 1], losses not below 0."""
    top = 1.0 if measure == "error" else np.inf
    return data.assign(low=data["low"].clip(0, top), high=data["high"].clip(0, top))
