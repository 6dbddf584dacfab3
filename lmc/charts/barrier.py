"""What happens on the straight line between two networks, and how high the barrier is."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import pandas as pd

from lmc.barriers import BASELINES
from lmc.charts import style
from lmc.charts.summary import (
    Table,
    check_measure,
    choose_rows,
    clipped,
    frame,
    mean_barriers,
    mean_baseline,
    mean_curves,
    mean_interval,
)

BASELINE_LABEL = {"line": "Baseline: line between the ends", "mean": "Baseline: mean of the ends"}
THRESHOLD_LABEL = "Connected below (+2 points)"
_X_TITLE = "λ, the share of B"
_LAM_SCALE = alt.Scale(domain=[0, 1], padding=16, nice=False)


def path_chart(
    path: Table,
    *,
    split: str = "test",
    measure: str = "error",
    baseline: str = "line",
    lam: float | None = None,
    labels: tuple[str, str] | None = None,
    legend: bool = True,
    resolution: float | None = None,
) -> Any:
    """Loss or error along λ, one curve for each method, from the `path` table.

    With three pairs or more the curve is their mean with its 95% interval, with two the pairs are drawn
    faintly beside their mean. `labels` names the networks at λ = 0 and 1; `resolution` is 1/n for n images.
    Without a `legend` the page itself must name the lines, as small pictures side by side do.
    """
    columns = ["pair", "method", "split", "lam", check_measure(measure)]
    data = choose_rows(frame(path, columns), "split", split)
    curves, base = mean_curves(data, measure, resolution), mean_baseline(data, measure, baseline)
    methods = style.ordered_methods(data["method"])
    layers = _spread(data, clipped(curves, measure), measure, methods)
    series = _series(curves, base, methods, measure, baseline)
    layers += [_lines(series, _y(measure, split), methods, measure, baseline, legend)]
    layers += _position(lam) if lam is not None else []
    layers += [*_ends(base), *_hover(curves, base, methods, measure)]
    chart = alt.layer(*layers).encode(x=_x(labels))
    return style.finish(chart, _describe_path(data, base, methods, split, measure, baseline), height=460)


def _x(labels: tuple[str, str] | None) -> alt.X:
    named = [style.network_label(n, label) for n, label in zip("AB", labels, strict=True)] if labels else ["A", "B"]
    a, b = (json.dumps([end, name]) for end, name in zip("01", named, strict=True))
    words = f"datum.value == 0 ? {a} : datum.value == 1 ? {b} : format(datum.value, '~g')"
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=words, labelFlush=False, title=_X_TITLE)
    axis.labelAlign = alt.ExprRef("datum.value == 0 ? 'left' : datum.value == 1 ? 'right' : 'center'")
    return alt.X("lam:Q", scale=_LAM_SCALE, axis=axis)


def _y(measure: str, split: str) -> alt.Y:
    title = f"{split.capitalize()} {style.MEASURES[measure]}"
    scale = alt.Scale(zero=True, domainMin=0)
    return alt.Y("value:Q", scale=scale, axis=style.value_axis(measure, title))


def _series(curves: pd.DataFrame, base: pd.DataFrame, methods: list[str], measure: str, baseline: str) -> pd.DataFrame:
    """Curves, baseline and threshold below one another: columns series, lam, value, thick."""
    parts = [curves[curves["method"] == m].assign(series=style.method_label(m)) for m in methods]
    parts.append(base.assign(series=BASELINE_LABEL[baseline]))
    if measure == "error":
        parts.append(base.assign(series=THRESHOLD_LABEL, value=base["threshold"]))
    thick = [4.0] * len(methods) + [1.5] * (len(parts) - len(methods))
    return pd.concat([p[["series", "lam", "value"]].assign(thick=t) for p, t in zip(parts, thick, strict=True)])


def _lines(series: pd.DataFrame, y: alt.Y, methods: list[str], measure: str, baseline: str, shown: bool) -> alt.Chart:
    names = [style.method_label(m) for m in methods] + [BASELINE_LABEL[baseline]]
    colors = [style.method_color(m) for m in methods] + [style.INK]
    dashes = [style.method_dash(m) for m in methods] + [[1, 0]]
    if measure == "error":
        names, colors, dashes = [*names, THRESHOLD_LABEL], [*colors, style.INK], [*dashes, [2, 4]]
    legend = style.top_legend(offset=30) if shown else None
    return (
        alt.Chart(series)
        .mark_line(strokeCap="butt")
        .encode(
            y=y,
            color=alt.Color("series:N", scale=alt.Scale(domain=names, range=colors), legend=legend),
            strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=names, range=dashes), legend=legend),
            strokeWidth=alt.StrokeWidth("thick:Q", scale=None, legend=None),
        )
    )


def _spread(data: pd.DataFrame, curves: pd.DataFrame, measure: str, methods: list[str]) -> list[alt.Chart]:
    """A band of the 95% interval from three pairs on, faint single curves for two, nothing for one."""
    pairs = data["pair"].nunique()
    layers = []
    for method in methods if pairs > 1 else []:
        color = style.method_color(method)
        if pairs >= 3:
            band = alt.Chart(curves[curves["method"] == method]).mark_area(opacity=0.2, color=color)
            layers.append(band.encode(y="low:Q", y2="high:Q"))
        else:
            rows = data[data["method"] == method]
            single = alt.Chart(rows[["pair", "lam"]].assign(value=rows[measure]))
            faint = single.mark_line(opacity=0.45, strokeWidth=1.5, color=color)
            layers.append(faint.encode(y="value:Q", detail="pair:N"))
    return layers


def _ends(base: pd.DataFrame) -> list[alt.Chart]:
    """A disc with the letter of the network at each end."""
    layers = []
    for name, row in zip("AB", (base.iloc[0], base.iloc[-1]), strict=True):
        place = alt.Chart(pd.DataFrame([{"lam": row["lam"], "value": row["value"], "name": name}])).encode(y="value:Q")
        layers.append(place.mark_circle(size=520, opacity=1, color=style.NETWORK_COLORS[name]))
        layers.append(place.mark_text(color="#FFFFFF", fontWeight="bold", baseline="middle").encode(text="name:N"))
    return layers


def _hover(curves: pd.DataFrame, base: pd.DataFrame, methods: list[str], measure: str) -> list[alt.Chart]:
    """At the λ nearest to the pointer, a rule and the values of all methods."""
    rows = alt.Chart(hover_values(curves, base, methods, measure))
    tips = [alt.Tooltip("at:N", title="λ")]
    tips += [alt.Tooltip(f"{m}:N", title=style.method_label(m)) for m in methods]
    tips.append(alt.Tooltip("baseline:N", title="Baseline"))
    near = alt.selection_point(name="near", on="pointerover", fields=["lam"], empty=False, clear="pointerout")
    seen = alt.when(near).then(alt.value(0.5)).otherwise(alt.value(0))
    rule = rows.mark_rule(color=style.INK, strokeWidth=1).encode(opacity=seen)
    catch = rows.mark_rect(opacity=0).encode(x=alt.X("left:Q", title=_X_TITLE), x2="right:Q", tooltip=tips)
    return [rule, catch.add_params(near)]


def hover_values(curves: pd.DataFrame, base: pd.DataFrame, methods: list[str], measure: str) -> pd.DataFrame:
    """One row for each λ: how far it reaches to the left and right, and what each method has there, in words."""
    wide = curves.pivot(index="lam", columns="method", values="value")[methods].assign(
        baseline=base.set_index("lam")["value"]
    )
    words = wide.map(lambda v: style.readable(v, measure)).reset_index()
    lams = words["lam"]
    middle = (lams + lams.shift(-1)) / 2
    at = [f"{v:.2f}" for v in lams]
    return words.assign(left=middle.shift(1).fillna(0.0), right=middle.fillna(1.0), at=at)


def _position(lam: float) -> list[alt.Chart]:
    """The rule at the chosen λ, named above the plot."""
    here = alt.Chart(pd.DataFrame({"lam": [lam], "text": [f"λ = {lam:.2f}"]}))
    align: Any = "left" if lam < 0.08 else "right" if lam > 0.92 else "center"
    rule = here.mark_rule(color=style.INK, strokeWidth=2, strokeDash=[6, 3])
    text = here.mark_text(color=style.INK, fontWeight="bold", align=align, baseline="bottom")
    return [rule, text.encode(text="text:N", y=alt.value(-4))]


def _describe_path(
    data: pd.DataFrame, base: pd.DataFrame, methods: list[str], split: str, measure: str, baseline: str
) -> str:
    barriers = mean_barriers(data, measure, baseline)
    rises = "; ".join(f"{style.method_label(m).lower()} {style.readable(barriers[m], measure)}" for m in methods)
    ends = " and ".join(style.readable(v, measure) for v in base["value"].iloc[[0, -1]])
    pairs = data["pair"].nunique()
    over = "" if pairs == 1 else f", mean over {pairs} pairs"
    return (
        f"Line chart of {split} {measure} along the straight line from network A (λ = 0) to network B (λ = 1){over}. "
        f"The ends are at {ends}. Barrier above {BASELINES[baseline]}: {rises}."
    )


def barrier_bars(
    barriers: Table, *, split: str = "test", measure: str = "error", resolution: float | None = None
) -> Any:
    """The mean barrier of each method with its interval and the single pairs, from the `barriers` table."""
    column = f"{check_measure(measure)}_barrier"
    data = choose_rows(frame(barriers, ["pair", "method", "split", column]), "split", split)
    methods = style.ordered_methods(data["method"])
    means = barrier_means(data, column, methods, resolution)
    means["text"] = [style.readable(v, measure) for v in means["value"]]
    names = [style.method_label(m) for m in methods]
    scale = alt.Scale(domain=names, range=[style.method_color(m) for m in methods])
    rows: dict[str, Any] = {
        "y": alt.Y(
            "name:N",
            sort=names,
            title=None,
            axis=alt.Axis(ticks=False, domain=False, grid=False, labelFlush=False),
        ),
        "color": alt.Color("name:N", scale=scale, legend=None),
    }
    title = f"{split.capitalize()} {'error' if measure == 'error' else 'loss'} barrier"
    title += " (percentage points)" if measure == "error" else " (nats)"
    scale_x = alt.Scale(domain=[0, float(means["end"].max()) * 1.1 or 0.1], nice=False)
    x = alt.X("value:Q", scale=scale_x, axis=style.value_axis(measure, title, labelFlush=False))
    pairs = data.assign(name=data["method"].map(style.method_label), value=data[column])[["pair", "name", "value"]]
    tips = [
        alt.Tooltip("name:N", title="Method"),
        alt.Tooltip("pair:N", title="Pair"),
        alt.Tooltip("value:Q", title="Barrier"),
    ]
    mean = alt.Chart(means).encode(x=x, **rows)
    layers: list[Any] = [
        mean.mark_rule(strokeWidth=4).encode(x=alt.X("low:Q"), x2="high:Q"),
        alt.Chart(pairs).mark_tick(thickness=2, size=20, opacity=0.55).encode(x=x, tooltip=tips, **rows),
        mean.mark_circle(size=260, opacity=1),
        _value_text(means, rows["y"]),
    ]
    if measure == "error":
        layers = [*_threshold(), *layers]
    return style.finish(alt.layer(*layers), _describe_bars(means, split, measure, data), height=70 + 66 * len(methods))


def _value_text(means: pd.DataFrame, y: alt.Y) -> alt.Chart:
    """The mean in figures, to the right of everything that is drawn in its row."""
    text = alt.Chart(means).mark_text(align="left", dx=16, fontWeight="bold", color=style.INK)
    return text.encode(x="end:Q", y=y, text="text:N")


def barrier_means(data: pd.DataFrame, column: str, methods: list[str], resolution: float | None = None) -> pd.DataFrame:
    """Columns name, value, low, high, end: the mean of each method over pairs, its interval kept at 0 or above.

    `end` is the largest value to be drawn in the row, be it the interval's end or a single pair.
    """
    rows = []
    for method in methods:
        values = data.loc[data["method"] == method, column].to_numpy()
        found = mean_interval(values, resolution)
        low, high = max(found.low, 0.0), max(found.high, 0.0)
        rows.append((style.method_label(method), found.mean, low, high, max(high, float(values.max()))))
    return pd.DataFrame(rows, columns=["name", "value", "low", "high", "end"])


def _threshold() -> list[alt.Chart]:
    at = alt.Chart(pd.DataFrame({"value": [style.CONNECTED], "text": ["2 points or less: connected"]}))
    rule = at.mark_rule(color=style.INK, strokeDash=[2, 4], strokeWidth=2).encode(x="value:Q")
    text = at.mark_text(color=style.INK, align="left", baseline="bottom", dx=-4)
    return [rule, text.encode(x="value:Q", y=alt.value(-4), text="text:N")]


def _describe_bars(means: pd.DataFrame, split: str, measure: str, data: pd.DataFrame) -> str:
    words = means[["value", "low", "high"]].map(lambda v: style.readable(v, measure)).assign(name=means["name"])
    found = "; ".join(f"{r['name']} {r['value']} [{r['low']} to {r['high']}]" for r in words.to_dict("records"))
    pairs = data["pair"].nunique()
    return f"Mean barrier of {split} {measure} over {pairs} pair{'s' * (pairs != 1)}, with interval: {found}."
