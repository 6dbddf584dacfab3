"""Loss or error over the plane through three networks, as a map with the networks on it."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, frame

_GAP = 0.06  # between two maps, in widths of a map
_LEGEND = 76  # pixels below the maps
_SHARE = 0.9  # of the squares have colours of their own, those above are as dark as can be
_LEAST_SPAN = 4.0  # loss: colours reach from the lowest value to at least so many times it
_SCHEME = ["#FFF7D6", "#FBD98C", "#F2A65E", "#D9695B", "#A03C70", "#5B2470", "#1F0F3D"]  # dark hills, a light valley
_LINE, _RIM = "#101820", "#FFFFFF"


def landscape_chart(
    plane: Table, corners: Table, *, split: str = "test", measure: str = "loss", height: int = 520
) -> Any:
    """One map for each method, side by side at one scale, from the tables `plane` and `corners`.

    A square of `plane` is `size` wide around (u, v); small ones cover large ones, so the map may be drawn while it
    gets finer. Networks stand at their `corners` in the colours of A, B and C, joined by the straight segments
    between them; one in its permuted order, `π(1)`, has the colour of its network and is called π(B). Colours are on
    a logarithmic (loss) or square-root (error) scale and end where the highest tenth of the values begins.
    """
    columns = ["method", "u", "v", "size", check_measure(measure), "loss", "error"]
    squares = choose_rows(frame(plane, ("split", *columns)), "split", split)[list(dict.fromkeys(columns))].dropna()
    points = frame(corners, ("method", "label", "u", "v"))
    methods = [m for m in style.ordered_methods(squares["method"]) if m in set(points["method"])]
    maps = _Maps(squares, methods)
    x, y = maps.x(), maps.y()
    layers = [
        _squares(maps.placed(squares), maps, measure, color_range(squares[measure].to_numpy(), measure)),
        *_segments(maps.placed(points), x, y),
        *_networks(maps.placed(named_corners(points)), x, y),
        *_titles(maps, x, y),
    ]
    return style.finish(alt.layer(*layers), _describe(squares, methods, points, split, measure), height=height)


def color_range(values: np.ndarray, measure: str) -> tuple[float, float]:
    """The values between which colours change: the lowest one, and that which nine tenths of `values` do not exceed."""
    low, high = float(values.min()), float(np.quantile(values, _SHARE))
    if measure == "error":
        return low, max(high, low + 2 * style.CONNECTED)
    low = max(low, 1e-4)
    return low, max(high, _LEAST_SPAN * low)


def named_corners(corners: pd.DataFrame) -> pd.DataFrame:
    """The corners with columns `letter` (A, B, C, or π(B)), `color` and `text`; letters in the order of the corners."""
    parts = []
    for _, group in corners.groupby("method", sort=False):
        letters = dict(zip((n for n in group["label"].astype(str) if not n.startswith("π(")), "ABC", strict=False))
        names = [str(n) for n in group["label"]]
        plain = [n.removeprefix("π(").removesuffix(")") if n.startswith("π(") else n for n in names]
        found = [letters.get(n, n) for n in plain]
        parts.append(
            group.assign(
                letter=[f"π({one})" if n != p else one for one, n, p in zip(found, names, plain, strict=True)],
                color=[style.NETWORK_COLORS.get(one, style.EXTRA_COLORS[0]) for one in found],
                text=[
                    style.network_label(one, p) + (", reordered" if n != p else "")
                    for one, n, p in zip(found, names, plain, strict=True)
                ],
            )
        )
    return pd.concat(parts)


class _Maps:
    """Where the maps stand: side by side, one unit of length the same in all of them and across as well as up.

    Heights above the line from A to B stay as they are, so these lines are level with one another.
    """

    def __init__(self, squares: pd.DataFrame, methods: list[str]) -> None:
        self.methods = methods
        half = squares["size"] / 2
        edges = squares.assign(left=squares["u"] - half, right=squares["u"] + half)
        edges = edges.assign(bottom=squares["v"] - half, top=squares["v"] + half)
        found = {m: edges[edges["method"] == m] for m in methods}
        self.left = {m: float(rows["left"].min()) for m, rows in found.items()}
        self.top = {m: float(rows["top"].max()) for m, rows in found.items()}
        self.bottom = float(edges["bottom"].min())
        wide = [float(rows["right"].max()) - self.left[m] for m, rows in found.items()]
        gap = _GAP * max(wide)
        self.start = dict(zip(methods, np.cumsum([0.0, *(w + gap for w in wide)]).tolist(), strict=False))
        self.width = sum(wide) + gap * (len(wide) - 1)
        self.height = max(self.top.values()) - self.bottom

    def placed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the methods shown, with their place `x`, `y` in the picture."""
        rows = rows[rows["method"].isin(self.methods)]
        moved = rows["method"].map({m: self.start[m] - self.left[m] for m in self.methods})
        name = rows["method"].map(style.method_label)
        return rows.assign(x=rows["u"] + moved, y=rows["v"] - self.bottom, name=name)

    def x(self) -> alt.X:
        middle, half = "width / 2", f"{self._unit()} * {self.width / 2}"
        ends: list[Any] = [alt.ExprRef(f"{middle} - {half}"), alt.ExprRef(f"{middle} + {half}")]
        return alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, self.width], nice=False, zero=False, range=ends))

    def y(self) -> alt.Y:
        ends: list[Any] = [alt.ExprRef(self.down()), 0]
        return alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, self.height], nice=False, zero=False, range=ends))

    def down(self) -> str:
        """Where the maps end, in pixels from above."""
        return f"{self._unit()} * {self.height}"

    def _unit(self) -> str:
        """Pixels to a unit of length: as large as fits above the legend."""
        return f"min(width / {self.width}, (height - {_LEGEND}) / {self.height})"


def _squares(squares: pd.DataFrame, maps: _Maps, measure: str, between: tuple[float, float]) -> alt.Chart:
    half = squares["size"] * 0.51  # a little over its neighbours, which closes the seams
    rows = squares.assign(value=squares[measure]).sort_values("size", ascending=False, kind="stable")
    rows = rows.assign(x=rows["x"] - half, x2=rows["x"] + half, y=rows["y"] - half, y2=rows["y"] + half)
    words = {m: [style.readable(v, m) for v in rows[m]] for m in ("loss", "error")}
    rows = rows.assign(loss_text=words["loss"], error_text=words["error"])
    columns = ["name", "x", "x2", "y", "y2", "value", "loss_text", "error_text"]
    scale: dict[str, Any] = {"type": "log"} if measure == "loss" else {"type": "sqrt"}
    colors = alt.Scale(domain=list(between), range=_SCHEME, clamp=True, nice=False, interpolate="lab", **scale)
    color = alt.Color("value:Q", scale=colors, legend=_legend(measure, between, maps.down()))
    tips = [alt.Tooltip("name:N", title="Method"), alt.Tooltip("loss_text:N", title="Loss (nats)")]
    tips.append(alt.Tooltip("error_text:N", title="Error"))
    marks = alt.Chart(rows[columns].round(5)).mark_rect(strokeWidth=0)
    return marks.encode(x=maps.x(), x2="x2:Q", y=maps.y(), y2="y2:Q", color=color, tooltip=tips)


def _legend(measure: str, between: tuple[float, float], down: str) -> alt.Legend:
    """The bar of colours, in the middle below the maps, which end `down` there."""
    low, high = between
    title = f"{style.MEASURES[measure].capitalize()}, darkest from {style.readable(high, measure)} on"
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20] if measure == "loss" else [0, 0.05, 0.1, 0.2, 0.4, 0.8]
    return alt.Legend(
        type="gradient", direction="horizontal", gradientLength=320, gradientThickness=16, title=title, titleLimit=400,
        orient="none", legendX=alt.ExprRef("max(0, width / 2 - 160)"), legendY=alt.ExprRef(f"{down} + 14"),
        values=[tick for tick in ticks if low <= tick <= high], format=".0%" if measure == "error" else "~g",
    )  # fmt: skip


def _segments(corners: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Every two networks joined: a dark line with a light rim, to be seen in the valley and on the hills."""
    rows = []
    for method, group in corners.groupby("method", sort=False):
        at = list(zip(group["x"], group["y"], strict=True))
        ends = [(i, j) for i in range(len(at)) for j in range(i)]
        rows += [(method, *at[i], *at[j]) for i, j in ends]
    lines = alt.Chart(pd.DataFrame(rows, columns=["method", "x", "y", "x2", "y2"]))
    place: dict[str, Any] = {"x": x, "y": y, "x2": "x2:Q", "y2": "y2:Q"}
    rim = lines.mark_rule(color=_RIM, strokeWidth=5, opacity=0.75).encode(**place)
    return [rim, lines.mark_rule(color=_LINE, strokeWidth=2).encode(**place)]


def _networks(corners: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    at = alt.Chart(corners[["x", "y", "letter", "color", "text", "name"]])
    tips = [alt.Tooltip("text:N", title="Network"), alt.Tooltip("name:N", title="Method")]
    size = alt.ExprRef("length(datum.letter) > 1 ? 1800 : 1000")
    disc = at.mark_circle(size=size, opacity=1, stroke=_RIM, strokeWidth=2.5)
    small = alt.ExprRef("length(datum.letter) > 1 ? 13 : 17")
    word = at.mark_text(color=_RIM, fontWeight="bold", baseline="middle", fontSize=small)
    return [
        disc.encode(x=x, y=y, color=alt.Color("color:N", scale=None), tooltip=tips),
        word.encode(x=x, y=y, text="letter:N"),
    ]


def _titles(maps: _Maps, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    rows = [(maps.start[m], maps.top[m] - maps.bottom, style.method_label(m)) for m in maps.methods]
    title = alt.Chart(pd.DataFrame(rows, columns=["x", "y", "name"])).mark_text(
        align="left", baseline="bottom", dy=-8, fontSize=17, fontWeight="bold", color=style.INK
    )
    return [title.encode(x=x, y=y, text="name:N")]


def _describe(squares: pd.DataFrame, methods: list[str], corners: pd.DataFrame, split: str, measure: str) -> str:
    """The lowest and the highest value on each map, and which networks stand on it."""
    found = []
    for method in methods:
        values = squares.loc[squares["method"] == method, measure]
        low, high = (style.readable(float(v), measure) for v in (values.min(), values.max()))
        found.append(f"{style.method_label(method)}: from {low} to {high}")
    names = list(dict.fromkeys(named_corners(corners)["text"]))
    unit = " in nats" if measure == "loss" else ""
    return f"Map of the {split} {measure}{unit} over the plane through {', '.join(names)}. {'; '.join(found)}."
