"""What pruning keeps: masks of two networks side by side, and how much of them is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from lmc.charts import style
from lmc.charts.layers import MAX_UNITS
from lmc.charts.pruning import PERMUTATIONS
from lmc.charts.summary import Table, frame, mean_interval

Mask = npt.NDArray[np.uint8]

_GAP = 0.12  # between two maps, in maps
_SHAPES = {"none": "circle", "dense": "circle", "sparse": "diamond"}


def masks_chart(a: Mask, b: Mask, *, labels: tuple[str, str] | None = None, permuted: bool = True) -> Any:
    """Three maps of one layer: what is kept of A, what is kept of B, and both on top of each other.

    `a` and `b` are units × inputs, at most 64 each way, 255 where a weight is kept and less where only some weights of
    a kernel are. `labels` names the networks; B is `permuted` or stands as it is.
    """
    a, b = _checked(a), _checked(b)
    if a.shape != b.shape:
        raise ValueError(f"both masks must have the same shape, not {a.shape} and {b.shape}")
    rows, columns = a.shape
    first, second = (style.network_label(x, name) for x, name in zip("AB", labels or ("0", "1"), strict=True))
    first, second = (first, second) if labels else ("A", "B")
    names = [first, f"π({second[0]}){second[1:]}" if permuted else second, "On top of each other"]
    colors = {"only A": style.NETWORK_COLORS["A"], "only B": style.NETWORK_COLORS["B"]}
    colors["both"] = style.NETWORK_COLORS["merged"]
    step = columns * (1 + _GAP)
    cells = pd.concat(
        [
            _runs(a, np.where(a > 0, "only A", ""), 0.0),
            _runs(b, np.where(b > 0, "only B", ""), step),
            _runs(np.maximum(a, b), _which(a, b), 2 * step),
        ]
    )
    across = columns * (3 + 2 * _GAP)
    side = f"min(width / {across}, height / {rows})"
    x = alt.X(
        "x:Q", axis=None,
        scale=alt.Scale(
            domain=[0, across], nice=False, zero=False,
            range=[alt.ExprRef(f"(width - {side} * {across}) / 2"), alt.ExprRef(f"(width + {side} * {across}) / 2")],
        ),
    )  # fmt: skip
    y = alt.Y(
        "y:Q", axis=None, scale=alt.Scale(domain=[0, rows], nice=False, range=[0, alt.ExprRef(f"{side} * {rows}")])
    )
    kinds = {"only A": "Kept in A", "only B": "Kept in B", "both": "Kept in both"}
    legend = style.top_legend(columns=3, symbolType="square", symbolSize=260, symbolStrokeWidth=0, offset=40)
    color = alt.Color(
        "kind:N", scale=alt.Scale(domain=list(kinds.values()), range=[colors[k] for k in kinds]), legend=legend
    )
    marks = alt.Chart(cells.assign(kind=cells["kind"].map(kinds))).mark_rect(strokeWidth=0)
    opacity = alt.Opacity("share:Q", scale=None, legend=None)
    heat = marks.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", color=color, opacity=opacity)
    frames = pd.DataFrame({"x": [k * step for k in range(3)], "y": 0, "y2": rows, "name": names})
    frames["x2"] = frames["x"] + columns
    box = alt.Chart(frames).mark_rect(fillOpacity=0, stroke=style.INK, strokeOpacity=0.35)
    words: dict[str, Any] = {"align": "left", "baseline": "bottom", "dy": -8, "fontWeight": "bold"}
    fitting = alt.ExprRef(f"clamp({side} * {columns} / 12, 11, 17)")
    limit = alt.ExprRef(f"{side} * {columns * (1 + _GAP)}")
    title = alt.Chart(frames).mark_text(color=style.INK, fontSize=fitting, limit=limit, **words)
    layers = [heat, box.encode(x=x, x2="x2:Q", y=y, y2="y2:Q"), title.encode(x=x, y=y, text="name:N")]
    height = min(340, max(90, round(340 * rows / columns)))  # little more than the maps need on a small screen
    return style.finish(alt.layer(*layers), _describe(a, b, names), height=height)


def overlap_chart(masks: Table, *, level: int, method: str = "weight", names: dict[str, str] | None = None) -> Any:
    """For each layer, how much of what is kept in A or B is kept in both, beside what chance would give.

    From the `masks` table at one level; means over the pairs with 95% intervals. `names` says what to call the layers.
    """
    rows = overlap_means(masks, level=level, method=method)
    order = [p for p in PERMUTATIONS if p in set(rows["permutation"])]
    layers = [(names or {}).get(layer, layer) for layer in dict.fromkeys(rows["layer"])]
    rows = rows.assign(
        layer=[(names or {}).get(layer, layer) for layer in rows["layer"]],
        name=rows["permutation"].map(PERMUTATIONS),
        text=rows["value"].map(style.percent),
        by_chance=rows["chance"].map(style.percent),
    )
    called = [PERMUTATIONS[p] for p in order]
    colors = alt.Scale(domain=called, range=[style.method_color("none" if p == "none" else method) for p in order])
    shapes = alt.Scale(domain=called, range=[_SHAPES[p] for p in order])
    legend = style.top_legend(columns=3, symbolSize=160, symbolStrokeWidth=0, symbolOpacity=1, offset=30)
    top = min(1.0, 1.08 * float(rows[["high", "chance"]].max().max()))
    scale = alt.Scale(domain=[0, top], nice=False, range=[14, alt.ExprRef("width - 70")])
    axis = alt.Axis(title="Kept in both, of what is kept in either", format=".0%", tickCount=5, labelFlush=False)
    x = alt.X("value:Q", scale=scale, axis=axis)
    beside = alt.Axis(ticks=False, domain=False, grid=False, labelFlush=False)
    base = alt.Chart(rows).encode(
        y=alt.Y("layer:N", sort=layers, title=None, axis=beside),
        yOffset=alt.YOffset("name:N", sort=called),
        tooltip=[
            alt.Tooltip("layer:N", title="Layer"), alt.Tooltip("name:N", title="Permutation"),
            alt.Tooltip("text:N", title="Kept in both"), alt.Tooltip("by_chance:N", title="By chance"),
            alt.Tooltip("pairs:Q", title="Pairs"),
        ],
    )  # fmt: skip
    color = alt.Color("name:N", scale=colors, legend=legend)
    shape = alt.Shape("name:N", scale=shapes, legend=legend)
    text = base.mark_text(align="left", color=style.INK, fontSize=style.FONT["label"])
    marks = [
        base.mark_rule(strokeWidth=3, opacity=0.45).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", color=color),
        base.mark_tick(thickness=3, size=24, color=style.INK, opacity=1).encode(x=alt.X("chance:Q", scale=scale)),
        base.mark_point(filled=True, size=190, opacity=1).encode(x=x, color=color, shape=shape),
        text.encode(x=alt.XValue(alt.ExprRef("width - 58")), text="text:N"),
    ]
    height = 90 + len(layers) * (16 + 30 * len(order))
    return style.finish(alt.layer(*marks), _describe_overlap(rows), height=height)


def overlap_means(masks: Table, *, level: int, method: str) -> pd.DataFrame:
    """Columns layer, permutation, value, low, high, chance, pairs: overlaps at one level, means over the pairs."""
    names = ("pair", "method", "level", "permutation", "layer", "overlap", "chance")
    data = frame(masks, names)
    data = data[(data["level"] == level) & data["method"].isin(("none", method))]
    if data.empty:
        raise ValueError(f"no rows with level {level}; the table has: {sorted(set(frame(masks, names)['level']))}")
    rows = []
    for (layer, permutation), group in data.groupby(["layer", "permutation"], sort=False):
        mean, low, high = mean_interval(group["overlap"].to_numpy())
        chance = float(group["chance"].mean())
        rows.append((layer, permutation, mean, max(0.0, low), min(1.0, high), chance, group["pair"].nunique()))
    return pd.DataFrame(rows, columns=["layer", "permutation", "value", "low", "high", "chance", "pairs"])


def _checked(mask: Sequence[Sequence[int]] | Mask) -> Mask:
    array = np.asarray(mask, np.uint8)
    if array.ndim != 2 or not 0 < max(array.shape) <= MAX_UNITS:
        shape = "×".join(map(str, array.shape))
        raise ValueError(f"a mask must have units and inputs, at most {MAX_UNITS} each, not {shape}")
    return array


def _which(a: Mask, b: Mask) -> npt.NDArray[np.str_]:
    return np.select([(a > 0) & (b > 0), a > 0, b > 0], ["both", "only A", "only B"], "")


def _runs(share: Mask, kind: npt.NDArray[np.str_], shift: float) -> pd.DataFrame:
    """Columns x, x2, y, y2, kind, share: neighbours in a row that look alike are one rectangle."""
    rows = []
    for y, (shares, kinds) in enumerate(zip(share, kind, strict=True)):
        changes = np.flatnonzero((shares[1:] != shares[:-1]) | (kinds[1:] != kinds[:-1])) + 1
        for x, x2 in zip([0, *changes], [*changes, len(shares)], strict=True):
            if kinds[x]:
                rows.append((x + shift, x2 + shift, y, y + 1, str(kinds[x]), round(float(shares[x]) / 255, 3)))
    return pd.DataFrame(rows, columns=["x", "x2", "y", "y2", "kind", "share"])


def _describe(a: Mask, b: Mask, names: Sequence[str]) -> str:
    both, either = int(((a > 0) & (b > 0)).sum()), int(((a > 0) | (b > 0)).sum())
    shares = [f"{names[k]} keeps {style.percent(float((m > 0).mean()))}" for k, m in enumerate((a, b))]
    share = style.percent(both / either) if either else "nothing"
    return f"Maps of the weights of one layer: {shares[0]}, {shares[1]}; of what either keeps, both keep {share}."


def _describe_overlap(rows: pd.DataFrame) -> str:
    found = "; ".join(
        f"{r['layer']}, {r['name'].lower()}: {r['text']}, by chance {r['by_chance']}" for r in rows.to_dict("records")
    )
    return f"Chart of the share of kept weights that both networks keep, layer by layer. {found}."
