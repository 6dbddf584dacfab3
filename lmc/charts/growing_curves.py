"""How networks learn while they do: a chart that is built once and then only given more rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style

ROWS = "curves"
"""The name under which the chart looks for its rows."""
_HEIGHT = 320


def growing_curves(names: Mapping[str, str], epochs: int) -> Any:
    """Test error over the epochs of the networks in `names` (id → what to call it), with a dot where each is now.

    Axes and colours are fixed beforehand, in the order A, B, C of `names`, so that nothing jumps; the rows are those
    of `growing_rows`.
    """
    colors = style.network_colors(names)
    scale = alt.Scale(domain=list(names.values()), range=list(colors.values()))
    base = alt.Chart(alt.NamedData(name=ROWS)).encode(
        x=alt.X(
            "epoch:Q",
            title="Epoch",
            scale=alt.Scale(domain=[0, max(1, epochs)], nice=False, padding=8),
            axis=alt.Axis(tickMinStep=1, tickCount=6, grid=False),
        ),
        y=alt.Y(
            "error:Q",
            scale=alt.Scale(domain=[0, 1], type="sqrt"),  # most of the way lies near 0
            axis=style.value_axis("error", "Test error", values=[0, 0.05, 0.2, 0.5, 1], labelOverlap=False),
        ),
        color=alt.Color("name:N", scale=scale, legend=style.top_legend(columns=3, symbolType="stroke")),
    )
    line = base.mark_line(strokeWidth=3, strokeCap="butt")
    now = base.transform_joinaggregate(last="max(epoch)", groupby=["name"]).transform_filter(
        "datum.epoch == datum.last"
    )
    chart = alt.layer(line, now.mark_circle(size=110, opacity=1))
    text = f"Line chart of test error over {epochs} epochs of training, as it goes: {', '.join(names.values())}."
    return style.finish(chart, text, height=_HEIGHT)


def growing_rows(curves: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> pd.DataFrame:
    """Columns name, epoch, error, from records with network, epoch, split and error; empty before the first test."""
    found = [
        (names[row["network"]], row["epoch"], row["error"])
        for row in curves
        if row["split"] == "test" and row["error"] is not None and row["network"] in names
    ]
    return pd.DataFrame(sorted(found), columns=["name", "epoch", "error"])
