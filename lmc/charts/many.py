"""Many networks merged into one: is it as good as those it was made from?"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval

_OTHERS = {
    "parents": "One network, on average",
    "best": "The best one",
    "ensemble": "Ensemble of all",
}
"""What the merged network is compared with; a permutation changes none of it."""

# Most of what is to be seen lies near 0, where the axis, a square root, has the most room.
_TICKS = {"error": [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1], "loss": [0, 0.01, 0.05, 0.2, 0.5, 1, 2, 4, 8, 16]}


def merged_chart(merged: Table, *, split: str = "test", measure: str = "error", resolution: float | None = None) -> Any:
    """The network in the middle under each method, beside its parents and their ensemble, from the table `merged`.

    The best parent is known for errors only. With several groups dots are means, lines their intervals.
    """
    data = choose_rows(frame(merged, ["group", "method", "split", f"{check_measure(measure)}_merged"]), "split", split)
    rows = merged_means(data, measure, resolution)
    rows["text"] = [style.readable(v, measure) for v in rows["value"]]
    title = f"{split.capitalize()} {style.MEASURES[measure]}"
    top = float(rows["high"].max()) * 1.04 or 0.1
    scale = alt.Scale(type="sqrt", domain=[0, top], nice=False, range=[14, alt.ExprRef("width - 80")])
    ticks = [value for value in _TICKS[measure] if value <= top]
    x = alt.X(
        "value:Q",
        scale=scale,
        axis=style.value_axis(
            measure, title, labelFlush=False, values=ticks, tickCount=99, labelOverlap="greedy", labelSeparation=8
        ),
    )
    beside = alt.Axis(ticks=False, domain=False, grid=False, labelFlush=False, labelLimit=330)
    base = alt.Chart(rows).encode(
        x=x,
        y=alt.Y("name:N", sort=rows["name"].tolist(), title=None, axis=beside),
        color=alt.Color("color:N", scale=None),
        tooltip=[alt.Tooltip("name:N", title="Network"), alt.Tooltip("text:N", title=measure.capitalize())],
    )
    text = base.mark_text(align="left", fontWeight="bold", color=style.INK)
    parts = [
        *_level(float(rows["value"].iloc[0]), measure),
        base.mark_rule(strokeWidth=4, opacity=0.6).encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
        base.mark_circle(size=260, opacity=1),
        text.encode(x=alt.XValue(alt.ExprRef("width - 62")), text="text:N", color=alt.value(style.INK)),
    ]
    found = "; ".join(f"{r['name']} {r['text']}" for r in rows.to_dict("records"))
    description = f"{title} of the networks, of their ensemble, and of one network merged from all of them: {found}."
    return style.finish(alt.layer(*parts), description, height=70 + 44 * len(rows))


def merged_means(data: pd.DataFrame, measure: str, resolution: float | None = None) -> pd.DataFrame:
    """Columns name, value, low, high, color: parents, best, ensemble, then the merged network of each method."""
    once = data.drop_duplicates("group")
    columns = {"parents": f"{measure}_parents", "best": f"best_{measure}_parents", "ensemble": f"{measure}_ensemble"}
    rows = []
    for what, column in columns.items():
        if column in data.columns:
            rows.append((_OTHERS[what], *mean_interval(once[column].to_numpy(), resolution), style.INK))
    for method in style.ordered_methods(data["method"]):
        here = data[data["method"] == method]
        found = mean_interval(here[f"{measure}_merged"].to_numpy(), resolution)
        rows.append((f"Merged: {style.method_label(method).lower()}", *found, style.method_color(method)))
    table = pd.DataFrame(rows, columns=["name", "value", "low", "high", "color"])
    return table.assign(low=table["low"].clip(lower=0.0))


def _level(parents: float, measure: str) -> list[alt.Chart]:
    """A dotted line up to which merging costs nothing, or for errors no more than counts as connected."""
    points = style.CONNECTED if measure == "error" else 0.0
    words = f"{100 * points:g} points worse than one network" if points else "one network, on average"
    at = alt.Chart(pd.DataFrame({"value": [parents + points], "text": [words]}))
    rule = at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2).encode(x="value:Q")
    text = at.mark_text(color=style.INK, align="left", baseline="bottom", dx=-4, fontSize=style.FONT["label"])
    return [rule, text.encode(x="value:Q", y=alt.value(-4), text="text:N")]
