"""Networks that are pruned level by level: their barriers and errors, and how far permutations change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.pruning_axis import densities_of, density_x, left_of
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval
from lmc.charts.trajectory import barrier_y

PERMUTATIONS = {
    "none": "No permutation",
    "dense": "Found on the dense networks",
    "sparse": "Found anew at each level",
}
"""Permutation in the table → its name on charts and controls."""
WORSE = 0.02  # error by which a pruned network may be worse and still count as good

_DASHES = {"none": [1, 0], "dense": [1, 0], "sparse": [9, 5]}
_SHAPES = {"none": "circle", "dense": "circle", "sparse": "diamond"}
_ROOM = 72  # pixels to the right of the last level, for a word
_DODGE = 0.11  # between the permutations at one level, in levels if there are many


def pruning_chart(
    levels: Table,
    *,
    method: str = "weight",
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
    planned: Sequence[float] = (),
) -> Any:
    """Mean barrier against the share of weights that is left, with its 95% interval over the pairs.

    From the `levels` table: a line without a permutation and, of `method`, one with the dense networks' permutation and
    one with that found at each level. Dense networks stand on the left, every level is one step to the right. With the
    `planned` densities of all levels the axes are fixed before all is computed. `resolution` is 1/n for n images.
    """
    means = level_means(levels, method=method, split=split, measure=measure, resolution=resolution)
    densities = densities_of(means, planned)
    order = [name for name in PERMUTATIONS if name in set(means["permutation"])]
    step = _DODGE * left_of(densities[-1]) / max(8, len(densities) - 1)
    shift = {name: step * (k - (len(order) - 1) / 2) for k, name in enumerate(order)}
    means = means.assign(
        x=[left_of(d) + shift[p] for d, p in zip(means["density"], means["permutation"], strict=True)],
        name=means["permutation"].map(PERMUTATIONS),
        left=[_share(d) for d in means["density"]],
        text=[style.readable(v, measure) for v in means["value"]],
        interval=[
            f"{style.readable(a, measure)} to {style.readable(b, measure)}"
            for a, b in zip(means["low"], means["high"], strict=True)
        ],
    )
    y = barrier_y(float(means["high"].max()), split, measure, whole=bool(planned))
    layers = [*_threshold(measure), *_lines(means, y, order, method)]
    chart = alt.layer(*layers).encode(x=density_x(densities, right=_ROOM))
    return style.finish(chart, _describe(means, order, method, split, measure), height=460)


def level_means(
    levels: Table, *, method: str, split: str, measure: str, resolution: float | None = None
) -> pd.DataFrame:
    """Columns permutation, level, density, value, low, high, pairs: mean barriers over the pairs."""
    column = f"{check_measure(measure)}_barrier"
    names = ("pair", "method", "level", "density", "permutation", "split", column)
    data = choose_rows(frame(levels, names), "split", split)
    data = data[data["method"].isin(("none", method))]
    rows = []
    for (permutation, level), group in data.groupby(["permutation", "level"], sort=True):
        found = mean_interval(group[column].to_numpy(), resolution)
        high = min(found.high, 1.0) if measure == "error" else found.high
        density = float(group["density"].iloc[0])
        rows.append((permutation, level, density, found.mean, max(0.0, found.low), high, group["pair"].nunique()))
    return pd.DataFrame(rows, columns=["permutation", "level", "density", "value", "low", "high", "pairs"])


def networks_chart(levels: Table, *, split: str = "test", planned: Sequence[float] = ()) -> Any:
    """The error of the pruned networks themselves, from the `levels` table: a faint line each, and their mean."""
    singles = network_errors(levels, split=split)
    means = singles[["level", "density", "value"]].groupby(["level", "density"]).mean().reset_index()
    singles, means = (rows.assign(x=rows["density"].map(left_of)) for rows in (singles, means))
    dense = float(means["value"].iloc[0])
    top = max(1.15 * float(singles["value"].max()), dense + 2 * WORSE)
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[0, min(1.0, top)], nice=False),
        axis=style.value_axis("error", f"{split.capitalize()} error of the networks"),
    )
    tips = [alt.Tooltip("left:N", title="Weights left"), alt.Tooltip("level:Q", title="Level")]
    shown = [
        rows.assign(left=rows["density"].map(_share), text=rows["value"].map(style.percent))
        for rows in (singles, means)
    ]
    faint = alt.Chart(shown[0]).mark_line(strokeWidth=1.5, opacity=0.45, color=style.INK)
    mean = alt.Chart(shown[1]).mark_line(strokeWidth=3.5, color=style.INK, point={"size": 90, "color": style.INK})
    layers = [
        *_limit(dense, y),
        faint.encode(y=y, detail="network:N"),
        mean.encode(y=y, tooltip=[*tips, alt.Tooltip("text:N", title="Mean error")]),
    ]
    chart = alt.layer(*layers).encode(x=density_x(densities_of(means, planned), brief=True))
    said = f"Line chart of the {split} error of {singles['network'].nunique()} networks against the share of weights "
    ends = means.iloc[[0, -1]]
    told = ", ".join(f"{style.percent(v)} at {_share(d)}" for v, d in zip(ends["value"], ends["density"], strict=True))
    return style.finish(chart, f"{said}that is left. Their mean is {told}.", height=340)


def network_errors(levels: Table, *, split: str) -> pd.DataFrame:
    """Columns network, level, density, value: the error of each network at each level, once."""
    data = choose_rows(frame(levels, ("pair", "level", "density", "split", "error_a", "error_b")), "split", split)
    names = data["pair"].str.split("-", n=1, expand=True)
    parts = [
        data[["level", "density"]].assign(network=names[k], value=data[f"error_{end}"]) for k, end in enumerate("ab")
    ]
    return pd.concat(parts).drop_duplicates(["network", "level"]).sort_values(["network", "level"], ignore_index=True)


def agreement_chart(levels: Table, *, methods: Sequence[str] | None = None, planned: Sequence[float] = ()) -> Any:
    """The share of hidden units that the dense and the sparse permutation put in the same place, for each method."""
    means = agreement_means(levels)
    order = list(methods or style.ordered_methods(means["method"]))
    means = means[means["method"].isin(order)]
    means = means.assign(
        x=means["density"].map(left_of), name=means["method"].map(style.method_label), left=means["density"].map(_share)
    )
    names = [style.method_label(m) for m in order]
    legend = style.top_legend(symbolType="stroke") if len(order) > 1 else None
    colors = alt.Scale(domain=names, range=[style.method_color(m) for m in order])
    color = alt.Color("name:N", scale=colors, legend=legend)
    axis = alt.Axis(title="Units in the same place", format=".0%", tickCount=5)
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)
    tips = [
        alt.Tooltip("name:N", title="Method"), alt.Tooltip("left:N", title="Weights left"),
        alt.Tooltip("level:Q", title="Level"), alt.Tooltip("value:Q", title="Same place", format=".0%"),
        alt.Tooltip("pairs:Q", title="Pairs"),
    ]  # fmt: skip
    base = alt.Chart(means)
    layers = [
        base.mark_area(opacity=0.16).encode(y="low:Q", y2="high:Q", color=color),
        base.mark_line(strokeWidth=3.5).encode(y=y, color=color),
        base.mark_circle(size=110, opacity=1).encode(y=y, color=color, tooltip=tips),
    ]
    chart = alt.layer(*layers).encode(x=density_x(densities_of(means, planned), brief=True))
    last = means[means["level"] == means["level"].max()]
    told = ", ".join(f"{n.lower()} {v:.0%}" for n, v in zip(last["name"], last["value"], strict=True))
    said = "Line chart of the share of hidden units that the dense networks' permutation and the one found at a level "
    where = _share(float(last["density"].iloc[0]))
    return style.finish(chart, f"{said}put in the same place. With {where} of the weights left: {told}.", height=340)


def agreement_means(levels: Table) -> pd.DataFrame:
    """Columns method, level, density, value, low, high, pairs: the agreement, mean over the pairs."""
    data = frame(levels, ("pair", "method", "level", "density", "permutation", "split", "agreement"))
    data = data[data["permutation"] == "dense"].drop_duplicates(["pair", "method", "level"])
    rows = []
    for (method, level), group in data.groupby(["method", "level"], sort=True):
        mean, low, high = mean_interval(group["agreement"].astype(float).to_numpy())
        density = float(group["density"].iloc[0])
        rows.append((method, level, density, mean, max(0.0, low), min(1.0, high), group["pair"].nunique()))
    return pd.DataFrame(rows, columns=["method", "level", "density", "value", "low", "high", "pairs"])


def _lines(means: pd.DataFrame, y: alt.Y, order: list[str], method: str) -> list[alt.Chart]:
    names = [PERMUTATIONS[p] for p in order]
    colors = [style.method_color("none" if p == "none" else method) for p in order]
    legend = style.top_legend(columns=3, symbolType="stroke", symbolOpacity=1)
    color = alt.Color("name:N", scale=alt.Scale(domain=names, range=colors), legend=legend)
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=names, range=[_DASHES[p] for p in order]), legend=legend)
    tips = [
        alt.Tooltip("name:N", title="Permutation"), alt.Tooltip("left:N", title="Weights left"),
        alt.Tooltip("level:Q", title="Level"), alt.Tooltip("text:N", title="Mean barrier"),
        alt.Tooltip("interval:N", title="95% interval"), alt.Tooltip("pairs:Q", title="Pairs"),
    ]  # fmt: skip
    base = alt.Chart(means).encode(color=color)
    dots = [
        base.transform_filter(alt.datum.permutation == p).mark_point(size=120, filled=True, opacity=1, shape=_SHAPES[p])
        for p in order
    ]
    return [
        base.mark_line(strokeWidth=3.5, strokeCap="butt").encode(y=y, strokeDash=dash),
        base.mark_rule(strokeWidth=2.5, opacity=0.55).encode(y="low:Q", y2="high:Q"),
        *(dot.encode(y=y, tooltip=tips) for dot in dots),
    ]


def _threshold(measure: str) -> list[alt.Chart]:
    """The dotted line below which networks count as connected; its name stands to the right of all levels."""
    if measure != "error":
        return []
    at = alt.Chart(pd.DataFrame({"value": [style.CONNECTED]}))
    rule = at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2).encode(x=alt.value(0), y="value:Q")
    words = at.mark_text(text="connected", fontSize=14, align="right", baseline="top", dy=5, color=style.INK)
    return [
        rule.encode(x2=alt.value(alt.ExprRef("width"))),
        words.encode(x=alt.value(alt.ExprRef("width")), y="value:Q"),
    ]


def _limit(dense: float, y: alt.Y) -> list[alt.Chart]:
    """Where pruned networks are two points worse than dense ones."""
    at = alt.Chart(pd.DataFrame({"value": [dense + WORSE]}))
    rule = at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2).encode(x=alt.value(0), y=y)
    rule = rule.encode(x2=alt.value(alt.ExprRef("width")))
    words: dict[str, Any] = {"align": "left", "baseline": "bottom", "dx": 4, "dy": -4, "color": style.INK}
    text = at.mark_text(text="dense + 2 points", fontSize=14, **words)
    return [rule, text.encode(x=alt.value(0), y=y)]


def _share(density: float) -> str:
    return style.percent(density) if density < 0.995 else "100%"


def _describe(means: pd.DataFrame, order: list[str], method: str, split: str, measure: str) -> str:
    """Each line at its first and last level."""
    found = []
    for permutation in order:
        line = means[means["permutation"] == permutation].sort_values("level")
        ends = line.iloc[[0, -1]] if len(line) > 1 else line
        said = ", ".join(f"{t} with {d} left" for t, d in zip(ends["text"], ends["left"], strict=True))
        found.append(f"{PERMUTATIONS[permutation].lower()}: {said}")
    pairs = int(means["pairs"].max())
    return (
        f"Lines of the mean {split} {measure} barrier over {pairs} pair{'s' * (pairs > 1)} against the share of "
        f"weights that is left, {style.method_label(method).lower()}. {'; '.join(found)}."
    )
