"""The answer of the methods page in numbers computed from its tables: the lowest, the fastest, and what time buys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lmc.charts.methods import UNSEARCHED, duration, front, method_means
from lmc.charts.style import readable
from lmc.charts.summary import Interval, Table, choose_rows, frame, mean_interval, pair_barriers

SEVERAL = 3  # pairs from which on there are intervals

_Row = Mapping[str, Any]


def methods_answer(
    path: Table,
    methods: Table,
    *,
    split: str = "test",
    measure: str = "error",
    baseline: str = "line",
    resolution: float | None = None,
) -> str:
    """Which method leaves the lowest barrier, which is the fastest, and what each second more buys.

    From the tables `path` and `methods`; with several pairs barriers are means, with 95% intervals from three on.
    """
    means = method_means(path, methods, split=split, measure=measure, baseline=baseline, resolution=resolution)
    rows: dict[str, _Row] = {str(row["method"]): row for row in _records(means)}
    found = [row for method, row in rows.items() if method not in UNSEARCHED]
    barrier = f"{split} {measure} barrier"
    aside = _aside(rows, measure)
    if not found:
        row = next(iter(rows.values()))
        what = "Without a permutation" if row["method"] == "none" else "Under a random permutation"
        return f"{what} the {barrier} is {_left(row, measure)}. Choose a method above."
    best = min(found, key=lambda row: row["barrier"])
    fastest = min(found, key=lambda row: row["seconds"])
    left = _left(best, measure)
    if len(found) == 1:
        return f"{best['name']} leaves a {barrier} of {left} after {best['time']}{aside}."
    if best is fastest:
        return f"{best['name']} leaves the lowest {barrier}, {left}, and is the fastest, with {best['time']}{aside}."
    first = f"{best['name']} leaves the lowest {barrier}, {left} after {best['time']}{aside}."
    ratio = _faster(best["seconds"] / max(fastest["seconds"], 1e-9))
    second = f"{fastest['name']} leaves {_left(fastest, measure)} after {fastest['time']}, {ratio}."
    measured = choose_rows(frame(path, ("pair", "method", "split", "lam", measure)), "split", split)
    gain = _gain(pair_barriers(measured, measure, baseline), fastest["method"], best["method"])
    if measure == "error" and gain.mean < (resolution or 0.0):
        return f"{first} {second} The two differ by less than one answer."
    if best["pairs"] >= SEVERAL and gain.low <= 0:
        return f"{first} {second} Over {best['pairs']} pairs the two cannot be told apart."
    between = means[means["seconds"] < best["seconds"] / 2]
    middle = [rows[method] for method in front(between) if method != fastest["method"]]
    return f"{first} {second} {_bought(gain.mean, best['seconds'] - fastest['seconds'], measure)}{_middle(middle)}"


def _records(means: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in means.to_dict("records")]


def _left(row: _Row, measure: str) -> str:
    unit = "" if measure == "error" else " nats"
    return f"{row['text']}{unit}" + (f" [{row['between']}]" if row["pairs"] >= SEVERAL else "")


def _aside(rows: Mapping[str, _Row], measure: str) -> str:
    """What there is without a permutation, and over how many pairs means are taken, in brackets."""
    pairs = max(row["pairs"] for row in rows.values())
    said = [f"{_left(rows['none'], measure)} without a permutation"] if "none" in rows else []
    if pairs > 1:
        said.append(f"means over {pairs} pairs{' with 95% intervals' * (pairs >= SEVERAL)}")
    return f" ({'; '.join(said)})" if said else ""


def _gain(barriers: dict[str, list[float]], fastest: str, best: str) -> Interval:
    """By how much the best is below the fastest, pair by pair."""
    return mean_interval([a - b for a, b in zip(barriers[fastest], barriers[best], strict=True)])


def _bought(gain: float, seconds: float, measure: str) -> str:
    """What the time between the two buys."""
    if seconds < 1:
        return f"{duration(seconds)} more buy {_amount(gain, measure)}."
    return f"Each second more buys {_amount(gain / seconds, measure)}, {_amount(gain, measure)} in all."


def _middle(rows: list[_Row]) -> str:
    """The methods between the two that take less than half of the time and are beaten by none."""
    found = "; ".join(f"{row['name'].lower()}, {row['text']} after {row['time']}" for row in rows)
    return f" In between: {found}." if found else ""


def _amount(value: float, measure: str) -> str:
    if measure == "loss":
        return f"{readable(value, 'loss')} nats"
    points = 100 * value
    if points < 0.05:
        return "less than 0.1 points"
    return f"{points:.1f} points" if points < 9.95 else f"{points:.0f} points"


def _faster(ratio: float) -> str:
    """`300 times as fast`: two digits at most."""
    return f"{float(f'{ratio:.2g}'):,g} times as fast" if ratio >= 1.95 else "hardly faster"
