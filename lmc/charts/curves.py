"""How the networks learned: loss or error over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, frame

_SPLIT_DASH = {"train": [3, 4], "test": [1, 0]}


def curves_chart(curves: Table, *, measure: str = "error", names: Mapping[str, str] | None = None) -> Any:
    """One learning curve for each network and split, from columns network, epoch, split, loss, error.

    Networks take the colours of A, B and C in the order in which they come. `names` says what to call
    them, such as `{"0": "A (seed 0)"}`.
    """
    data = frame(curves, ["network", "epoch", "split", check_measure(measure)]).copy()
    data["network"] = data["network"].astype(str)
    colors = style.network_colors(data["network"])
    called = {n: (names or {}).get(n, _called(n, i)) for i, n in enumerate(colors)}
    data = data.assign(value=data[measure], name=data["network"].map(called), what=data["split"].str.capitalize())
    splits = [s for s in _SPLIT_DASH if s in set(data["split"])]
    dashes = alt.Scale(domain=[s.capitalize() for s in splits], range=[_SPLIT_DASH[s] for s in splits])
    legend = style.top_legend(columns=3)
    inside = style.top_legend(columns=1, orient="top-right", direction="vertical", offset=8)
    chart = (
        alt.Chart(data[["name", "what", "epoch", "value"]])
        .mark_line(strokeWidth=3, strokeCap="butt")
        .encode(
            x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, tickCount=6, grid=False)),
            y=alt.Y(
                "value:Q",
                scale=alt.Scale(zero=True, domainMin=0),
                axis=style.value_axis(measure, style.MEASURES[measure].capitalize()),
            ),
            color=alt.Color(
                "name:N",
                scale=alt.Scale(domain=list(called.values()), range=list(colors.values())),
                legend=legend,
            ),
            strokeDash=alt.StrokeDash("what:N", scale=dashes, legend=inside),
            tooltip=[
                alt.Tooltip("name:N", title="Network"),
                alt.Tooltip("what:N", title="Images"),
                alt.Tooltip("epoch:Q", title="Epoch"),
                alt.Tooltip("value:Q", title=measure.capitalize(), format=".1%" if measure == "error" else ".3f"),
            ],
        )
    )
    return style.finish(chart, _describe(data, called, measure), height=340)


def _called(network: str, place: int) -> str:
    letter = "ABC"[place] if place < 3 else ""
    return network if network in style.NETWORK_COLORS or not letter else style.network_label(letter, network)


def _describe(data: pd.DataFrame, called: dict[str, str], measure: str) -> str:
    last = data[data["epoch"] == data["epoch"].max()]
    split = "test" if "test" in set(last["split"]) else str(last["split"].iloc[0])
    ends = last[last["split"] == split].set_index("network")["value"]
    found = "; ".join(f"{called[n]} {style.readable(float(v), measure)}" for n, v in ends.items())
    epoch = f"{data['epoch'].max():g}"
    return f"Line chart of {measure} over {epoch} epochs of training. At the end the {split} {measure} is: {found}."
