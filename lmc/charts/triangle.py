"""The inside of the triangle between three networks: how much worse than its corners each mixture is.

A is network 0 at the top, B is 1 at the left and C is 2 at the right, so that the edge below is the one between two
networks that were both matched to A. Every cell is one measured mixture.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, choose_rows, frame
from lmc.charts.ternary import (
    CORNERS,
    HIGH,
    WEIGHTS,
    cell_outline,
    connected_edge,
    connected_share,
    grid_rows,
    grid_steps,
    mixtures,
)

SPOT = "spot"
"""The name of the selection: a click gives w0, w1, w2 and method of a cell."""

LETTERS = ("A", "B", "C")

_GAP = 0.1  # between triangles, in sides
_ABOVE, _NAMES, _LINE = 76, 46, 24  # pixels for titles, for the names of corners, for a line of words beneath
_LEGENDS, _BESIDE = 62, 780  # pixels for what colours mean; from so wide a chart on, legends stand beside each other
_LARGEST = {1: 430, 2: 430, 3: 345}  # pixels of a side: fewer triangles are drawn larger
_NARROW = 190  # pixels of a side below which words are short
# Zero is transparent, so that it is the background of whatever theme the page has.
_HEAT = {0.0: (242, 170, 40, 0.0), 0.25: (236, 146, 24, 0.75), 0.6: (214, 88, 0, 1.0), 1.0: (168, 22, 66, 1.0)}
_LOWEST_TOP = {"error": 0.1, "loss": 0.2}  # of the colours, so that noise does not look like a hill
_SHOWN = {"excess": "above the weighted mean of the corners", "value": "of the mixture"}


def triangle_charts(
    simplex: Table,
    *,
    split: str = "test",
    measure: str = "error",
    labels: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    shown: str = "excess",
    spot: tuple[str, Sequence[float]] | None = None,
    beneath: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """One triangle for each method, side by side on one colour scale, from the table `simplex` of a triple.

    Colour is the excess L(Σ w_i θ_i) − Σ w_i L(θ_i), or with `shown="value"` the loss or error itself; with several
    triples it is their mean. A line surrounds what is connected (an error excess of at most 0.02). `labels` names the
    three networks, `methods` chooses and orders the triangles. A click on a cell is the selection `SPOT`.
    """
    if shown not in _SHOWN:
        raise ValueError(f"unknown choice of colour {shown!r}; choose one of: {', '.join(_SHOWN)}")
    points = mixtures(simplex, split, measure)
    order = list(methods or style.ordered_methods(points["method"]))
    maps = [_Map(method, choose_rows(points, "method", method), place) for place, method in enumerate(order)]
    lines = [list((beneath or {}).get(method, ())) for method in order]
    space = _space(len(maps), max(map(len, lines)))
    cells = pd.concat([_cells(one, measure, shown, spot) for one in maps])
    top = max(float(cells["color"].max()), _LOWEST_TOP[measure])
    cells = cells.assign(rim=_rims(cells["color"] / top))
    title = f"{split.capitalize()} {style.MEASURES[measure]} {_SHOWN[shown]}"
    layers = [_heat(cells, space, top, measure, title), _sides(maps, space)]
    if measure == "error":
        layers += _connected(maps, space)
    layers += [_ring(cells, space), *_titles(maps, measure, space), *_names(maps, labels, space)]
    layers += _beneath(maps, lines, space)
    triples = frame(simplex, ["triple"])["triple"].nunique()
    description = _describe(maps, split, measure, triples)
    # Vega's own signal: on a narrow page the triangles are small, and so is the chart.
    chart = alt.layer(*layers).add_params(alt.param(name="height", expr=space.height))
    return style.finish(chart, description, height=space.highest)


class _Map(NamedTuple):
    """One triangle: its method, its mixtures, and how many triangles stand to its left."""

    method: str
    points: pd.DataFrame
    place: int

    def at(self, weights: Any) -> pd.DataFrame:
        """Columns x, y: where mixtures `[points, 3]` are drawn, in sides."""
        xy = np.reshape(weights, (-1, 3)) @ CORNERS
        return pd.DataFrame({"x": xy[:, 0] + self.place * (1 + _GAP), "y": xy[:, 1]})

    def lines(self, ends: Sequence[tuple[Any, Any]]) -> pd.DataFrame:
        """Columns x, y, x2, y2 of straight lines from mixture to mixture."""
        start, end = (self.at([pair[k] for pair in ends]) for k in (0, 1))
        return start.assign(x2=end["x"], y2=end["y"])


class _Space(NamedTuple):
    """Where things are drawn; lengths are Vega expressions in pixels, as they depend on the width of the page."""

    x: alt.X
    y: alt.Y
    side: str
    left: str
    under: str
    legends: str
    height: str
    highest: int

    def cell(self, steps: int) -> str:
        """The size at which a shape in steps of the grid is as large as it should be."""
        return f"pow(2 * {self.side} / {steps}, 2)"


def _space(count: int, lines: int) -> _Space:
    across = round(count * (1 + _GAP) - _GAP, 6)
    largest = _LARGEST.get(count, 300)
    side = f"min(width / {across}, {largest})"
    left, under = f"(width - {across} * {side}) / 2", f"({_ABOVE} + {HIGH} * {side})"
    legends = f"({under} + {_NAMES + _LINE * lines})"
    height = f"{legends} + (width < {_BESIDE} ? {2 * _LEGENDS} : {_LEGENDS}) + padding.top + padding.bottom"
    highest = round(_ABOVE + HIGH * largest + _NAMES + _LINE * lines + _LEGENDS)
    xs = alt.Scale(
        domain=[0, across], nice=False, zero=False, range=[alt.ExprRef(left), alt.ExprRef(f"width - {left}")]
    )
    ys = alt.Scale(domain=[0, HIGH], nice=False, range=[alt.ExprRef(under), _ABOVE])
    x, y = alt.X("x:Q", scale=xs, axis=None), alt.Y("y:Q", scale=ys, axis=None)
    return _Space(x, y, side, left, under, legends, height, highest)


def _cells(one: _Map, measure: str, shown: str, spot: tuple[str, Sequence[float]] | None) -> pd.DataFrame:
    """One row for each cell: place, shape, colour, what the tooltip says, and whether it is ringed from the start."""
    grid = grid_rows(one.points)
    weights = grid[WEIGHTS].to_numpy(float)
    mix = [", ".join(f"{style.percent(w)} {n}" for n, w in zip(LETTERS, row, strict=True) if w) for row in weights]
    shapes = {zero: _path(zero) for zero in itertools.product((False, True), repeat=3) if not all(zero)}
    cells = grid[["method", *WEIGHTS]].assign(**one.at(weights), name=style.method_label(one.method), mix=mix)
    ringed = np.zeros(len(grid), bool)
    if spot and spot[0] == one.method:
        ringed[np.abs(weights - np.asarray(spot[1])).sum(1).argmin()] = True
    return cells.assign(
        ringed=ringed,
        steps=grid_steps(grid),
        shape=[shapes[tuple((row < 1e-9).tolist())] for row in weights],
        color=grid[shown].round(5),
        at=[style.readable(v, measure) for v in grid["value"]],
        above=[style.readable(v, measure) for v in grid["excess"]],
    )


def _path(zero: tuple[bool, ...]) -> str:
    return "M" + "L".join(f"{x:.4f},{-y:.4f}" for x, y in cell_outline(zero)) + "Z"


def _heat(cells: pd.DataFrame, space: _Space, top: float, measure: str, title: str) -> alt.Chart:
    bar = alt.Legend(
        orient="none", legendX=alt.ExprRef(space.left), legendY=alt.ExprRef(space.legends),
        direction="horizontal", title=title, titleLimit=560, gradientLength=260, gradientThickness=14,
        tickCount=4, format=".0%" if measure == "error" else "~g",
    )  # fmt: skip
    tips = [
        alt.Tooltip("name:N", title="Method"), alt.Tooltip("mix:N", title="Mixture"),
        alt.Tooltip("at:N", title=measure.capitalize()), alt.Tooltip("above:N", title="Excess"),
    ]  # fmt: skip
    heat = alt.Scale(domain=[top * share for share in _HEAT], range=[f"rgba{c}" for c in _HEAT.values()], clamp=True)
    spot = alt.selection_point(name=SPOT, fields=[*WEIGHTS, "method"], on="click")
    drawn = alt.Chart(cells).mark_point(filled=True, opacity=1, strokeWidth=0.6, cursor="pointer")
    return drawn.encode(
        x=space.x, y=space.y, shape=alt.Shape("shape:N", scale=None), tooltip=tips,
        size=alt.value(alt.ExprRef(space.cell(cells["steps"].iloc[0]))),
        color=alt.Color("color:Q", scale=heat, legend=bar), stroke=alt.Stroke("rim:N", scale=None),
    ).add_params(spot)  # fmt: skip


def _rims(heights: pd.Series[float]) -> list[str]:
    """Lines around cells, which close the hairlines that smoothing leaves between neighbours.

    They are fainter than the cells: two of them overlap, and would be seen where the cells are pale.
    """
    stops = np.array(list(_HEAT.values()))
    red, green, blue, alpha = (np.interp(heights, list(_HEAT), channel) for channel in stops.T)
    colors = zip(red, green, blue, alpha**4, strict=True)
    return [f"rgba({r:.0f},{g:.0f},{b:.0f},{a:.3f})" for r, g, b, a in colors]


def _ring(cells: pd.DataFrame, space: _Space) -> alt.Chart:
    """A ring around the cell that was clicked, before any click around the one that is ringed from the start."""
    size = alt.value(alt.ExprRef(f"clamp({space.cell(cells['steps'].iloc[0])}, 200, 900)"))
    clicked, unclicked = ({"param": SPOT, "empty": empty} for empty in (False, True))
    seen: Any = {"or": [clicked, {"and": ["datum.ringed", unclicked]}]}
    ring = alt.Chart(cells).transform_filter(seen)
    marked = ring.mark_point(filled=False, color=style.INK, strokeWidth=3, opacity=1)
    return marked.encode(x=space.x, y=space.y, size=size)


def _lines(rows: pd.DataFrame, space: _Space, **look: Any) -> alt.Chart:
    lines = alt.Chart(rows).mark_rule(color=style.INK, strokeCap="round", **look)
    return lines.encode(x=space.x, y=space.y, x2="x2:Q", y2="y2:Q")


def _sides(maps: Sequence[_Map], space: _Space) -> alt.Chart:
    ends = list(itertools.combinations(np.eye(3), 2))
    return _lines(pd.concat([one.lines(ends) for one in maps]), space, opacity=0.35, strokeWidth=1)


def _connected(maps: Sequence[_Map], space: _Space) -> list[alt.Chart]:
    """The line around what is connected, and what it means."""
    around = pd.concat([one.lines(connected_edge(grid_rows(one.points))) for one in maps])
    legend = alt.Legend(
        orient="none", legendX=alt.ExprRef(f"{space.left} + (width < {_BESIDE} ? 0 : 440)"),
        legendY=alt.ExprRef(f"{space.legends} + (width < {_BESIDE} ? {_LEGENDS} : 0)"),
        title=None, symbolType="stroke", symbolSize=900, symbolStrokeWidth=3, labelLimit=330,
    )  # fmt: skip
    words = f"Connected inside (at most {100 * style.CONNECTED:g} points)"
    dash = alt.StrokeDash("words:N", scale=alt.Scale(domain=[words], range=[[1, 0]]), legend=legend)
    return [_lines(around.assign(words=words), space, strokeWidth=2.5).encode(strokeDash=dash)]


def _titles(maps: Sequence[_Map], measure: str, space: _Space) -> list[alt.Chart]:
    """Above each triangle its method, and the numbers that it shows."""
    tops = pd.concat([one.at(np.eye(3)[0]) for one in maps]).assign(
        name=[style.method_label(one.method) for one in maps],
        highest=[_highest(one, measure) for one in maps],
        found=[_found(one, measure) for one in maps],
    )

    def line(above: int, size: int, **look: Any) -> alt.Chart:
        fitting = alt.ExprRef(f"clamp({space.side} / 12.5, 10, {size})")
        base = alt.Chart(tops).transform_calculate(brief=f"{space.side} < 230 ? datum.highest : datum.found")
        text = base.mark_text(color=style.INK, baseline="bottom", dy=-above, fontSize=fitting, **look)
        return text.encode(x=space.x, y=space.y)

    return [line(51, 17, fontWeight="bold").encode(text="name:N"), line(29, 15).encode(text="brief:N")]


def _highest(one: _Map, measure: str) -> str:
    top = max(0.0, float(one.points["excess"].max()))
    return f"highest {style.readable(top, measure)}{' nats' * (measure == 'loss')}"


def _found(one: _Map, measure: str) -> str:
    """The height of the hill, and how much of the triangle is connected."""
    found = _highest(one, measure)
    return found if measure == "loss" else f"{found}, connected on {100 * connected_share(grid_rows(one.points)):.0f}%"


def _names(maps: Sequence[_Map], labels: Sequence[str] | None, space: _Space) -> list[alt.Chart]:
    """The networks at the corners, by their letters alone where there is no room for more."""
    layers = []
    for k, letter in enumerate(LETTERS):
        name = style.network_label(letter, labels[k]) if labels else letter
        place = pd.concat([one.at(np.eye(3)[k]) for one in maps]).assign(letter=letter, name=name)
        text = alt.Chart(place).transform_calculate(brief=f"{space.side} < {_NARROW} ? datum.letter : datum.name")
        room = alt.ExprRef(f"{space.side} / {2 if k else 1} - 6")
        look: Any = {"baseline": "top", "dy": 9, "align": "right" if k == 2 else "left"}
        look = look if k else {"baseline": "bottom", "dy": -7, "align": "center"}
        named = text.mark_text(color=style.NETWORK_COLORS[letter], fontWeight="bold", limit=room, **look)
        layers.append(named.encode(x=space.x, y=space.y, text="brief:N"))
    return layers


def _beneath(maps: Sequence[_Map], lines: Sequence[Sequence[str]], space: _Space) -> list[alt.Chart]:
    """The words of each triangle, centred below the names of its corners."""
    middles = [one.at([0.0, 0.5, 0.5]) for one, line in zip(maps, lines, strict=True) if line]
    layers = []
    for place in range(max(map(len, lines))):
        rows = pd.concat(middles).assign(line=[line[place] if place < len(line) else "" for line in lines if line])
        fitting = alt.ExprRef(f"clamp({space.side} / 13, 10, {16 if place else 18})")
        text = alt.Chart(rows).mark_text(
            color=style.INK, baseline="top", dy=36 + _LINE * place, fontSize=fitting,
            fontWeight="normal" if place else "bold",
        )  # fmt: skip
        layers.append(text.encode(x=space.x, y=space.y, text="line:N"))
    return layers


def _describe(maps: Sequence[_Map], split: str, measure: str, triples: int) -> str:
    found = "; ".join(f"{style.method_label(one.method).lower()} {_found(one, measure)}" for one in maps)
    over = f", mean over {triples} triples" if triples > 1 else ""
    return (
        f"Heat maps of {split} {measure} inside the triangle of three networks A, B and C{over}, as far as it is above "
        f"the weighted mean of the corners: {found}."
    )
