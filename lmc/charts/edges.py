"""The edges of the triangle: what one permutation for each network costs, beside one for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.barrier import THRESHOLD_LABEL, hover_values
from lmc.charts.summary import (
    Table,
    check_measure,
    choose_rows,
    clipped,
    frame,
    mean_barriers,
    mean_baseline,
    mean_curves,
)

EDGES = {
    "0-1": ("A", "B", "B matched to A"),
    "0-2": ("A", "C", "C matched to A"),
    "1-2 via 0": ("B", "C", "both matched to A"),
    "1-2 direct": ("B", "C", "matched to each other"),
}
"""Comparison in the table → the networks at its ends, and how they were matched."""

_BASELINE = "Line between the ends"
_GAP = 0.18  # between panels, in panels
_PADDING = 16  # pixels for the discs at both sides
_NARROW = 160  # pixels of a panel below which the discs alone name the networks
_HEIGHT = 440
_OWN_COLOR = alt.Fill("color:N", scale=None)  # not `color`, which belongs to the methods and their legend


def edges_chart(
    path: Table,
    *,
    split: str = "test",
    measure: str = "error",
    methods: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    resolution: float | None = None,
) -> Any:
    """Loss or error along the four segments of a triple, side by side on one axis, from its table `path`.

    One curve for each method; with three triples or more it is their mean with its 95% interval. The last two panels
    join the same two networks. `labels` names the three networks, `resolution` is 1/n for n images.
    """
    columns = ["triple", "method", "comparison", "split", "lam", check_measure(measure)]
    data = choose_rows(frame(path, columns), "split", split).rename(columns={"triple": "pair"})
    order = list(methods or style.ordered_methods(data["method"]))
    data = pd.concat([choose_rows(data, "method", method) for method in order])
    panels = [
        _panel(choose_rows(data, "comparison", name), place, measure, resolution) for place, name in enumerate(EDGES)
    ]
    across = round(len(panels) * (1 + _GAP) - _GAP, 6)
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, across], nice=False, padding=_PADDING))
    title = f"{split.capitalize()} {style.MEASURES[measure]}"
    y = alt.Y("value:Q", scale=alt.Scale(zero=True, domainMin=0), axis=style.value_axis(measure, title))
    triples = data["pair"].nunique()
    layers = _bands(panels, order, x) if triples > 2 else []
    layers += [_lines(panels, order, measure, x, y), *_hover(panels, order, measure, x)]
    wide = f"((width - {2 * _PADDING}) / {across})"
    layers += [*_ends(panels, x, wide), *_titles(panels, x, wide)]
    layers += _names(panels, labels, x, wide) if labels else []
    return style.finish(alt.layer(*layers), _describe(panels, order, split, measure, triples), height=_HEIGHT)


@dataclass(frozen=True)
class _Panel:
    """One segment: its rows, its place, and the means that are drawn."""

    rows: pd.DataFrame
    name: str
    left: float
    curves: pd.DataFrame
    base: pd.DataFrame

    def placed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with x instead of λ, and the panel they are in."""
        return rows.assign(x=rows["lam"] + self.left, panel=self.name)


def _panel(rows: pd.DataFrame, place: int, measure: str, resolution: float | None) -> _Panel:
    name, curves = str(rows["comparison"].iloc[0]), clipped(mean_curves(rows, measure, resolution), measure)
    return _Panel(rows, name, place * (1 + _GAP), curves, mean_baseline(rows, measure))


def _lines(panels: Sequence[_Panel], methods: Sequence[str], measure: str, x: alt.X, y: alt.Y) -> alt.Chart:
    names = [style.method_label(m) for m in methods] + [_BASELINE]
    colors = [style.method_color(m) for m in methods] + [style.INK]
    dashes = [style.method_dash(m) for m in methods] + [[1, 0]]
    if measure == "error":
        names, colors, dashes = [*names, THRESHOLD_LABEL], [*colors, style.INK], [*dashes, [2, 4]]
    columns = alt.ExprRef("width < 430 ? 1 : width < 640 ? 2 : 3")
    legend = style.top_legend(offset=64, symbolType="stroke")
    legend.columns = columns
    series = pd.concat([_series(panel, methods, measure) for panel in panels])
    lines = alt.Chart(series).mark_line(strokeCap="butt")
    return lines.encode(
        x=x,
        y=y,
        detail="panel:N",
        color=alt.Color("series:N", scale=alt.Scale(domain=names, range=colors), legend=legend),
        strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=names, range=dashes), legend=legend),
        strokeWidth=alt.StrokeWidth("thick:Q", scale=None, legend=None),
    )


def _series(panel: _Panel, methods: Sequence[str], measure: str) -> pd.DataFrame:
    """Columns panel, x, value, series, thick: curves, baseline and what is 0.02 above it."""
    curves, base = panel.curves, panel.base
    parts = [curves[curves["method"] == m].assign(series=style.method_label(m), thick=4.0) for m in methods]
    parts.append(base.assign(series=_BASELINE, thick=1.5))
    if measure == "error":
        parts.append(base.assign(series=THRESHOLD_LABEL, thick=1.5, value=base["threshold"]))
    return pd.concat([panel.placed(part)[["panel", "x", "value", "series", "thick"]] for part in parts])


def _bands(panels: Sequence[_Panel], methods: Sequence[str], x: alt.X) -> list[alt.Chart]:
    """The 95% interval of each mean."""
    curves = pd.concat([panel.placed(panel.curves) for panel in panels])
    layers = []
    for method in methods:
        band = alt.Chart(curves.loc[curves["method"] == method, ["panel", "x", "low", "high"]])
        drawn = band.mark_area(opacity=0.2, color=style.method_color(method))
        layers.append(drawn.encode(x=x, y="low:Q", y2="high:Q", detail="panel:N"))
    return layers


def _ends(panels: Sequence[_Panel], x: alt.X, wide: str) -> list[alt.Chart]:
    """A disc with the letter of the network at each end."""
    rows = pd.concat([p.placed(p.base.iloc[[0, -1]]).assign(name=EDGES[p.name][:2]) for p in panels])
    place = alt.Chart(rows.assign(color=rows["name"].map(style.NETWORK_COLORS))[["x", "value", "name", "color"]])
    disc = place.mark_circle(size=alt.ExprRef(f"pow(clamp({wide} / 7, 15, 21), 2)"), opacity=1)
    disc = disc.encode(x=x, y="value:Q", fill=_OWN_COLOR)
    letter = place.mark_text(color="#FFFFFF", fontWeight="bold", fontSize=14, baseline="middle")
    return [disc, letter.encode(x=x, y="value:Q", text="name:N")]


def _hover(panels: Sequence[_Panel], methods: Sequence[str], measure: str, x: alt.X) -> list[alt.Chart]:
    """At the λ nearest to the pointer, a rule and the values of all methods."""
    parts = []
    for panel in panels:
        rows = panel.placed(hover_values(panel.curves, panel.base, list(methods), measure))
        start, end, matched = EDGES[panel.name]
        rows = rows.assign(what=f"{start}–{end}, {matched}", left=rows["left"] + panel.left)
        parts.append(rows.assign(right=rows["right"] + panel.left))
    chart = alt.Chart(pd.concat(parts))
    tips = [alt.Tooltip("what:N", title="Segment"), alt.Tooltip("at:N", title="λ")]
    tips += [alt.Tooltip(f"{m}:N", title=style.method_label(m)) for m in methods]
    tips.append(alt.Tooltip("baseline:N", title=_BASELINE))
    near = alt.selection_point(name="near", on="pointerover", fields=["x"], empty=False, clear="pointerout")
    seen = alt.when(near).then(alt.value(0.5)).otherwise(alt.value(0))
    rule = chart.mark_rule(color=style.INK, strokeWidth=1).encode(x=x, opacity=seen)
    catch = chart.mark_rect(opacity=0).encode(x=alt.X("left:Q", axis=None), x2="right:Q", tooltip=tips)
    return [rule, catch.add_params(near)]


def _titles(panels: Sequence[_Panel], x: alt.X, wide: str) -> list[alt.Chart]:
    """Above each panel its two networks, and what was matched to what."""
    rows = [(p.left + 0.5, "–".join(EDGES[p.name][:2]), EDGES[p.name][2]) for p in panels]
    above = alt.Chart(pd.DataFrame(rows, columns=["x", "pair", "matched"]))
    fitting = alt.ExprRef(f"clamp({wide} / 10, 10, {style.FONT['label']})")
    look: dict[str, Any] = {"color": style.INK, "baseline": "bottom"}
    pair = above.mark_text(fontWeight="bold", fontSize=17, **look).encode(x=x, y=alt.value(-34), text="pair:N")
    matched = above.mark_text(fontSize=fitting, **look).encode(x=x, y=alt.value(-14), text="matched:N")
    return [pair, matched]


def _names(panels: Sequence[_Panel], labels: Sequence[str], x: alt.X, wide: str) -> list[alt.Chart]:
    """Below the ends the names of the networks, where there is room for them."""
    called = {letter: style.network_label(letter, label) for letter, label in zip("ABC", labels, strict=True)}
    room, layers = alt.ExprRef(f"{wide} / 2 + 4"), []
    for end, align in enumerate(("left", "right")):
        letters = [EDGES[p.name][end] for p in panels]
        rows = pd.DataFrame({"x": [p.left + end for p in panels], "name": [called[n] for n in letters]})
        rows["color"] = [style.NETWORK_COLORS[n] for n in letters]
        look: Any = {"align": align, "baseline": "top", "dx": 20 * end - 10, "fontWeight": "bold", "limit": room}
        text = alt.Chart(rows).transform_calculate(brief=f"{wide} < {_NARROW} ? '' : datum.name").mark_text(**look)
        y = alt.value(alt.ExprRef("height + 10"))
        layers.append(text.encode(x=x, y=y, text="brief:N", fill=_OWN_COLOR))
    return layers


def _describe(panels: Sequence[_Panel], methods: Sequence[str], split: str, measure: str, triples: int) -> str:
    parts = []
    for panel in panels:
        start, end, matched = EDGES[panel.name]
        barriers = mean_barriers(panel.rows, measure)
        found = ", ".join(f"{style.method_label(m).lower()} {style.readable(barriers[m], measure)}" for m in methods)
        parts.append(f"{start} to {end}, {matched}: {found}")
    over = f", mean over {triples} triples" if triples > 1 else ""
    return f"Line charts of {split} {measure} along four segments{over}. Barriers of {'; '.join(parts)}."
