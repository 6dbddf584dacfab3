"""Whether methods find the same order, and whether there is one order to be found: two small tables of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, frame

_GAPS = alt.Scale(paddingInner=0.04, paddingOuter=0)
_ROW, _HEAD = 46, 76  # pixels
_NARROW = 70  # pixels of a column
_DARK_FROM = 0.85  # share of the colour from which white letters can be read on it


def agreement_chart(agreement: Table, *, methods: Sequence[str]) -> Any:
    """The share of units that every two of the `methods` place the same, means over pairs, from the table `agreement`.

    Raises ValueError if there are no two of them.
    """
    cells = agreement_means(agreement, methods=methods)
    if cells.empty:
        raise ValueError("agreement needs two methods")
    down, across = (list(dict.fromkeys(cells[axis])) for axis in ("one", "other"))
    chart = _matrix(cells, across, down, style.POSITIVE, ("Method", "Other", "Placed the same"))
    found = "; ".join(f"{r['one']} and {r['other']} {r['text']}" for r in cells.to_dict("records"))
    words = f"Table of the share of units that two methods put in the same place: {found}."
    return style.finish(chart, words, height=_HEAD + _ROW * len(down))


def agreement_means(agreement: Table, *, methods: Sequence[str]) -> pd.DataFrame:
    """Columns one, other, value, text: a row for every two methods; `one` is the later of them in all charts' order."""
    data = frame(agreement, ("pair", "method", "other", "agreement"))
    data = data[data["method"].isin(methods) & data["other"].isin(methods)]
    order = style.ordered_methods([*data["method"], *data["other"]])
    shares: dict[tuple[str, str], list[float]] = {}
    for row in data.to_dict("records"):
        first, second = sorted((row["method"], row["other"]), key=order.index)
        shares.setdefault((second, first), []).append(float(row["agreement"]))
    rows = [(style.method_label(a), style.method_label(b), sum(v) / len(v)) for (a, b), v in shares.items()]
    labels = [style.method_label(method) for method in order]
    cells = pd.DataFrame(rows, columns=["one", "other", "value"])
    cells = cells.assign(text=[style.percent(value) for value in cells["value"]])
    return cells.sort_values(["one", "other"], key=lambda names: names.map(labels.index), ignore_index=True)


def decided_chart(decided: Table, *, methods: Sequence[str], names: Mapping[str, str] | None = None) -> Any:
    """How open the order of every layer is under each of the `methods`, means over pairs, from the table `decided`.

    0: no other order would do nearly as well; 1: any other would do as well. `names` says what to call the layers.
    """
    cells = decided_means(decided, methods=methods, names=names)
    down, across = (list(dict.fromkeys(cells[axis])) for axis in ("one", "other"))
    chart = _matrix(cells, across, down, style.NEGATIVE, ("Layer", "Method", "How open"))
    found = "; ".join(f"{r['one']}, {r['other'].lower()} {r['text']}" for r in cells.to_dict("records"))
    words = f"Table of how open the order of each layer is, from 0 (decided) to 1 (any order would do): {found}."
    return style.finish(chart, words, height=_HEAD + _ROW * len(down))


def decided_means(decided: Table, *, methods: Sequence[str], names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Columns one (layer), other (method), value, text: means over pairs, in the order of layers and methods."""
    data = frame(decided, ("pair", "method", "permutation", "units", "entropy"))
    data = data[data["method"].isin(methods)].dropna(subset="entropy")
    layers = list(dict.fromkeys(data["permutation"]))
    shown = style.ordered_methods(data["method"])
    means = data.groupby(["permutation", "method"], sort=False)["entropy"].mean()
    rows = [
        ((names or {}).get(layer, layer), style.method_label(method), float(means[layer, method]))
        for layer in layers
        for method in shown
        if (layer, method) in means.index
    ]
    cells = pd.DataFrame(rows, columns=["one", "other", "value"])
    return cells.assign(text=[f"{value:.2f}" for value in cells["value"]])


def _matrix(cells: pd.DataFrame, across: list[str], down: list[str], color: str, titles: tuple[str, str, str]) -> Any:
    """`one` down, `other` across, every cell as strong as its value from 0 to 1, with its number."""
    beside: dict[str, Any] = {"title": None, "domain": False, "ticks": False, "labelFlush": False}
    upright = f"width < {_NARROW * len(across)}"  # names of methods, where there is no room for them side by side
    words = alt.Axis(
        orient="top", labelExpr=f"{upright} ? datum.label : split(datum.label, ' ')", labelOverlap=False,
        labelAngle=alt.ExprRef(f"{upright} ? 270 : 0"), labelAlign=alt.ExprRef(f"{upright} ? 'left' : 'center'"),
        labelBaseline=alt.ExprRef(f"{upright} ? 'middle' : 'bottom'"),
        labelPadding=alt.ExprRef(f"{upright} ? 6 : 26"), **beside,
    )  # fmt: skip
    tips = zip(("one", "other", "text"), titles, strict=True)
    base = alt.Chart(cells.assign(dark=cells["value"] > _DARK_FROM)).encode(
        x=alt.X("other:N", sort=across, scale=_GAPS, axis=words),
        y=alt.Y("one:N", sort=down, scale=_GAPS, axis=alt.Axis(**beside)),
        tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in tips],
    )
    strength = alt.Opacity("value:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None)
    frames = base.mark_rect(fillOpacity=0, stroke=style.INK, strokeOpacity=0.15)
    number = base.mark_text(baseline="middle", fontWeight="bold")
    letters = alt.condition("datum.dark", alt.value("#FFFFFF"), alt.value(style.INK))
    return alt.layer(
        base.mark_rect(color=color).encode(opacity=strength), frames, number.encode(text="text:N", color=letters)
    )
