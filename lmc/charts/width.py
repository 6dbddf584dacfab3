"""How barriers fall as networks get wider: one panel for each comparison, side by side on one scale."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval

COMPARISON_LABELS = {
    "direct": "Each pair matched directly",
    "1-2 direct": "Matched to each other",
    "1-2 via 0": "Both matched to a third",
    "simplex": "Whole triangle",
    "centroid": "Middle of the triangle",
}
CONNECTIVITY = {"direct": "weak", "1-2 direct": "weak", "1-2 via 0": "strong", "simplex": "strong"}
"""Comparison → the connectivity of networks that have no barrier in it; the middle alone does not say."""
PAIRS = ("0-1", "0-2", "1-2 direct")
"""The comparisons of two networks matched to each other; `direct` is their mean in each triple."""

_GAP = 0.13  # between two panels, in widths of a panel
_DODGE = 0.12  # between the methods at one width, in doublings of the width
_ERROR_TICKS = [0, style.CONNECTED, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1]
_COLUMNS = ("width", "triple", "method", "comparison", "split")


def comparison_label(comparison: str) -> str:
    """A comparison in words; one between two places, such as `0-1`, is spelled as it is."""
    return COMPARISON_LABELS.get(comparison, comparison)


def width_chart(
    widths: Table,
    *,
    comparisons: Sequence[str] = ("1-2 direct", "1-2 via 0"),
    split: str = "test",
    measure: str = "error",
    methods: Sequence[str] | None = None,
    resolution: float | None = None,
    planned: Sequence[int] = (),
) -> Any:
    """Mean barrier against width with its 95% interval over the triples, from the `widths` table.

    One panel for each of the `comparisons` (also `direct`), a colour for each of the `methods` (default: all there
    are). Single triples are faint points; the selection `spot` gives the `width` and `triple` of the one clicked on.
    With `planned` widths the axes are fixed before all is computed, so that nothing jumps. `resolution` is 1/n for n
    images. Errors stand on a square-root scale, where low barriers can be told apart.
    """
    singles = triple_barriers(widths, comparisons, split=split, measure=measure)
    shown = style.ordered_methods(singles["method"]) if methods is None else list(methods)
    singles = singles[singles["method"].isin(shown)]
    means = width_means(singles, resolution)
    if measure == "error":
        means["high"] = means["high"].clip(upper=1.0)
    axis = _Panels(list(comparisons), sorted({*map(int, singles["width"]), *map(int, planned)}), shown)
    singles, means = axis.placed(singles), axis.placed(means)
    y = _y(means, singles, split, measure, whole=bool(planned))
    layers = [*_frames(axis, measure), *_means(means, y, shown, measure), *_singles(singles, y, measure)]
    chart = alt.layer(*layers).encode(x=axis.x())
    return style.finish(chart, _describe(means, list(comparisons), shown, split, measure), height=480)


def triple_barriers(widths: Table, comparisons: Sequence[str], *, split: str, measure: str) -> pd.DataFrame:
    """Columns width, triple, method, comparison, value: one barrier for each triple; `direct` is a mean of three."""
    column = f"{check_measure(measure)}_barrier"
    data = choose_rows(frame(widths, (*_COLUMNS, column)), "split", split)
    data = data.rename(columns={column: "value"}).dropna(subset="value")
    keys = ["width", "triple", "method", "comparison"]
    parts: list[pd.DataFrame] = []
    for comparison in comparisons:
        if comparison == "direct":
            pairs = data[data["comparison"].isin(PAIRS)].assign(comparison="direct")
            parts.append(pairs.groupby(keys, sort=False)["value"].mean().reset_index())
        else:
            parts.append(choose_rows(data, "comparison", comparison)[[*keys, "value"]])
    return pd.concat(parts, ignore_index=True)


def width_means(singles: pd.DataFrame, resolution: float | None = None) -> pd.DataFrame:
    """Columns comparison, method, width, value, low, high, triples: the mean over triples and its interval.

    An interval does not reach below 0, where no barrier can be, unless the mean itself lies there, as it may in the
    middle of a triangle.
    """
    rows = []
    for key, group in singles.groupby(["comparison", "method", "width"], sort=True):
        found = mean_interval(group["value"].to_numpy(), resolution)
        low, high = max(found.low, min(0.0, found.mean)), max(found.high, found.mean)
        rows.append((*key, found.mean, low, high, group["triple"].nunique()))
    return pd.DataFrame(rows, columns=["comparison", "method", "width", "value", "low", "high", "triples"])


class _Panels:
    """Where widths stand: doublings along one axis, panel after panel, methods a little beside one another."""

    def __init__(self, comparisons: list[str], widths: list[int], methods: list[str]) -> None:
        self.comparisons, self.widths, self.methods = comparisons, widths, methods
        doublings = np.log2(widths) - np.log2(widths[0])
        self.margin = max(0.3, 0.06 * float(doublings[-1])) + _DODGE * len(methods) / 2
        self.span = float(doublings[-1]) + 2 * self.margin
        self.ticks = [[self.left(i) + self.margin + float(d) for d in doublings] for i in range(len(comparisons))]

    def left(self, panel: int) -> float:
        return panel * self.span * (1 + _GAP)

    def placed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with a column `x`, and names for method and comparison."""
        ticks = {
            (c, w): tick
            for c, panel in zip(self.comparisons, self.ticks, strict=True)
            for w, tick in zip(self.widths, panel, strict=True)
        }
        middle = (len(self.methods) - 1) / 2
        x = [
            ticks[c, int(w)] + _DODGE * (self.methods.index(m) - middle)
            for c, w, m in zip(rows["comparison"], rows["width"], rows["method"], strict=True)
        ]
        return rows.assign(
            x=x, name=rows["method"].map(style.method_label), what=rows["comparison"].map(comparison_label)
        )

    def x(self) -> alt.X:
        places = [tick for panel in self.ticks for tick in panel]
        words = (
            f"{json.dumps([str(w) for w in self.widths] * len(self.ticks))}[indexof({json.dumps(places)}, datum.value)]"
        )
        axis = alt.Axis(
            values=places, labelExpr=words, labelFlush=False, labelOverlap="greedy", grid=False, title="Width"
        )
        right = self.left(len(self.ticks) - 1) + self.span
        return alt.X("x:Q", scale=alt.Scale(domain=[0, right], nice=False, zero=False), axis=axis)

    def frame(self) -> pd.DataFrame:
        """One row for each panel: x, x2, title, asks."""
        left = [self.left(i) for i in range(len(self.ticks))]
        titles = [comparison_label(c) for c in self.comparisons]
        asks = [f"{CONNECTIVITY[c]} connectivity" if c in CONNECTIVITY else "" for c in self.comparisons]
        return pd.DataFrame({"x": left, "x2": [v + self.span for v in left], "title": titles, "asks": asks})


def _y(means: pd.DataFrame, singles: pd.DataFrame, split: str, measure: str, *, whole: bool) -> alt.Y:
    """Errors on a square-root scale that also holds what is a little below 0; `whole`: up to 1 in any case."""
    title = f"{split.capitalize()} {measure} barrier" + (" (nats)" if measure == "loss" else "")
    low = min(0.0, float(means["low"].min()), float(singles["value"].min()))
    high = max(float(means["high"].max()), float(singles["value"].max()), 2 * style.CONNECTED)
    if measure == "loss":
        scale = alt.Scale(domain=[low, 1.05 * high], nice=False)
        return alt.Y("value:Q", scale=scale, axis=style.value_axis(measure, title))
    top = 1.0 if whole else min(1.0, 1.05 * high)
    ticks = [tick for tick in _ERROR_TICKS if tick <= top]
    axis = style.value_axis(measure, title, values=ticks, tickCount=len(ticks), labelOverlap=False)
    return alt.Y("value:Q", scale=alt.Scale(type="sqrt", domain=[low, top], nice=False), axis=axis)


def _frames(axis: _Panels, measure: str) -> list[alt.Chart]:
    """The title of each panel, and in each the line below which networks count as connected.

    The word stands where networks are narrow and curves are high.
    """
    panels = alt.Chart(axis.frame())
    wide = f"(width / {len(axis.ticks)})"
    words: dict[str, Any] = {"align": "left", "color": style.INK, "dx": 2}
    title = panels.mark_text(
        fontSize=alt.ExprRef(f"clamp({wide} / 12, 10, 17)"), fontWeight="bold", baseline="bottom",
        limit=alt.ExprRef(f"{wide} - 4"), **words,
    )  # fmt: skip
    asked = panels.mark_text(fontSize=alt.ExprRef(f"clamp({wide} / 12, 10, 15)"), baseline="bottom", **words)
    layers = [
        title.encode(x="x:Q", y=alt.value(-32), text="title:N"),
        asked.encode(x="x:Q", y=alt.value(-12), text="asks:N"),
    ]
    if measure == "error":
        at = alt.Chart(axis.frame().assign(value=style.CONNECTED))
        rule = at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2)
        layers.append(rule.encode(x="x:Q", x2="x2:Q", y="value:Q"))
        below = at.mark_text(text="connected", fontSize=14, baseline="top", dy=5, **words)
        layers.append(below.encode(x="x:Q", y="value:Q"))
    return layers


def _singles(singles: pd.DataFrame, y: alt.Y, measure: str) -> list[alt.Chart]:
    """A faint point for each triple, above all else so that it can be clicked on."""
    spot = alt.selection_point(name="spot", fields=["width", "triple"], empty=False, on="click")
    tips = _tips([alt.Tooltip("triple:N", title="Triple")], [alt.Tooltip("text:N", title="Barrier")])
    words = [style.readable(v, measure) for v in singles["value"]]
    points = alt.Chart(singles.assign(text=words)).mark_circle(cursor="pointer", stroke=style.INK)
    faint = points.encode(
        y=y,
        color=alt.Color("name:N"),
        opacity=alt.when(spot).then(alt.value(1)).otherwise(alt.value(0.35)),
        size=alt.when(spot).then(alt.value(190)).otherwise(alt.value(70)),
        strokeWidth=alt.when(spot).then(alt.value(2)).otherwise(alt.value(0)),
        tooltip=tips,
    )
    return [faint.add_params(spot)]


def _means(means: pd.DataFrame, y: alt.Y, methods: list[str], measure: str) -> list[alt.Chart]:
    names = [style.method_label(m) for m in methods]
    legend = style.top_legend(columns=3, offset=72, symbolType="stroke")
    colors = alt.Scale(domain=names, range=[style.method_color(m) for m in methods])
    dashes = alt.Scale(domain=names, range=[style.method_dash(m) for m in methods])
    color = alt.Color("name:N", scale=colors, legend=legend)
    means = means.assign(
        text=[style.readable(v, measure) for v in means["value"]],
        interval=[
            f"{style.readable(low, measure)} to {style.readable(high, measure)}"
            for low, high in zip(means["low"], means["high"], strict=True)
        ],
    )
    last = [alt.Tooltip("text:N", title="Mean"), alt.Tooltip("interval:N", title="95% interval")]
    tips = _tips([alt.Tooltip("triples:Q", title="Triples")], last)
    base = alt.Chart(means).encode(color=color)
    dash = alt.StrokeDash("name:N", scale=dashes, legend=legend)
    return [
        base.mark_line(strokeWidth=3.5, strokeCap="butt").encode(y=y, strokeDash=dash, detail="comparison:N"),
        base.mark_rule(strokeWidth=2.5).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_circle(size=150, opacity=1).encode(y=y, tooltip=tips),
    ]


def _tips(first: list[alt.Tooltip], last: list[alt.Tooltip]) -> list[alt.Tooltip]:
    shared = [alt.Tooltip("what:N", title="Comparison"), alt.Tooltip("name:N", title="Method")]
    return [*shared, alt.Tooltip("width:Q", title="Width"), *first, *last]


def _describe(means: pd.DataFrame, comparisons: list[str], methods: list[str], split: str, measure: str) -> str:
    """What each curve does from its smallest to its largest width."""
    found = []
    for comparison in comparisons:
        curves = []
        for method in methods:
            curve = means[(means["comparison"] == comparison) & (means["method"] == method)].sort_values("width")
            if len(curve):
                ends = curve.iloc[[0, -1]] if len(curve) > 1 else curve
                values = zip(ends["value"], ends["width"], strict=True)
                said = " and ".join(f"{style.readable(v, measure)} at width {w}" for v, w in values)
                curves.append(f"{style.method_label(method).lower()} {said}")
        found.append(f"{comparison_label(comparison)}: {'; '.join(curves)}")
    triples = f"{means['triples'].max()} triple{'s' * bool(means['triples'].max() != 1)}"
    return f"Chart of the mean {split} {measure} barrier over {triples} against width. {'. '.join(found)}."
