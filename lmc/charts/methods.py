"""What every way of finding the order of the units gains, and what it costs: barriers against times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.methods_names import CANVASES, beside, names_chart
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval, pair_barriers

UNSEARCHED = ("none", "random")
"""Methods that look for nothing."""
_ROOM = 0.27  # of the width, for the name of the slowest
_ERROR_TICKS = (0, style.CONNECTED, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)


def tradeoff_chart(
    path: Table,
    methods: Table,
    *,
    split: str = "test",
    measure: str = "error",
    baseline: str = "line",
    resolution: float | None = None,
) -> Any:
    """Mean barrier against mean time of each method, from the tables `path` and `methods`; times on a logarithmic axis.

    Upright lines are 95% intervals over the pairs, of one pair ± `resolution`; level lines reach from the fastest pair
    to the slowest. No permutation takes no time: a line across. Methods that none beats in both are joined by a step
    line.
    """
    rows = method_means(path, methods, split=split, measure=measure, baseline=baseline, resolution=resolution)
    none, found = rows[rows["method"] == "none"], rows[rows["method"] != "none"]
    low, high = time_range(found["fast"].tolist() + found["slow"].tolist(), room=_ROOM)
    top = min(1.08 * float(rows["high"].max()) or 0.1, 1.0 if measure == "error" else math.inf)
    x = alt.X("seconds:Q", scale=alt.Scale(type="log", domain=[low, high], nice=False), axis=time_axis(low, high))
    y = _y(top, split, measure)
    layers = [*_level(none, x, y, low), *_threshold(measure, low, x, y), *_front(found, x, y)]
    layers += _marks(_named(found, none, (low, high), top, measure), x, y, several=int(rows["pairs"].max()) > 1)
    return style.finish(alt.layer(*layers), _describe(rows, split, measure), height=420)


def method_means(
    path: Table, methods: Table, *, split: str, measure: str, baseline: str = "line", resolution: float | None = None
) -> pd.DataFrame:
    """Columns method, name, barrier, low, high, seconds, fast, slow, pairs, text, between, time: means over pairs.

    `low` and `high` are the 95% interval of the barrier, `fast` and `slow` the least and the most time of a pair.
    """
    columns = ["pair", "method", "split", "lam", check_measure(measure)]
    barriers = pair_barriers(choose_rows(frame(path, columns), "split", split), measure, baseline)
    times = frame(methods, ["pair", "method", "seconds"])
    rows = []
    for method in style.ordered_methods(barriers):
        seconds = times.loc[times["method"] == method, "seconds"].to_numpy(float)
        if not len(seconds):
            continue
        found = mean_interval(barriers[method], resolution)
        low, high = max(found.low, 0.0), max(found.high, 0.0)
        took = (seconds.mean(), seconds.min(), seconds.max())
        rows.append((method, found.mean, low, high, *took, len(seconds)))
    names = ["method", "barrier", "low", "high", "seconds", "fast", "slow", "pairs"]
    data = pd.DataFrame(rows, columns=names)
    return data.assign(
        name=data["method"].map(style.method_label),
        text=[style.readable(v, measure) for v in data["barrier"]],
        between=[
            f"{style.readable(low, measure)} to {style.readable(high, measure)}"
            for low, high in zip(data["low"], data["high"], strict=True)
        ],
        time=[duration(v) for v in data["seconds"]],
    )


def duration(seconds: float) -> str:
    """How long something took, with two digits at most: `12 ms`, `0.31 s`, `3.1 s`, `14 s`, `2.3 min`.

    >>> [duration(t) for t in (2e-5, 0.0123, 0.3141, 3.14, 14.2, 140, 7300)]
    ['less than 1 ms', '12 ms', '0.31 s', '3.1 s', '14 s', '2.3 min', '2.0 h']
    """
    if seconds < 0.001:
        return "less than 1 ms"
    if seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


# A logarithmic axis of times


def time_range(seconds: Iterable[float], room: float = 0.06) -> tuple[float, float]:
    """A power of ten, at most 1 ms, from which on all the times lie, and an end with so much `room` behind the last."""
    known = [max(value, 1e-4) for value in seconds] or [1.0]
    low, last = math.floor(min(-3.0, math.log10(min(known)))), max(0.0, math.log10(max(known)))
    return 10.0**low, 10 ** (last + room * (last - low) / (1 - room))


def time_axis(low: float, high: float, title: str = "Time of the search") -> alt.Axis:
    """Ticks at powers of ten, in words."""
    powers = range(round(math.log10(low)), math.floor(math.log10(high)) + 1)
    words = "datum.value < 0.1 ? format(1000 * datum.value, '~g') + ' ms' : format(datum.value, ',~g') + ' s'"
    return alt.Axis(values=[10.0**k for k in powers], labelExpr=words, labelFlush=False, grid=False, title=title)


# What is drawn


def _y(top: float, split: str, measure: str) -> alt.Y:
    """Errors on a square-root scale, where low barriers can be told apart."""
    title = f"{split.capitalize()} {measure} barrier{'' if measure == 'error' else ' (nats)'}"
    if measure == "loss":
        return alt.Y("barrier:Q", scale=alt.Scale(domain=[0, top], nice=False), axis=style.value_axis(measure, title))
    ticks = [tick for tick in _ERROR_TICKS if tick <= top]
    axis = style.value_axis(measure, title, values=ticks, tickCount=len(ticks), labelOverlap=False)
    return alt.Y("barrier:Q", scale=alt.Scale(type="sqrt", domain=[0, top], nice=False), axis=axis)


def _level(none: pd.DataFrame, x: alt.X, y: alt.Y, left: float) -> list[alt.Chart]:
    """Where the barrier stands without a permutation."""
    if none.empty:
        return []
    at = alt.Chart(none.assign(seconds=left, words=[f"No permutation: {text}" for text in none["text"]]))
    color = style.method_color("none")
    text = at.mark_text(align="left", baseline="top", dx=6, dy=6, color=style.INK, fontSize=style.FONT["label"])
    return [
        at.mark_rule(color=color, strokeWidth=3).encode(y=y),
        text.encode(x=x, y=y, text="words:N"),
    ]


def _threshold(measure: str, left: float, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    if measure != "error":
        return []
    at = alt.Chart(pd.DataFrame({"barrier": [style.CONNECTED], "seconds": [left], "text": ["connected"]}))
    words = at.mark_text(align="left", baseline="top", dx=6, dy=5, color=style.INK, fontSize=14)
    return [
        at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2).encode(y=y),
        words.encode(x=x, y=y, text="text:N"),
    ]


def front(rows: pd.DataFrame) -> list[str]:
    """The methods that no other beats both in time and in barrier, the fastest first; controls are none of them."""
    best, found = math.inf, []
    matched = rows[~rows["method"].isin(UNSEARCHED)]
    for row in matched.sort_values(["seconds", "barrier"]).to_dict("records"):
        if row["barrier"] < best:
            best = row["barrier"]
            found.append(row["method"])
    return found


def _front(rows: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    names = front(rows)
    if len(names) < 2:
        return []
    at = rows[rows["method"].isin(names)][["seconds", "barrier"]]
    line = alt.Chart(at).mark_line(interpolate="step-after", color=style.INK, opacity=0.35, strokeWidth=2)
    return [line.encode(x=x, y=y)]


def _marks(rows: pd.DataFrame, x: alt.X, y: alt.Y, *, several: bool) -> list[alt.Chart]:
    tips = [("name", "Method"), ("text", "Barrier"), ("between", "Its interval"), ("time", "Time"), ("pairs", "Pairs")]
    base = alt.Chart(rows).encode(color=alt.Color("color:N", scale=None))
    marks = [base.mark_rule(strokeWidth=3, opacity=0.6).encode(x=x, y=alt.Y("low:Q"), y2="high:Q")]
    if several:
        marks.append(base.mark_rule(strokeWidth=3, opacity=0.6).encode(x=alt.X("fast:Q"), x2="slow:Q", y=y))
    dot = base.mark_circle(size=320, opacity=1)
    marks.append(dot.encode(x=x, y=y, tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in tips]))
    marks.append(names_chart(rows).encode(x=x, y=y, text="name:N"))
    return marks


def _named(
    rows: pd.DataFrame, none: pd.DataFrame, between: tuple[float, float], top: float, measure: str
) -> pd.DataFrame:
    """The rows with each mark's colour and the places of its name, such that no name covers another."""
    left, right = (math.log10(end) for end in between)

    def across(seconds: float) -> float:
        return (math.log10(max(seconds, between[0])) - left) / (right - left)

    def down(barrier: float) -> float:
        return 1 - (max(barrier, 0.0) / top) ** (0.5 if measure == "error" else 1.0)

    at = {r["method"]: (across(r["seconds"]), down(r["barrier"])) for r in rows.to_dict("records")}
    lines = [
        (x, x, down(high), down(low)) for (x, _), low, high in zip(at.values(), rows["low"], rows["high"], strict=True)
    ]
    for (x, above), (end, below) in itertools.pairwise(at[method] for method in front(rows)):
        lines += [(x, end, above, above), (end, end, above, below)]
    for barrier, words in ((none["barrier"], 22), (pd.Series([style.CONNECTED] * (measure == "error")), 15)):
        lines += [(0.0, 1.0, down(b), down(b)) for b in barrier]
        lines += [(0.0, words / 90, down(b), down(b) + 0.08) for b in barrier]  # written below the line
    found = [beside(list(at.values()), rows["name"].tolist(), lines, c).add_suffix(end) for end, c in CANVASES.items()]
    return pd.concat([rows.reset_index(drop=True), *found], axis=1).assign(
        color=rows["method"].map(style.method_color).tolist()
    )


def _describe(rows: pd.DataFrame, split: str, measure: str) -> str:
    found = "; ".join(
        f"{r['name']} {r['text']}{'' if r['method'] == 'none' else ' in ' + r['time']}" for r in rows.to_dict("records")
    )
    pairs = int(rows["pairs"].max())
    over = f" over {pairs} pairs" if pairs > 1 else ""
    return f"Chart of the mean {split} {measure} barrier{over} against the time that each method takes: {found}."
