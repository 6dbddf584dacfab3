"""Barriers along training: one line for each epoch at which a permutation was found, applied at all epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval

NONE = -1
"""The fit epoch of rows without a permutation, in the tables that are made here."""
NO_PERMUTATION = style.method_label("none")
ERROR_TICKS = (0, style.CONNECTED, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)
_LOSS_TICKS = (0, 0.02, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16)
_COLUMNS = ("pair", "method", "fit_epoch", "epoch", "split")


def trajectory_chart(
    alignment: Table,
    *,
    method: str = "weight",
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
    planned: Sequence[int] = (),
) -> Any:
    """Mean barrier against the epoch, one line for each fit epoch of `method` and one without a permutation.

    From the `alignment` table. Bands are 95% intervals over the pairs, of the last fit and of no permutation. A ring
    marks the epoch at which a permutation was found. With `planned` epochs the axes and colours are fixed before all
    is computed, so that nothing jumps. `resolution` is 1/n for n images. A click in the legend picks lines out.
    """
    means = alignment_means(alignment, method=method, split=split, measure=measure, resolution=resolution)
    fits = sorted({*(fit for fit in means["fit"] if fit != NONE), *planned})
    epochs = sorted({*means["epoch"], *planned})
    names = [NO_PERMUTATION, *map(str, fits)]
    colors = [style.method_color("none"), *style.fit_colors(len(fits), method)]
    means = means.assign(
        name=["No permutation" if fit == NONE else str(fit) for fit in means["fit"]],
        thick=[4.0 if fit in (NONE, fits[-1] if fits else NONE) else 2.0 for fit in means["fit"]],
        text=[style.readable(v, measure) for v in means["value"]],
        interval=[
            f"{style.readable(a, measure)} to {style.readable(b, measure)}"
            for a, b in zip(means["low"], means["high"], strict=True)
        ],
    )
    scale = alt.Scale(domain=names, range=colors)
    y = barrier_y(float(means["high"].max()), split, measure, whole=bool(planned))
    layers = [*_bands(means, fits, scale), *_lines(means, y, scale), *threshold(measure)]
    chart = alt.layer(*layers).encode(x=epoch_x(epochs, "Epoch"))
    return style.finish(chart, _describe(means, fits, method, split, measure), height=460)


def alignment_means(
    alignment: Table, *, method: str, split: str, measure: str, resolution: float | None = None
) -> pd.DataFrame:
    """Columns fit (-1 without a permutation), epoch, value, low, high, pairs: mean barriers over pairs, by fit."""
    column = f"{check_measure(measure)}_barrier"
    data = choose_rows(frame(alignment, (*_COLUMNS, column)), "split", split)
    data = data[data["method"].isin(("none", method))]
    fits = data["fit_epoch"].astype(float).fillna(NONE).astype(int)
    rows = []
    for (fit, epoch), group in data.assign(fit=fits).groupby(["fit", "epoch"], sort=True):
        found = mean_interval(group[column].to_numpy(), resolution)
        high = min(found.high, 1.0) if measure == "error" else found.high
        rows.append((fit, epoch, found.mean, max(0.0, found.low), high, group["pair"].nunique()))
    return pd.DataFrame(rows, columns=["fit", "epoch", "value", "low", "high", "pairs"])


# What charts over epochs share


def epoch_x(epochs: Sequence[int], title: str) -> alt.X:
    """Epochs on a scale that gives the first ones room, with a label at each of `epochs` that has room."""
    axis = alt.Axis(values=list(epochs), format="d", labelOverlap="greedy", grid=False, title=title, offset=8)
    last = max(1, epochs[-1])
    scale = alt.Scale(type="symlog", constant=1, domain=[min(0, epochs[0]), last], nice=False, padding=16)
    return alt.X("epoch:Q", scale=scale, axis=axis)


def barrier_y(high: float, split: str, measure: str, *, whole: bool = False) -> alt.Y:
    """Barriers on a square-root scale, where low ones can be told apart; `whole`: errors up to 1 in any case."""
    title = f"{split.capitalize()} {measure} barrier" + (" (nats)" if measure == "loss" else "")
    top = 1.0 if whole and measure == "error" else 1.05 * max(high, 2 * style.CONNECTED)
    top = min(1.0, top) if measure == "error" else top
    ticks = [tick for tick in (ERROR_TICKS if measure == "error" else _LOSS_TICKS) if tick <= top]
    axis = style.value_axis(measure, title, values=ticks, tickCount=len(ticks), labelOverlap="greedy", labelFlush=False)
    return alt.Y("value:Q", scale=alt.Scale(type="sqrt", domain=[0, top], nice=False), axis=axis)


def threshold(measure: str) -> list[alt.Chart]:
    """The dotted line below which networks count as connected; it is one of errors."""
    if measure != "error":
        return []
    at = alt.Chart(pd.DataFrame({"value": [style.CONNECTED]}))
    rule = at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2).encode(x=alt.value(0), x2=alt.value("width"))
    words = at.mark_text(text="connected", fontSize=14, align="right", baseline="top", dx=-4, dy=5, color=style.INK)
    return [rule.encode(y="value:Q"), words.encode(x=alt.value("width"), y="value:Q")]


def _bands(means: pd.DataFrame, fits: list[int], scale: alt.Scale) -> list[alt.Chart]:
    """Intervals of the two lines that are compared; those of all would hide one another."""
    several = means[(means["pairs"] > 1) & means["fit"].isin([NONE, *fits[-1:]])]
    if several.empty:
        return []
    band = alt.Chart(several[["name", "epoch", "low", "high"]]).mark_area(fillOpacity=0.16, opacity=1)
    return [band.encode(y="low:Q", y2="high:Q", color=alt.Color("name:N", scale=scale))]


def _lines(means: pd.DataFrame, y: alt.Y, scale: alt.Scale) -> list[alt.Chart]:
    picked = alt.selection_point(name="picked", fields=["name"], bind="legend")
    legend = style.top_legend(
        title="Permutation found at epoch", titleFontWeight="normal", titleLimit=320, titleOrient="top",
        columns="width < 700 ? 6 : 13", narrow=4, symbolType="stroke", symbolSize=500, symbolOpacity=1,
        columnPadding=14,
    )  # fmt: skip
    color = alt.Color("name:N", scale=scale, legend=legend)
    seen = alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.12))
    tips = [
        alt.Tooltip("name:N", title="Found at epoch"), alt.Tooltip("epoch:Q", title="Applied at epoch"),
        alt.Tooltip("text:N", title="Barrier"), alt.Tooltip("interval:N", title="95% interval"),
        alt.Tooltip("pairs:Q", title="Pairs"),
    ]  # fmt: skip
    base = alt.Chart(means.drop(columns=["low", "high"])).encode(y=y, color=color, opacity=seen)
    line = base.mark_line(strokeCap="round", strokeJoin="round")
    dots = base.mark_point(filled=True, size=70).encode(tooltip=tips[: 3 if (means["pairs"] == 1).all() else None])
    own = base.transform_filter("datum.fit == datum.epoch").mark_point(filled=False, size=230, strokeWidth=2.5)
    return [
        line.encode(strokeWidth=alt.StrokeWidth("thick:Q", scale=None, legend=None)).add_params(picked),
        own,
        dots,
    ]


def _describe(means: pd.DataFrame, fits: list[int], method: str, split: str, measure: str) -> str:
    """Each line at the last epoch, in words."""
    last = int(means["epoch"].max())
    there = means[means["epoch"] == last].set_index("fit")["value"]
    found = [
        f"{'no permutation' if fit == NONE else f'found at epoch {fit}'} {style.readable(there[fit], measure)}"
        for fit in (NONE, *fits)
        if fit in there.index
    ]
    pairs = int(means["pairs"].max())
    return (
        f"Lines of the mean {split} {measure} barrier over {pairs} pair{'s' * (pairs > 1)} against the epoch, "
        f"{style.method_label(method).lower()}. At epoch {last}: {'; '.join(found)}."
    )
