"""Places for names beside marks, such that none covers another: Vega-Lite has no such thing.

They are found for charts of several widths; the browser takes those that fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import altair as alt
import pandas as pd

from lmc.charts import style

_LETTER, _LINE, _APART = 0.53, 1.25, 16.0  # of the size of a letter, of that too, pixels from a mark to its name
_MARK = 11.0  # half of a mark
_DOWN = (0.0, 1.0, -1.0, 1.2, -1.2, 1.6, -1.6, 2.2, -2.2, 3.0, -3.0)  # lines
_CROSSED, _ASTRAY, _BESIDE = 1.5, 4.0, {1: 0.0, -1: 0.4, 0: 0.2}
"""Lines of text that it is worth to avoid this: a line, a nearer mark, a side."""

Spot = tuple[float, float]
"""Across and down, from 0 to 1."""
Box = tuple[float, float, float, float]
"""Left, right, upper and lower end."""


@dataclass(frozen=True)
class Canvas:
    """So many pixels across and down, with names in letters of this size."""

    wide: float
    tall: float
    size: float

    def box(self, ends: Box) -> Box:
        """Ends from 0 to 1 in pixels."""
        left, right, above, below = ends
        return left * self.wide, right * self.wide, above * self.tall, below * self.tall


CANVASES = {
    "": Canvas(680, 330, style.FONT["mark"]),
    "_middle": Canvas(440, 330, style.FONT["mark"]),
    "_narrow": Canvas(260, 320, 13),
}
"""End of the names of columns → the chart for which they hold."""


def beside(marks: Sequence[Spot], names: Sequence[str], lines: Sequence[Box], canvas: Canvas) -> pd.DataFrame:
    """Columns side (of its mark, on which each name stands: 1 right, -1 left, 0 above or below), down (pixels), seen.

    No name covers a mark or another name; where there is no room it is not `seen`. It stands as near to its mark as it
    can, rather not on one of the `lines`, nor nearer to another mark.
    """
    boxes = [canvas.box(line) for line in lines]
    middles = [(x * canvas.wide, y * canvas.tall) for x, y in marks]
    taken = [(x - _MARK, x + _MARK, y - _MARK, y + _MARK) for x, y in middles]
    found = {}
    for k in sorted(range(len(marks)), key=lambda k: -middles[k][0]):  # on the right there is the least room
        places = [place for place in _places(middles[k], names[k], canvas) if not _any(place.box, taken)]
        if places:
            found[k] = min(places, key=lambda place: _cost(place, middles[k], middles, boxes))
            taken.append(found[k].box)
    rows = [(found[k].side, found[k].down, 1) if k in found else (0, 0.0, 0) for k in range(len(marks))]
    return pd.DataFrame(rows, columns=["side", "down", "seen"])


def names_chart(rows: pd.DataFrame) -> alt.Chart:
    """The text marks for `rows`, with the columns of `beside` for every canvas and the column `name`."""

    def fitting(column: str) -> str:
        *wider, (narrowest, _) = CANVASES.items()
        found = f"datum.{column}{narrowest}"
        for end, canvas in reversed(wider):
            found = f"(width >= {canvas.wide} ? datum.{column}{end} : {found})"
        return found

    sizes = {f"size{end}": canvas.size for end, canvas in CANVASES.items()}
    return alt.Chart(rows.assign(**sizes)).mark_text(
        align=alt.ExprRef(f"['right', 'center', 'left'][{fitting('side')} + 1]"),
        opacity=alt.ExprRef(fitting("seen")),
        dx=alt.ExprRef(f"{_APART} * {fitting('side')}"),
        dy=alt.ExprRef(fitting("down")),
        fontSize=alt.ExprRef(fitting("size")),
        baseline="middle", color=style.INK, fontWeight="bold", tooltip=None,
    )  # fmt: skip


class _Place(NamedTuple):
    side: int
    down: float
    lines: float
    box: Box


def _places(mark: Spot, name: str, canvas: Canvas) -> list[_Place]:
    """Those that lie on the canvas."""
    (x, y), line, length = mark, _LINE * canvas.size, _LETTER * canvas.size * len(name)
    found = []
    for lines in _DOWN:
        for side, start in ((1, x + _APART), (-1, x - _APART - length), (0, x - length / 2)):
            middle = y + line * lines
            box = (start, start + length, middle - line / 2, middle + line / 2)
            if box[0] >= 0 and box[1] <= canvas.wide and box[2] >= 0 and box[3] <= canvas.tall:
                found.append(_Place(side, line * lines, abs(lines), box))
    return found  # those of side 0 in the middle of the mark are ruled out by the mark itself


def _cost(place: _Place, own: Spot, marks: Sequence[Spot], lines: Sequence[Box]) -> float:
    """In lines of text."""
    crossed = sum(_cover(place.box, line) for line in lines)
    astray = any(_far(place.box, mark) + _MARK < _far(place.box, own) for mark in marks)
    return place.lines + _CROSSED * crossed + _ASTRAY * astray + _BESIDE[place.side]


def _far(box: Box, mark: Spot) -> float:
    left, right, above, below = box
    return math.hypot(max(left - mark[0], 0.0, mark[0] - right), max(above - mark[1], 0.0, mark[1] - below))


def _any(box: Box, taken: Sequence[Box]) -> bool:
    return any(_cover(box, other) for other in taken)


def _cover(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
