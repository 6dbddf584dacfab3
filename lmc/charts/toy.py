"""A picture of the toy network: units may change place, and nothing that matters changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.toy import IDENTITY, UNITS, ToyNetwork, check_order

_COLUMNS = {"in": 0.0, "hidden": 0.5, "out": 1.0}
_ROWS = {"in": [0.8, -0.8], "hidden": [1.15, 0.0, -1.15], "out": [0.0]}
_PILL = "M-1.15,-0.5h2.3v1h-2.3z"


def toy_chart(network: ToyNetwork, x: Sequence[float], order: Sequence[int] = IDENTITY) -> Any:
    """The network with unit `order[place]` at each place, its weights written on the edges, for the input `x`.

    `network` is in its own order; units keep their number and colour wherever they stand. Edges are wide
    for large weights, dashed for negative ones; the circles hold values, the last one the output.
    """
    places = check_order(order)
    nodes, edges = toy_nodes(network, x, places), toy_edges(network, places)
    across = alt.Scale(
        domain=[-0.12, 1.12], nice=False, zero=False,
        range=[alt.ExprRef("(width - min(width, 860)) / 2"), alt.ExprRef("(width + min(width, 860)) / 2")],
    )  # fmt: skip
    down = alt.Scale(domain=[-1.5, 1.55], nice=False, zero=False)
    place = {"x": alt.X("x:Q", scale=across, axis=None), "y": alt.Y("y:Q", scale=down, axis=None)}
    chart = alt.layer(*_edge_marks(edges, place), *_node_marks(nodes, place))
    return style.finish(chart, _describe(network, x, places), height=440)


def toy_nodes(network: ToyNetwork, x: Sequence[float], order: Sequence[int]) -> pd.DataFrame:
    """Columns kind, name, value, x, y, color, text: one row for each circle."""
    hidden, output = network.permuted(order).forward(x)
    rows = [("in", f"Input {i + 1}", float(x[i]), y, "#5A6672") for i, y in enumerate(_ROWS["in"])]
    for place, unit in enumerate(order):
        color = style.UNIT_COLORS[unit]
        rows.append(("hidden", f"Unit {unit + 1}", float(hidden[place]), _ROWS["hidden"][place], color))
    rows.append(("out", "Output", output, 0.0, "#2F3B47"))
    data = pd.DataFrame(rows, columns=["kind", "name", "value", "y", "color"])
    return data.assign(x=data["kind"].map(_COLUMNS), text=[number(v) for v in data["value"]])


def toy_edges(network: ToyNetwork, order: Sequence[int]) -> pd.DataFrame:
    """Columns name, weight, x, y, x2, y2, label_x, label_y, color, text: one row for each weight."""
    moved = network.permuted(order)
    rows = []
    for place, unit in enumerate(order):
        here = (_COLUMNS["hidden"], _ROWS["hidden"][place])
        for i, y in enumerate(_ROWS["in"]):
            name = f"Input {i + 1} to unit {unit + 1}"
            rows.append((name, float(moved.incoming[place, i]), _COLUMNS["in"], y, *here, 0.74))
        name = f"Unit {unit + 1} to output"
        rows.append((name, float(moved.outgoing[place]), *here, _COLUMNS["out"], 0.0, 0.45))
    data = pd.DataFrame(rows, columns=["name", "weight", "x", "y", "x2", "y2", "share"])
    return data.assign(
        label_x=data["x"] + data["share"] * (data["x2"] - data["x"]),
        label_y=data["y"] + data["share"] * (data["y2"] - data["y"]),
        color=[style.POSITIVE if w >= 0 else style.NEGATIVE for w in data["weight"]],
        text=[number(w) for w in data["weight"]],
        thick=1.5 + 3.5 * data["weight"].abs(),
        negative=data["weight"] < 0,
    )


def number(value: float) -> str:
    """1.5 as `1.5`, -0.5 as `−0.5` (with a minus sign), 2.0 as `2`."""
    return f"{value:g}".replace("-", "−")


def _edge_marks(edges: pd.DataFrame, place: dict[str, Any]) -> list[alt.Chart]:
    tips = [alt.Tooltip("name:N", title="Weight from"), alt.Tooltip("text:N", title="Weight")]
    color = alt.Color("color:N", scale=None)
    layers = []
    for negative, dash in ((False, [1, 0]), (True, [7, 4])):
        lines = alt.Chart(edges[edges["negative"] == negative]).mark_rule(opacity=0.75, strokeDash=dash)
        width = alt.StrokeWidth("thick:Q", scale=None)
        layers.append(lines.encode(**place, x2="x2:Q", y2="y2:Q", color=color, strokeWidth=width, tooltip=tips))
    at = edges.drop(columns=["x", "y"]).rename(columns={"label_x": "x", "label_y": "y"})
    pill = (
        alt.Chart(at)
        .mark_point(shape=_PILL, size=1500, filled=True, opacity=1)
        .encode(**place, color=color, tooltip=tips)
    )
    text = alt.Chart(at).mark_text(color="#FFFFFF", fontSize=15, fontWeight="bold", baseline="middle")
    return [*layers, pill, text.encode(**place, text="text:N")]


def _node_marks(nodes: pd.DataFrame, place: dict[str, Any]) -> list[alt.Chart]:
    circles = alt.Chart(nodes).mark_circle(size=3000, opacity=1, stroke=style.INK, strokeWidth=1.5, strokeOpacity=0.5)
    value = alt.Chart(nodes).mark_text(color="#FFFFFF", fontSize=20, fontWeight="bold", baseline="middle")
    name = alt.Chart(nodes).mark_text(color=style.INK, fontSize=16, fontWeight="bold", dy=-42)
    tips = [alt.Tooltip("name:N", title="Circle"), alt.Tooltip("text:N", title="Value")]
    color = alt.Color("color:N", scale=None)
    return [
        circles.encode(**place, color=color, tooltip=tips),
        value.encode(**place, text="text:N"),
        name.encode(**place, text="name:N"),
    ]


def _describe(network: ToyNetwork, x: Sequence[float], order: tuple[int, ...]) -> str:
    hidden, output = network.permuted(order).forward(x)
    units = ", ".join(f"unit {order[i] + 1} at {number(float(hidden[i]))}" for i in range(UNITS))
    inputs = " and ".join(number(float(v)) for v in x)
    return (
        f"A network with two inputs ({inputs}), three hidden units and one output. "
        f"From top to bottom: {units}. The output is {number(output)}."
    )
