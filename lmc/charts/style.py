"""The same colour, dash and name for the same thing on every chart.

Every colour has a contrast of at least 3:1 with the light and with the dark background, so one palette
serves both themes. Colour never stands alone: curves also differ in dash, marks in label or shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from lmc.barriers import CONNECTED as CONNECTED  # the dotted line of charts

INK = "currentColor"
"""The text colour of whatever page a chart stands on; `export` puts in a fixed one."""

NETWORK_COLORS = {"A": "#5E63D6", "B": "#A87B00", "C": "#C2409A", "merged": "#3E8A5B"}

METHOD_COLORS = {
    "none": "#D55E00",
    "random": "#7A7F87",
    "weight": "#0A78C2",
    "activation": "#009E73",
    "straight_through": "#9B45E0",
    "sinkhorn": "#CC2255",
    "annealing": "#809818",
    "merge_many": "#D63AC0",
    "cycle_consistent": "#6D7FA8",
}

METHOD_DASHES = {
    "none": [1, 0],
    "random": [2, 4],
    "weight": [1, 0],
    "activation": [9, 4],
    "straight_through": [12, 4, 2, 4],
    "sinkhorn": [6, 3],
    "annealing": [10, 3, 2, 3, 2, 3],
    "merge_many": [14, 5],
    "cycle_consistent": [4, 3, 1, 3],
}

METHOD_LABELS = {
    "none": "No permutation",
    "random": "Random permutation",
    "weight": "Weight matching",
    "activation": "Activation matching",
    "straight_through": "Straight-through",
    "sinkhorn": "Sinkhorn",
    "annealing": "Simulated annealing",
    "merge_many": "Merge many",
    "cycle_consistent": "Cycle-consistent",
}

CLASS_COLORS = ("#1F5FBF", "#C77800", "#B0266E")
"""Classes of points in the plane: bright and dark enough to stand on a pale tint of themselves."""

UNIT_COLORS = ("#A35F00", "#0C7C94", "#B03A78")
NEGATIVE, POSITIVE = "#C25400", "#0A6DB0"
EXTRA_COLORS = ("#0F87A0", "#B4541A", "#6F8A1F", "#8A6FD0", "#B0486A", "#5F7C8C")

_EARLY, _MIDWAY = "#A8861C", "#2F917B"  # of training; the end has the colour of the method

MEASURES = {"error": "error", "loss": "loss (nats)"}
FONT = {"label": 15, "title": 16, "mark": 16}


def method_label(method: str) -> str:
    """The name of a method in words; an unknown one is spelled as it is, with a capital."""
    return METHOD_LABELS.get(method, method.replace("_", " ").capitalize())


def ordered_methods(methods: Iterable[str]) -> list[str]:
    """Each method once, in the one order that all charts use, unknown ones last."""
    known = list(METHOD_COLORS)
    found = dict.fromkeys(methods)
    return sorted(found, key=lambda m: known.index(m) if m in known else len(known))


def method_color(method: str) -> str:
    """The colour of a method; an unknown one gets a spare colour that depends only on its name."""
    return METHOD_COLORS.get(method) or EXTRA_COLORS[sum(map(ord, method)) % len(EXTRA_COLORS)]


def method_dash(method: str) -> list[int]:
    """The dash pattern of a method."""
    return METHOD_DASHES.get(method, [8, 3, 3, 3])


def network_colors(names: Iterable[str]) -> dict[str, str]:
    """A colour for each network: by its letter if it has one, else in the order A, B, C, then spare ones."""
    spare = [NETWORK_COLORS["A"], NETWORK_COLORS["B"], NETWORK_COLORS["C"], *EXTRA_COLORS]
    unique = list(dict.fromkeys(names))
    return {name: NETWORK_COLORS.get(name, spare[i % len(spare)]) for i, name in enumerate(unique)}


def network_label(letter: str, label: str) -> str:
    """`A (seed 0)`; a network from a file is called by the file's name: `A (my-net)`."""
    return f"{letter} (seed {label})" if label.replace("/", "").isdigit() else f"{letter} ({label})"


def fit_colors(count: int, method: str) -> list[str]:
    """A colour for each of the epochs at which a permutation was found, from early to the method's own."""
    return _ramp(count, [_EARLY, _MIDWAY, method_color(method)])


def layer_colors(count: int) -> list[str]:
    """A colour for each layer, from the first to the last."""
    return _ramp(count, [EXTRA_COLORS[1], EXTRA_COLORS[3], EXTRA_COLORS[2]])


def _ramp(count: int, through: Sequence[str]) -> list[str]:
    """`count` colours evenly along the straight lines between the colours `through`; one alone is the last."""
    stops = [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in through]
    found = []
    for k in range(count):
        at = (len(stops) - 1) * (k / (count - 1) if count > 1 else 1.0)
        place = min(int(at), len(stops) - 2)
        mixed = [round(a + (at - place) * (b - a)) for a, b in zip(stops[place], stops[place + 1], strict=True)]
        found.append("#" + "".join(f"{value:02X}" for value in mixed))
    return found


def percent(value: float) -> str:
    """0.083 as `8.3%`, 0.77 as `77%`: enough digits to be honest, few enough to read."""
    points = 100 * value
    return f"{points:.0f}%" if abs(points) >= 20 else f"{points:.1f}%"


def readable(value: float, measure: str) -> str:
    """A value of `measure` as a person writes it: an error in percent, a loss with two decimals."""
    return percent(value) if measure == "error" else f"{value:.2f}"


def value_axis(measure: str, title: str, **options: Any) -> alt.Axis:
    """The axis of an error (in percent) or of a loss (a plain number)."""
    style = {"format": ".0%" if measure == "error" else "~g", "tickCount": 5}
    return alt.Axis(title=title, **{**style, **options})


def top_legend(columns: int | str = 2, narrow: int = 1, **options: Any) -> alt.Legend:
    """A legend above the chart, wide enough to show a dash pattern, that still fits on 600 pixels.

    It has so many `columns` (a number or an expression of Vega), `narrow` ones on a telephone.
    """
    style: dict[str, Any] = {
        "orient": "top",
        "direction": "horizontal",
        "title": None,
        "columns": alt.ExprRef(f"width < 430 ? {narrow} : {columns}"),
    }
    style |= {"symbolSize": 900, "symbolStrokeWidth": 3, "labelLimit": 320, "labelFontSize": FONT["label"]}
    style |= {"columnPadding": 20, "rowPadding": 4, "padding": 0, "offset": 14}
    return alt.Legend(**{**style, **options})


def finish(chart: Any, description: str, *, height: int | None = 380) -> Any:
    """What every chart has: the width of its place, readable type, an SVG picture, a description for screen readers."""
    sized = {"width": "container", "height": height} if height is not None else {"width": "container"}
    out = chart.properties(usermeta={"embedOptions": {"renderer": "svg"}, "alt": description}, **sized)
    words = {
        "labelFontSize": FONT["label"],
        "titleFontSize": FONT["title"],
        "labelColor": INK,
        "titleColor": INK,
    }
    out = out.configure_axis(labelLimit=260, titlePadding=12, labelPadding=6, **words).configure_legend(**words)
    return out.configure_text(fontSize=FONT["mark"]).configure_view(strokeWidth=0)


def describe(chart: Any) -> str:
    """The sentence that says in words what a chart shows, for `alt=`; exported files carry it too."""
    return str(chart.usermeta["alt"])
