"""Single networks on their way: the straight line from their first weights to their last, and how they learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, frame
from lmc.charts.trajectory import epoch_x

_EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100, 200)
ROUNDING = 1e-6  # a rise of less is none
_HEIGHT = 320
_MOST_NAMES = 6  # networks that are named in the legend


def straight_chart(straight: Table, names: Mapping[str, str], *, split: str = "test", measure: str = "loss") -> Any:
    """Loss or error along the straight line from first to last weights, from the table `straight`.

    `names` says what to call each network, and their order.
    """
    data = choose_rows(frame(straight, ("network", "split", "lam", check_measure(measure))), "split", split)
    words = "datum.value == 0 ? 'first weights' : datum.value == 1 ? 'last weights' : format(datum.value, '~g')"
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=words, grid=False, title=None, labelFlush=True)
    x = alt.X("lam:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)
    said = f"Lines of the {split} {measure} from the first weights of each network to its last. "
    said += straight_words(data, measure)
    return _lines(data, x, "lam", "Share of the last weights", names, split, measure, said)


def seeds_chart(curves: Table, names: Mapping[str, str], *, split: str = "test", measure: str = "loss") -> Any:
    """Learning curves of all networks over each other, from the table `curves`; train errors are not measured."""
    data = choose_rows(frame(curves, ("network", "epoch", "split", check_measure(measure))), "split", split)
    data = data.dropna(subset=measure)
    last = int(data["epoch"].max())
    x = epoch_x([epoch for epoch in _EPOCHS if epoch < last] + [last], "Epoch")
    said = f"Learning curves of {len(names)} networks by epoch. {seeds_words(data, split=split, measure=measure)}"
    return _lines(data, x, "epoch", "Epoch", names, split, measure, said)


def seeds_words(curves: Table, *, split: str, measure: str) -> str:
    """How far the learning curves are apart, in a sentence."""
    data = choose_rows(frame(curves, ("network", "epoch", "split", measure)), "split", split)
    wide = data.pivot(index="epoch", columns="network", values=measure).dropna().astype(float)
    ends, apart = wide.iloc[-1], wide.max(axis=1) - wide.min(axis=1)
    low, high = (style.readable(float(v), measure) for v in (ends.min(), ends.max()))
    gap = float(apart.max())
    most = f"{100 * gap:.2g} points" if measure == "error" else f"{gap:.2g} nats"
    return (
        f"At the end the {split} {measure} is {low} to {high}. The curves are furthest apart at epoch "
        f"{apart.idxmax()}, by {most}."
    )


def climbs(straight: Table, *, split: str, measure: str) -> dict[str, float]:
    """By network, the most by which the curve rises after any earlier point: 0 if it never does."""
    data = choose_rows(frame(straight, ("network", "split", "lam", check_measure(measure))), "split", split)
    found = {}
    for network, rows in data.groupby("network", sort=False):
        values = rows.sort_values("lam")[measure].to_numpy(float)
        found[str(network)] = float(np.max(values - np.minimum.accumulate(values)))
    return found


def straight_words(straight: Table, measure: str, split: str | None = None) -> str:
    """Whether the curves fall all the way, in a sentence."""
    chosen = split or str(frame(straight, ("split",))["split"].iloc[0])
    found = climbs(straight, split=chosen, measure=measure)
    rising = {name: rise for name, rise in found.items() if rise > ROUNDING}
    whom = f"all {len(found)} networks" if len(found) > 2 else "both networks" if len(found) == 2 else "the network"
    if not rising:
        return f"The {chosen} {measure} falls all the way for {whom}: it is monotone."
    most = max(rising.values())
    rise = f"{100 * most:.2g} points" if measure == "error" else f"{most:.2g} nats"
    some = f" for {len(rising)} of {len(found)} networks" if len(found) > 1 else ""
    return f"The {chosen} {measure} is not monotone: it rises{some} on the way, by up to {rise}."


def _lines(
    data: pd.DataFrame, x: alt.X, along: str, said: str, names: Mapping[str, str], split: str, measure: str, text: str
) -> Any:
    data = data.assign(network=data["network"].astype(str), value=data[measure])
    data = data[data["network"].isin(names)]
    rows = data.assign(name=data["network"].map(dict(names)))[["name", along, "value"]]
    rows["text"] = [style.readable(v, measure) for v in rows["value"]]
    colors = style.network_colors(names)
    several = len(names) > _MOST_NAMES
    legend = None if several else style.top_legend(columns=2, narrow=2, symbolType="stroke", symbolSize=400)
    scale = alt.Scale(domain=list(names.values()), range=[colors[name] for name in names])
    title = f"{split.capitalize()} {style.MEASURES[measure]}"
    tips = [alt.Tooltip("name:N", title="Network"), alt.Tooltip(f"{along}:Q", title=said, format="~g")]
    chart = (
        alt.Chart(rows)
        .mark_line(strokeWidth=2 if several else 3, opacity=0.6 if several else 0.85, strokeCap="butt")
        .encode(
            x=x,
            y=alt.Y("value:Q", scale=alt.Scale(zero=True, domainMin=0), axis=style.value_axis(measure, title)),
            color=alt.Color("name:N", scale=scale, legend=legend),
            tooltip=[*tips, alt.Tooltip("text:N", title=measure.capitalize())],
        )
    )
    return style.finish(chart, text, height=_HEIGHT)
