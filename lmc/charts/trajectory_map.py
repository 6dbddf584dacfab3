"""Every permutation at every epoch: a map of barriers."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table
from lmc.charts.trajectory import NONE, alignment_means

_SCHEME = ["#FFF7D6", "#FBD98C", "#F2A65E", "#D9695B", "#A03C70", "#5B2470", "#1F0F3D"]  # as on the plane
_DARK, _LIGHT = "#101820", "#FFFFFF"
_MOST_WORDS = 14  # columns in which a number still has room
_GAPS = alt.Scale(paddingInner=0.03, paddingOuter=0)
_LEAST_SPAN = 0.2  # colours reach from 0 to at least this


def map_chart(
    alignment: Table,
    *,
    method: str = "weight",
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
) -> Any:
    """Mean barrier over (epoch of the permutation × epoch it is applied at), from the `alignment` table.

    The lowest row has no permutation. Cells that count as connected are framed. The selection `spot` gives `fit`
    (-1: none) and `epoch` of the cell clicked on.
    """
    cells = alignment_means(alignment, method=method, split=split, measure=measure, resolution=resolution)
    fits, epochs = sorted(set(cells["fit"])), sorted(set(cells["epoch"]))
    top = max(_LEAST_SPAN, float(cells["value"].max()))
    rows = cells.assign(
        row=["none" if fit == NONE else str(fit) for fit in cells["fit"]],
        found=["none" if fit == NONE else f"epoch {fit}" for fit in cells["fit"]],
        text=[style.readable(v, measure) for v in cells["value"]],
        interval=[
            f"{style.readable(a, measure)} to {style.readable(b, measure)}"
            for a, b in zip(cells["low"], cells["high"], strict=True)
        ],
        dark=cells["value"] > 0.3 * top,
        connected=(cells["value"] <= style.CONNECTED) & (measure == "error"),
    )
    beside = alt.Axis(labelAngle=0, labelOverlap=True, labelFlush=False)
    order = ["none" if fit == NONE else str(fit) for fit in reversed(fits)]
    place: dict[str, Any] = {
        "x": alt.X("epoch:O", sort=epochs, scale=_GAPS, title="Applied at epoch", axis=beside),
        "y": alt.Y("row:O", sort=order, scale=_GAPS, title="Found at epoch", axis=beside),
    }
    layers = [_cells(rows, place, top, split, measure), _frames(rows, place)]
    if len(epochs) <= _MOST_WORDS:
        layers.append(_words(rows, place, len(epochs)))
    chart = alt.layer(*layers)
    return style.finish(chart, _describe(rows, split, measure), height=130 + min(36 * len(fits), 480))


def _cells(rows: pd.DataFrame, place: dict[str, Any], top: float, split: str, measure: str) -> alt.Chart:
    spot = alt.selection_point(name="spot", fields=["fit", "epoch"], empty=False, on="click")
    title = f"{split.capitalize()} {measure} barrier{'' if measure == 'error' else ' (nats)'}"
    bar = alt.Legend(
        orient="bottom", title=title, titleLimit=400, gradientLength=320, gradientThickness=14, offset=14,
        tickCount=5, format=".0%" if measure == "error" else "~g",
    )  # fmt: skip
    colors = alt.Scale(type="sqrt", domain=[0, top], range=_SCHEME, nice=False, interpolate="lab")
    tips = [("found", "Permutation of"), ("epoch", "Applied at epoch"), ("text", "Barrier")]
    tips += [("interval", "95% interval"), ("pairs", "Pairs")] if (rows["pairs"] > 1).any() else []
    return (
        alt.Chart(rows)
        .mark_rect(cursor="pointer", stroke=style.INK)
        .encode(
            **place,
            color=alt.Color("value:Q", scale=colors, legend=bar),
            strokeWidth=alt.when(spot).then(alt.value(4)).otherwise(alt.value(0)),
            tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in tips],
        )
        .add_params(spot)
    )


def _frames(rows: pd.DataFrame, place: dict[str, Any]) -> alt.Chart:
    """A frame inside each cell that counts as connected."""
    inside = alt.Chart(rows[rows["connected"]]).mark_rect(
        fillOpacity=0, stroke=_DARK, strokeWidth=1.5, strokeDash=[2, 3], tooltip=None, cursor="pointer",
        width=alt.RelativeBandSize(0.86), height=alt.RelativeBandSize(0.76),
    )  # fmt: skip
    return inside.encode(**place)


def _words(rows: pd.DataFrame, place: dict[str, Any], columns: int) -> alt.Chart:
    size = alt.ExprRef(f"clamp(width / {columns} / 4.2, 9, 15)")
    words = alt.Chart(rows).mark_text(fontSize=size, baseline="middle", tooltip=None)
    color = alt.condition("datum.dark", alt.value(_LIGHT), alt.value(_DARK))
    return words.encode(**place, text="text:N", color=color)


def _describe(rows: pd.DataFrame, split: str, measure: str) -> str:
    ends = rows.loc[[rows["value"].idxmin(), rows["value"].idxmax()]].to_dict("records")
    low, high = (f"{end['text']} (permutation: {end['found']}, applied at epoch {end['epoch']})" for end in ends)
    return f"Heat map of the mean {split} {measure} barrier by the epochs of the permutation and of the networks, \
from {low} to {high}."
