"""One start, two data orders: the barrier against the epoch from which they differ."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval
from lmc.charts.trajectory import barrier_y, epoch_x, threshold


def instability_chart(
    instability: Table, *, split: str = "test", measure: str = "error", resolution: float | None = None
) -> Any:
    """Mean barrier over the networks with its 95% interval, from the table `instability`; single ones are faint."""
    singles = _singles(instability, split, measure)
    means = fork_means(instability, split=split, measure=measure, resolution=resolution)
    color = style.method_color("none")
    y = barrier_y(float(max(means["high"].max(), singles["value"].max())), split, measure)
    means["text"] = [style.readable(v, measure) for v in means["value"]]
    singles["text"] = [style.readable(v, measure) for v in singles["value"]]
    base = alt.Chart(means).encode(y=y)
    tips = [alt.Tooltip("epoch:Q", title="Another order from epoch"), alt.Tooltip("text:N", title="Mean barrier")]
    own = [alt.Tooltip("network:N", title="Network"), tips[0], alt.Tooltip("text:N", title="Barrier")]
    marks: list[Any] = list(threshold(measure))
    if (means["networks"] > 1).any():
        band = base.mark_area(opacity=0.16, color=color)
        marks.append(band.encode(y="low:Q", y2="high:Q"))
    marks += [
        alt.Chart(singles).mark_circle(size=60, opacity=0.4, color=color).encode(y=y, tooltip=own),
        base.mark_line(strokeWidth=4, color=color),
        base.mark_circle(size=150, opacity=1, color=color).encode(tooltip=tips),
    ]
    x = epoch_x(sorted(set(means["epoch"])), "Epoch from which the data order differs")
    return style.finish(alt.layer(*marks).encode(x=x), _describe(means, split, measure), height=340)


def fork_means(instability: Table, *, split: str, measure: str, resolution: float | None = None) -> pd.DataFrame:
    """Columns epoch, value, low, high, networks: the mean barrier at each epoch from which the orders differ."""
    rows = []
    for epoch, group in _singles(instability, split, measure).groupby("epoch", sort=True):
        found = mean_interval(group["value"].to_numpy(), resolution)
        high = min(found.high, 1.0) if measure == "error" else found.high
        rows.append((epoch, found.mean, max(0.0, found.low), high, group["network"].nunique()))
    return pd.DataFrame(rows, columns=["epoch", "value", "low", "high", "networks"])


def instability_answer(instability: Table, *, split: str = "test", measure: str = "error") -> str:
    """From which epoch on another data order makes no difference, in numbers."""
    means = fork_means(instability, split=split, measure=measure)
    values = dict(zip(means["epoch"], means["value"], strict=True))
    first, last = min(values), max(values)
    begun = "From the start on" if first == 0 else f"From epoch {first} on"
    said = f"{begun}, another data order makes a {split} {measure} barrier of {style.readable(values[first], measure)}"
    if last != first:
        said += f"; from epoch {last} on, one of {style.readable(values[last], measure)}"
    if measure == "loss":
        return f"{said.replace('barrier of', 'barrier in nats of', 1)}."
    stable = next((k for k in sorted(values) if all(v <= style.CONNECTED for j, v in values.items() if j >= k)), None)
    if stable is None:
        return f"{said}: by epoch {last} training is not yet stable to the order of the data."
    since = "from the start" if stable == 0 else f"from epoch {stable} on"
    return f"{said}: training is stable to the order of the data, without a permutation, {since}."


def _singles(instability: Table, split: str, measure: str) -> pd.DataFrame:
    column = f"{check_measure(measure)}_barrier"
    data = choose_rows(frame(instability, ("network", "fork_epoch", "split", column)), "split", split)
    return data.rename(columns={"fork_epoch": "epoch", column: "value"})[["network", "epoch", "value"]].copy()


def _describe(means: pd.DataFrame, split: str, measure: str) -> str:
    found = "; ".join(f"epoch {r['epoch']} {r['text']}" for r in means.to_dict("records"))
    return (
        f"Line of the mean {split} {measure} barrier between a network and a copy that sees the data in another order "
        f"from an epoch on, without a permutation: {found}."
    )
