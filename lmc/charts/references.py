"""Which network the others are matched to: the barrier between two of them via each third one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval

_KINDS = {"direct": "matched to each other", "via": "via the third"}


def references_chart(
    via: Table,
    *,
    split: str = "test",
    measure: str = "error",
    labels: Sequence[str] | None = None,
    resolution: float | None = None,
) -> Any:
    """For each network as the reference of the other two, their barrier via it below the direct one, from `via`.

    With several triples dots are means, lines their intervals. Without a permutation there is nothing to choose, so
    method `none` is left out.
    """
    column = f"{check_measure(measure)}_barrier"
    names = ["triple", "method", "reference", "comparison", "split", column, f"direct_{column}"]
    data = choose_rows(frame(via, names), "split", split)
    if set(data["method"]) - {"none"}:
        data = data[data["method"] != "none"]
    methods = style.ordered_methods(data["method"])
    rows = reference_means(data, measure, methods, resolution)
    rows["networks"] = [_networks(place, labels) for place in rows["reference"]]
    rows["name"] = rows["method"].map(style.method_label)
    rows["place"] = rows["name"] + rows["kind"]
    rows["what"] = rows["kind"].map(_KINDS)
    rows["text"] = [style.readable(v, measure) for v in rows["value"]]
    triples = data["triple"].nunique()
    marks = _marks(rows, methods, split, measure, several=triples > 1)
    words = _describe(rows, split, measure, triples)
    return style.finish(alt.layer(*marks), words, height=90 + 3 * (20 + 52 * len(methods)))


def reference_means(
    data: pd.DataFrame, measure: str, methods: Sequence[str], resolution: float | None = None
) -> pd.DataFrame:
    """Columns reference, method, kind (direct or via), value, low, high: the barriers, means over triples."""
    rows = []
    for reference in sorted(set(data["reference"])):
        for method in methods:
            here = data[(data["reference"] == reference) & (data["method"] == method)]
            for kind, column in (("direct", f"direct_{measure}_barrier"), ("via", f"{measure}_barrier")):
                found = mean_interval(here[column].to_numpy(), resolution)
                low, high = max(found.low, 0.0), max(found.high, 0.0)
                rows.append((int(reference), method, kind, found.mean, low, high))
    return pd.DataFrame(rows, columns=["reference", "method", "kind", "value", "low", "high"])


def _networks(reference: int, labels: Sequence[str] | None) -> str:
    pair = "–".join(letter for k, letter in enumerate("ABC") if k != reference)
    letter = "ABC"[reference]
    return f"{pair} via {style.network_label(letter, labels[reference]) if labels else letter}"


def _marks(rows: pd.DataFrame, methods: Sequence[str], split: str, measure: str, *, several: bool) -> list[alt.Chart]:
    names = [style.method_label(m) for m in methods]
    unit = "" if measure == "error" else " (nats)"
    title = f"{split.capitalize()} {measure} barrier{unit}: ○ matched to each other, ● via the third"
    top = float(rows["high"].max()) * 1.04 or 0.1
    scale = alt.Scale(domain=[0, top], nice=False, range=[14, alt.ExprRef("width - 80")])
    x = alt.X("value:Q", scale=scale, axis=style.value_axis(measure, title, labelFlush=False))
    legend = style.top_legend(
        columns=3, symbolType="circle", symbolSize=180, symbolStrokeWidth=0, symbolOpacity=1, offset=30
    )
    colors = alt.Scale(domain=names, range=[style.method_color(m) for m in methods])
    beside = alt.Axis(ticks=False, domain=False, grid=False, labelFlush=False)
    tips = [("networks", "Networks"), ("name", "Method"), ("what", "Matching"), ("text", "Barrier")]
    base = alt.Chart(rows).encode(
        x=x,
        y=alt.Y("networks:N", sort=list(dict.fromkeys(rows["networks"])), title=None, axis=beside),
        yOffset=alt.YOffset("place:N", sort=[f"{name}{kind}" for name in names for kind in _KINDS]),
        color=alt.Color("name:N", scale=colors, legend=legend),
        tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in tips],
    )
    marks = []
    if several:
        marks.append(base.mark_rule(strokeWidth=3, opacity=0.6).encode(x=alt.X("low:Q", scale=scale), x2="high:Q"))
    for kind, filled in (("direct", False), ("via", True)):
        dot = base.mark_point(size=190, strokeWidth=3, opacity=1, filled=filled)
        marks.append(dot.transform_filter(alt.datum.kind == kind))
    text = base.mark_text(align="left", fontSize=style.FONT["label"])
    marks.append(text.encode(x=alt.XValue(alt.ExprRef("width - 62")), text="text:N", color=alt.value(style.INK)))
    return [*_threshold(), *marks] if measure == "error" else marks


def _threshold() -> list[alt.Chart]:
    at = alt.Chart(pd.DataFrame({"value": [style.CONNECTED], "text": ["2 points or less: connected"]}))
    rule = at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2).encode(x="value:Q")
    text = at.mark_text(color=style.INK, align="left", baseline="bottom", dx=-4, fontSize=style.FONT["label"])
    return [rule, text.encode(x="value:Q", y=alt.value(-4), text="text:N")]


def _describe(rows: pd.DataFrame, split: str, measure: str, triples: int) -> str:
    found = []
    for (networks, method), values in rows.groupby(["networks", "name"], sort=False):
        direct, via = values["text"]
        found.append(f"{networks}, {str(method).lower()}: {direct} matched to each other, {via} via it")
    over = f", mean over {triples} triples" if triples > 1 else ""
    return f"Barriers of {split} {measure} between two networks, directly and via a third{over}. {'; '.join(found)}."
