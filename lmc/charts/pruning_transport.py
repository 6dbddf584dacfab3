"""One network trained under several masks: how good does each make it?"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval

MASKS = {
    "own": "Its own mask",
    "transported": "A's mask, carried over",
    "unpermuted": "A's mask, as it is",
    "random": "A random mask",
}
"""Mask in the table → its name on charts."""


def transport_chart(
    transport: Table,
    *,
    split: str = "test",
    measure: str = "error",
    dense: float | None = None,
    resolution: float | None = None,
) -> Any:
    """Error or loss of B trained under each mask, from the `transport` table: every pair faint, the mean with its
    95% interval. `dense` is the mean of B before it was pruned, `resolution` 1/n for n images.
    """
    singles = named_masks(transport, split=split, measure=measure)
    means = transport_means(singles, measure, resolution)
    order = list(dict.fromkeys(means["name"]))
    top = 1.08 * max(float(means["high"].max()), float(singles["value"].max()), dense or 0.0)
    scale = alt.Scale(domain=[0, min(1.0, top) if measure == "error" else top], nice=False)
    scale.range = [14, alt.ExprRef("width - 70")]
    unit = "" if measure == "error" else " (nats)"
    x = alt.X(
        "value:Q",
        scale=scale,
        axis=style.value_axis(measure, f"{split.capitalize()} {measure} of B{unit}", labelFlush=False),
    )
    y = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, grid=False))
    colors = alt.Color("color:N", scale=None, legend=None)
    means = means.assign(text=[style.readable(v, measure) for v in means["value"]])
    singles = singles.assign(text=[style.readable(v, measure) for v in singles["value"]])
    tips = [alt.Tooltip("name:N", title="Mask"), alt.Tooltip("text:N", title=measure.capitalize())]
    point = alt.Chart(singles).mark_circle(size=80, opacity=0.35)
    base = alt.Chart(means).encode(y=y)
    marks = [
        base.mark_rule(strokeWidth=4, opacity=0.6).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", color=colors),
        point.encode(x=x, y=y, color=colors, tooltip=[alt.Tooltip("pair:N", title="Pair"), *tips]),
        base.mark_circle(size=240, opacity=1).encode(x=x, color=colors, tooltip=tips),
        base.mark_text(align="left", color=style.INK, fontSize=style.FONT["label"]).encode(
            x=alt.XValue(alt.ExprRef("width - 58")), text="text:N"
        ),
    ]
    layers = [*_reference(dense, scale), *marks]
    return style.finish(
        alt.layer(*layers), _describe(means, singles, split, measure, dense), height=110 + 46 * len(order)
    )


def named_masks(transport: Table, *, split: str, measure: str) -> pd.DataFrame:
    """Columns pair, mask, method, name, color, value: one row for each pair and mask, the best known mask first."""
    data = choose_rows(frame(transport, ("pair", "method", "mask", "split", check_measure(measure))), "split", split)
    carried = data.loc[data["mask"] == "transported", "method"].nunique()
    names = [
        f"{MASKS[mask]}: {style.method_label(method).lower()}" if mask == "transported" and carried > 1 else MASKS[mask]
        for mask, method in zip(data["mask"], data["method"], strict=True)
    ]
    own = {"own": style.NETWORK_COLORS["B"], "unpermuted": style.method_color("none")}
    own["random"] = style.method_color("random")
    colors = [own.get(mask, style.method_color(m)) for mask, m in zip(data["mask"], data["method"], strict=True)]
    rows = data.assign(
        name=names, color=colors, value=data[measure], place=[list(MASKS).index(m) for m in data["mask"]]
    )
    rows = rows.sort_values("place", kind="stable", ignore_index=True)
    return rows[["pair", "mask", "method", "name", "color", "value"]]


def transport_means(singles: pd.DataFrame, measure: str, resolution: float | None = None) -> pd.DataFrame:
    """Columns mask, method, name, color, value, low, high, pairs, from rows of `named_masks`."""
    rows = []
    for key, group in singles.groupby(["mask", "method", "name", "color"], sort=False):
        found = mean_interval(group["value"].to_numpy(), resolution)
        high = min(1.0, found.high) if measure == "error" else found.high
        rows.append((*key, found.mean, max(0.0, found.low), high, group["pair"].nunique()))
    return pd.DataFrame(rows, columns=["mask", "method", "name", "color", "value", "low", "high", "pairs"])


def _reference(dense: float | None, scale: alt.Scale) -> list[alt.Chart]:
    if dense is None:
        return []
    at = alt.Chart(pd.DataFrame({"value": [dense], "text": ["B before pruning"]}))
    x = alt.X("value:Q", scale=scale)
    rule = at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2).encode(x=x)
    text = at.mark_text(color=style.INK, align="left", baseline="bottom", dx=-4, fontSize=style.FONT["label"])
    return [rule, text.encode(x=x, y=alt.value(-4), text="text:N")]


def _describe(means: pd.DataFrame, singles: pd.DataFrame, split: str, measure: str, dense: float | None) -> str:
    found = "; ".join(f"{name.lower()} {text}" for name, text in zip(means["name"], means["text"], strict=True))
    pairs = singles["pair"].nunique()
    over = f", mean over {pairs} pairs" if pairs > 1 else ""
    before = "" if dense is None else f" Before pruning it is {style.readable(dense, measure)}."
    return f"Chart of the {split} {measure} of B trained under different masks{over}. {found}.{before}"
