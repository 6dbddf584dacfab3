"""Two networks that no order of units connects: the error on the way, and what the network in between answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, frame
from lmc.counterexample import POINTS, TRUTH, SmallNetwork

_EXTENT = (-0.5, 1.5)  # of both inputs
_SIDE = 126  # squares a side; as it is no multiple of 4, in no middle of one the answer of A or B is about to change
_GAP = 0.2  # between two maps, in widths of a map
_BELOW, _BESIDE = 30, 24  # pixels for the words below and beside a map
_SHAPES = ("circle", "square")
_RIM, _DARK = "#FFFFFF", "#101820"


def order_name(order: Sequence[int]) -> str:
    """`B as it is`, or `B's units swapped`."""
    return "B as it is" if list(order) == sorted(order) else "B's units swapped"


def order_colors(names: Sequence[str]) -> list[str]:
    """The first order is B's own: no permutation."""
    return [style.method_color("none"), *style.EXTRA_COLORS][: len(names)]


def xor_errors_chart(curves: Table, lam: float | None = None) -> Any:
    """The error along λ, one curve for each order of B's units, from columns name, lam, error.

    Curves may be equal, so each lies in a wider one below it. A line stands at `lam`.
    """
    data = frame(curves, ["name", "lam", "error"])
    names = list(dict.fromkeys(data["name"]))
    wide = [4.0 + 6.0 * (len(names) - 1 - i) for i in range(len(names))]
    legend = style.top_legend(columns=3, symbolType="stroke", symbolStrokeWidth=5)
    color = alt.Color("name:N", scale=alt.Scale(domain=names, range=order_colors(names)), legend=legend)
    axis = style.value_axis("error", "Wrong of the four points", values=[0, 0.25, 0.5, 0.75, 1], labelOverlap=False)
    y = alt.Y("error:Q", scale=alt.Scale(domain=[0, 0.8], nice=False), axis=axis)
    ends = "datum.value == 0 ? '0: A' : datum.value == 1 ? '1: B' : format(datum.value, '~g')"
    x = alt.X(
        "lam:Q",
        scale=alt.Scale(domain=[0, 1], padding=16, nice=False),
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=ends, labelFlush=False, title="λ, the share of B"),
    )
    layers = [
        alt.Chart(data[data["name"] == name])
        .mark_line(strokeWidth=thick, interpolate="step", strokeJoin="miter")
        .encode(y=y, color=color)
        for name, thick in zip(names, wide, strict=True)
    ]
    if lam is not None:
        rule = alt.Chart(pd.DataFrame({"lam": [lam]})).mark_rule(color=style.INK, strokeWidth=2, strokeDash=[2, 4])
        layers.insert(0, rule)
    return style.finish(alt.layer(*layers).encode(x=x), _describe_errors(data, names), height=280)


def _describe_errors(data: pd.DataFrame, names: Sequence[str]) -> str:
    found = []
    for name in names:
        curve = data[data["name"] == name].sort_values("lam")
        first, last, top = curve["error"].iloc[0], curve["error"].iloc[-1], curve["error"].max()
        between = curve.loc[curve["error"] == top, "lam"]
        found.append(
            f"{name}: {style.percent(first)} at A, {style.percent(last)} at B, {style.percent(top)} from "
            f"λ = {between.min():.2f} to {between.max():.2f}"
        )
    return f"Share of the four points that is answered wrongly, along the line from A to B. {'; '.join(found)}."


def xor_maps(networks: Mapping[str, SmallNetwork]) -> Any:
    """A map for each network, by its title: what it answers everywhere in the plane, and at the four points of XOR."""
    shift = {name: i * (1 + _GAP) for i, name in enumerate(networks)}
    whole = len(networks) + _GAP * (len(networks) - 1)
    unit = f"min((width - {_BESIDE}) / {whole}, height - {_BELOW})"
    left, right = f"{_BESIDE}", f"{_BESIDE} + {unit} * {whole}"
    x_scale = alt.Scale(domain=[0, whole], nice=False, zero=False, range=[alt.ExprRef(left), alt.ExprRef(right)])
    y_scale = alt.Scale(domain=[0, 1], nice=False, zero=False, range=[alt.ExprRef(unit), 0])
    x, y = alt.X("x:Q", scale=x_scale, axis=None), alt.Y("y:Q", scale=y_scale, axis=None)
    layers = [
        _regions(networks, shift, x, y),
        *_points(networks, shift, x, y),
        *_titles(networks, shift, x, y),
    ]
    return style.finish(alt.layer(*layers), _describe_maps(networks), height=370)


def regions(network: SmallNetwork, side: int = _SIDE) -> pd.DataFrame:
    """Columns x, x2, y, y2 (from 0 to 1 across the plane) and answer: runs of equal answers, row by row."""
    low, high = _EXTENT
    middles = low + (np.arange(side) + 0.5) * (high - low) / side
    grid = np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2)
    rows = []
    for row, answers in enumerate(network.answers(grid).reshape(side, side)):
        starts = [0, *(np.flatnonzero(np.diff(answers)) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], side], strict=True):
            rows.append((start / side, end / side, row / side, (row + 1) / side, int(answers[start])))
    return pd.DataFrame(rows, columns=["x", "x2", "y", "y2", "answer"])


def point_answers(network: SmallNetwork) -> pd.DataFrame:
    """Columns input, truth, answer, output, wrong, x, y: one row for each of the four points."""
    low, high = _EXTENT
    places = (POINTS - low) / (high - low)
    answers = network.answers(POINTS)
    return pd.DataFrame(
        {
            "input": [f"{a:g}, {b:g}" for a, b in POINTS],
            "truth": TRUTH,
            "answer": answers,
            "output": network.outputs(POINTS),
            "wrong": answers != TRUTH,
            "x": places[:, 0],
            "y": places[:, 1],
        }
    )


def _regions(networks: Mapping[str, SmallNetwork], shift: dict[str, float], x: alt.X, y: alt.Y) -> alt.Chart:
    rows = pd.concat([_moved(regions(network), shift[name]) for name, network in networks.items()])
    rows["y2"] += 0.006  # a little over its neighbour, which closes the seams
    rows["color"] = [_tint(answer) for answer in rows["answer"]]
    marks = alt.Chart(rows.round(4)).mark_rect(strokeWidth=0, tooltip=None)
    return marks.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", color=alt.Color("color:N", scale=None))


def _moved(rows: pd.DataFrame, by: float) -> pd.DataFrame:
    """The rows, further to the right."""
    return rows.assign(**{name: rows[name] + by for name in ("x", "x2") if name in rows})


def _tint(answer: int) -> str:
    """The colour of a class, pale enough that its points stand out on it, in both themes."""
    color = style.CLASS_COLORS[answer]
    return "#" + "".join(f"{round(255 * 0.58 + 0.42 * int(color[i : i + 2], 16)):02X}" for i in (1, 3, 5))


def _points(networks: Mapping[str, SmallNetwork], shift: dict[str, float], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The four points in the shape and colour of what would be right; a wrong answer stands below."""
    rows = pd.concat([_moved(point_answers(network), shift[name]) for name, network in networks.items()])
    rows["said"] = [f"answers {a}" if w else "" for a, w in zip(rows["answer"], rows["wrong"], strict=True)]
    tips = [("input", "Inputs"), ("truth", "Right"), ("answer", "Answer")]
    layers = []
    for truth, shape in enumerate(_SHAPES):
        at = alt.Chart(rows[rows["truth"] == truth]).encode(x=x, y=y)
        mark = at.mark_point(
            shape=shape, filled=True, size=900, opacity=1, color=style.CLASS_COLORS[truth],
            stroke=alt.ExprRef(f"datum.wrong ? '{_DARK}' : '{_RIM}'"), strokeWidth=alt.ExprRef("datum.wrong ? 4 : 2"),
        )  # fmt: skip
        layers.append(mark.encode(tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in tips]))
        number = at.mark_text(color=_RIM, fontWeight="bold", baseline="middle", tooltip=None)
        layers.append(number.encode(text="truth:N"))
    beside = alt.Chart(rows[rows["wrong"]]).mark_text(color=_DARK, fontWeight="bold", dy=30, tooltip=None)
    return [*layers, beside.encode(x=x, y=y, text="said:N")]


def _titles(networks: Mapping[str, SmallNetwork], shift: dict[str, float], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    right = [4 - int(point_answers(network)["wrong"].sum()) for network in networks.values()]
    counts = [f"{count} of 4 right" for count in right]
    rows = pd.DataFrame({"x": list(shift.values()), "y": 1.0, "name": list(networks), "count": counts})
    head, foot = (alt.Chart(rows.assign(y=end)).encode(x=x, y=y) for end in (1.0, 0.0))
    words: dict[str, Any] = {"align": "left", "color": style.INK, "fontSize": style.FONT["label"]}
    return [
        head.mark_text(baseline="bottom", dy=-26, fontWeight="bold", **words).encode(text="name:N"),
        head.mark_text(baseline="bottom", dy=-8, **words).encode(text="count:N"),
        foot.mark_text(text="first input →", baseline="top", dy=8, **words),
        foot.mark_text(text="second input →", baseline="bottom", angle=270, dy=-6, **words),
    ]


def _describe_maps(networks: Mapping[str, SmallNetwork]) -> str:
    found = []
    for name, network in networks.items():
        wrong = point_answers(network).query("wrong")
        at = " and ".join(f"({point})" for point in wrong["input"])
        found.append(f"{name}: {'all four right' if wrong.empty else f'wrong at {at}'}")
    return f"Maps of what a network answers over the plane of its two inputs. {'; '.join(found)}."
