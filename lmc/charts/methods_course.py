"""How the searches go: the loss halfway as time passes, and weight matching's objective step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from lmc.charts import style
from lmc.charts.methods import duration, time_axis, time_range
from lmc.charts.summary import Table, choose_rows, clipped, frame, mean_interval

DESCENTS = ("straight_through", "sinkhorn", "annealing")
"""Methods that descend a loss, step by step."""
AT_ONCE = ("weight", "activation")
"""Methods that look at no loss; what they leave is a single mark."""
ROWS = "searches"
"""The name under which a growing chart looks for its rows."""
COLUMNS = ("kind", "name", "pair", "seconds", "value", "low", "high")
_POINTS = 80  # times at which means over pairs are taken
_SHORTEST = 1e-3  # seconds; what comes before stands at the left end
_MOST_NAMES = 8  # layers that are all named in the legend
_START = "Start"
_LIKENESS = {"dot": "Inner product", "cosine": "Sum of cosines"}  # by the kernel of weight matching


# The loss halfway against time


def course_chart(course: Table, path: Table, times: Table, *, methods: Sequence[str]) -> Any:
    """Loss halfway against the time of the search, from the tables `course`, `path` and `methods`, on a log axis.

    Of the `methods`, those that descend it are lines, from three pairs on their mean with its 95% interval; the others
    are marks, at the train loss of the path at λ = 0.5.
    """
    rows = course_rows(course, path, times, methods=methods)
    chart = _course(rows, shown_in(methods), rows["seconds"])
    return style.finish(chart, _describe_course(rows), height=380)


def growing_course(methods: Sequence[str]) -> Any:
    """The same while searches go on: built once, then only given more rows, those of `course_rows`."""
    shown = shown_in(methods)
    names = ", ".join(map(style.method_label, shown))
    chart = _course(alt.NamedData(name=ROWS), shown, None)
    return style.finish(chart, f"Loss halfway against the time of the search, as it goes: {names}.", height=340)


def shown_in(methods: Sequence[str]) -> list[str]:
    """Those of the methods that have a line or a mark in the chart, in the order of all charts."""
    return [method for method in style.ordered_methods(methods) if method in (*AT_ONCE, *DESCENTS)]


def course_rows(
    course: Table | None, path: Table | None, times: Table | None, *, methods: Sequence[str], mean: bool = True
) -> pd.DataFrame:
    """The `COLUMNS`, of what there is: searches (kind `line`), and the marks of methods that do not descend.

    A search keeps the steps at which its value changes. With `mean` several pairs make one line, their mean; of two
    pairs or fewer `low` and `high` are empty, and two stand singly beside it.
    """
    parts = [] if course is None else _lines(frame(course, ("pair", "method", "seconds", "value")), methods, mean)
    if path is not None and times is not None:
        parts.append(at_once(path, times, methods))
    rows = pd.concat([pd.DataFrame(columns=["method", *COLUMNS]).astype({"seconds": float, "value": float}), *parts])
    return rows.assign(name=rows["method"].map(style.method_label))[list(COLUMNS)].reset_index(drop=True)


def _lines(course: pd.DataFrame, methods: Sequence[str], mean: bool) -> list[pd.DataFrame]:
    found = []
    for method in [method for method in DESCENTS if method in methods]:
        rows = course[course["method"] == method].dropna(subset="value")
        searches = [_changes(one) for _, one in rows.groupby("pair", sort=False)]
        if mean and len(searches) > 1:
            found.append(_mean(searches).assign(kind="line", pair="mean", method=method))
            searches = [one.assign(kind="single") for one in searches] if len(searches) == 2 else []
        found += [one.assign(method=method) for one in searches]
    return found


def _changes(search: pd.DataFrame) -> pd.DataFrame:
    """The steps of a search at which its value changes, and its last one."""
    rows = search[["pair", "seconds", "value"]].sort_values("seconds", kind="stable")
    last = np.arange(len(rows)) == len(rows) - 1
    rows = rows[(rows["value"].diff() != 0) | last]
    return rows.assign(seconds=rows["seconds"].clip(lower=_SHORTEST), kind="line")


def _mean(searches: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean over pairs as time passes: each has the value of its last step so far."""
    begins, ends = ([search["seconds"].iloc[place] for search in searches] for place in (0, -1))
    times = np.geomspace(min(begins), max(*ends, 2 * _SHORTEST), _POINTS)
    values = []
    for search in searches:
        step = np.searchsorted(search["seconds"].to_numpy(), times, side="right") - 1
        values.append(search["value"].to_numpy()[np.maximum(step, 0)])
    found = [mean_interval(column) for column in np.stack(values, 1)]
    rows = pd.DataFrame(found, columns=["value", "low", "high"]).assign(seconds=times)
    return clipped(rows, "loss") if len(searches) > 2 else rows[["seconds", "value"]]


def at_once(path: Table, times: Table, methods: Sequence[str]) -> pd.DataFrame:
    """A mark for each method that looks at no loss: mean time, and mean train loss halfway.

    Empty where no point of the path lies halfway, as with an even number of them.
    """
    half = frame(path, ("pair", "method", "split", "lam", "loss"))
    half = half[(half["lam"] == 0.5) & (half["split"] == "train")]
    took = frame(times, ("pair", "method", "seconds"))
    both = half.merge(took, on=["pair", "method"])
    both = both[both["method"].isin([method for method in AT_ONCE if method in methods])]
    rows = both.groupby("method", sort=False, as_index=False)[["seconds", "loss"]].mean()
    rows = rows.rename(columns={"loss": "value"})
    return rows.assign(seconds=rows["seconds"].clip(lower=_SHORTEST), kind="mark", pair="mean")


def _course(data: Any, methods: Sequence[str], seconds: pd.Series | None) -> Any:
    """`seconds` are all times there are, or None where more will come."""
    names, colors = [style.method_label(m) for m in methods], [style.method_color(m) for m in methods]
    legend = style.top_legend(columns=3, symbolType="stroke", symbolOpacity=1)
    low, high = (_SHORTEST, 60.0) if seconds is None else time_range(seconds)
    known: dict[str, Any] = {"domain": [low, high], "nice": False}
    scale = alt.Scale(type="log", **({"domainMin": low, "nice": True} if seconds is None else known))
    x = alt.X("seconds:Q", scale=scale, axis=time_axis(low, 1e5))
    title = "Loss halfway between A and B (nats)"
    y = alt.Y("value:Q", scale=alt.Scale(zero=True, domainMin=0), axis=style.value_axis("loss", title))
    color = alt.Color("name:N", scale=alt.Scale(domain=names, range=colors), legend=legend)
    dashes = alt.Scale(domain=names, range=[style.method_dash(m) if m in DESCENTS else [1, 0] for m in methods])
    base = alt.Chart(data).encode(x=x, color=color)
    line: dict[str, Any] = {"interpolate": "step-after", "strokeCap": "butt"}
    steps = base.transform_filter(alt.datum.kind == "line")
    last = steps.transform_joinaggregate(end="max(seconds)", groupby=["name", "pair"])
    tips = [alt.Tooltip("name:N", title="Method"), alt.Tooltip("value:Q", title="Loss halfway", format=".3f")]
    tips.append(alt.Tooltip("seconds:Q", title="Seconds", format=".3~g"))
    dot = {"y": y, "tooltip": tips}
    return alt.layer(
        steps.transform_filter("isValid(datum.low)")
        .mark_area(opacity=0.15, interpolate="step-after")
        .encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.transform_filter(alt.datum.kind == "single")
        .mark_line(strokeWidth=1.5, opacity=0.45, **line)
        .encode(y=y, detail="pair:N"),
        steps.mark_line(strokeWidth=3.5, **line).encode(
            y=y, strokeDash=alt.StrokeDash("name:N", scale=dashes, legend=legend), detail="pair:N"
        ),
        last.transform_filter("datum.seconds == datum.end").mark_circle(size=130, opacity=1).encode(**dot),
        base.transform_filter(alt.datum.kind == "mark")
        .mark_point(shape="diamond", filled=True, size=260, opacity=1)
        .encode(**dot),
    )


def _describe_course(rows: pd.DataFrame) -> str:
    found = []
    for name, here in rows[rows["kind"] != "single"].groupby("name", sort=False):
        ends = here.sort_values("seconds").iloc[[0, -1]].to_dict("records")
        first, last = (f"{end['value']:.2f}" for end in ends)
        took = duration(ends[1]["seconds"])
        found.append(f"{name} {first if first == last else f'from {first} to {last}'} in {took}")
    return f"Loss halfway between A and B against the time of the search: {'; '.join(found)}."


# Weight matching step by step


def objective_chart(course: Table, *, pair: str, names: Mapping[str, str] | None = None, kernel: str = "dot") -> Any:
    """The likeness of A and the reordered B after every step of weight matching, by the layer that was reordered.

    From the table `course`; `names` says what to call its groups. Likeness is the inner product, or with the `kernel`
    cosine the sum of the cosines of the units' weights.
    """
    likeness = _LIKENESS[kernel]
    rows = objective_rows(course, pair=pair, names=names)
    layers = [layer for layer in dict.fromkeys(rows["layer"]) if layer != _START]
    named = [layer for layer in (names or {}).values() if layer in layers]
    layers = [*named, *(layer for layer in layers if layer not in named)]
    colors = alt.Scale(domain=[_START, *layers], range=[style.INK, *style.layer_colors(len(layers))])
    shown = layers if len(layers) <= _MOST_NAMES else [layers[0], layers[len(layers) // 2], layers[-1]]
    legend = style.top_legend(
        columns=5, values=[_START, *shown], symbolType="circle", symbolSize=160, symbolStrokeWidth=0, symbolOpacity=1
    )
    low, high = float(rows["value"].min()), float(rows["value"].max())
    room = 0.08 * (high - low) or 1.0
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[low - room, high + room], nice=False, zero=False),
        axis=style.value_axis("loss", f"{likeness} of A and B", format=",.0f" if high - low > 8 else ".2f"),
    )
    x = alt.X("step:Q", scale=alt.Scale(padding=16, nice=False), axis=alt.Axis(title="Step", tickMinStep=1, grid=False))
    tips = [alt.Tooltip("layer:N", title="Reordered"), alt.Tooltip("step:Q", title="Step")]
    tips += [alt.Tooltip("value:Q", title=likeness, format=".2f"), alt.Tooltip("time:N", title="After")]
    base = alt.Chart(rows).encode(x=x, y=y)
    line = base.mark_line(color=style.INK, opacity=0.4, strokeWidth=2, interpolate="step-after")
    dot = base.mark_circle(size=160, opacity=1)
    chart = alt.layer(line, dot.encode(color=alt.Color("layer:N", scale=colors, legend=legend), tooltip=tips))
    steps = int(rows["step"].max())
    words = f"{likeness} of A's and B's reordered weights over {steps} steps of weight matching: from {low:.2f} to \
{high:.2f}."
    return style.finish(chart, words, height=320)


def objective_rows(course: Table, *, pair: str, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Columns step, layer, value, seconds, time: the start and every step of weight matching on that pair."""
    data = frame(course, ("pair", "method", "seconds", "value", "group"))
    rows = choose_rows(choose_rows(data, "method", "weight"), "pair", pair)
    called = [(names or {}).get(group, group) if isinstance(group, str) else _START for group in rows["group"]]
    return pd.DataFrame(
        {
            "step": range(len(rows)),
            "layer": called,
            "value": rows["value"].to_list(),
            "seconds": rows["seconds"].to_list(),
            "time": [duration(v) for v in rows["seconds"]],
        }
    )
