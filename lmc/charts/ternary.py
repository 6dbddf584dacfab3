"""The numbers and shapes of a triangle between three networks, as plain functions that tests can check.

Weights `[points, 3]` of mixtures become places in a triangle with sides of 1: network 0 at the top, 1 at the left, 2 at
the right.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lmc.barriers import simplex_excess
from lmc.charts.style import CONNECTED
from lmc.charts.summary import Table, check_measure, choose_rows, frame

Array = npt.NDArray[np.float64]
Place = tuple[int, int]

WEIGHTS = ["w0", "w1", "w2"]
HIGH = float(np.sqrt(3) / 2)  # of an equilateral triangle with sides of 1
CORNERS = np.array([[0.5, HIGH], [0.0, 0.0], [1.0, 0.0]])


def mixtures(simplex: Table, split: str, measure: str) -> pd.DataFrame:
    """Columns method, w0, w1, w2, value, excess: the mean over triples at each point."""
    columns = ["triple", "method", "split", *WEIGHTS, check_measure(measure)]
    data = choose_rows(frame(simplex, columns), "split", split)
    parts = []
    for _, one in data.groupby(["triple", "method"], sort=False):
        weights, values = one[WEIGHTS].to_numpy(float), one[measure].to_numpy(float)
        corners = [float(values[weights[:, k].argmax()]) for k in range(3)]
        excess = simplex_excess(weights, values.tolist(), corners)
        parts.append(one[["method", *WEIGHTS]].assign(value=values, excess=excess))
    return pd.concat(parts).groupby(["method", *WEIGHTS], sort=False, as_index=False).mean()


def grid_steps(points: pd.DataFrame) -> int:
    """Steps along a side of the triangle of one method."""
    return int((points["w2"] == 0).sum()) - 1


def grid_rows(points: pd.DataFrame) -> pd.DataFrame:
    """The points that are on the grid: the middle is measured also where it is not."""
    counts = points[WEIGHTS].to_numpy(float) * grid_steps(points)
    return points[np.abs(counts - np.rint(counts)).max(1) < 1e-6].reset_index(drop=True)


def cell_outline(zero: tuple[bool, ...]) -> Array:
    """The polygon `[corners, 2]` of all that is nearest to a point of the grid, y upwards, in steps of the grid.

    A hexagon inside; at an edge or a corner, where weights are `zero`, it ends with the triangle.

    >>> [len(cell_outline(zero)) for zero in ((False,) * 3, (True, False, False), (True, True, False))]
    [6, 5, 4]
    """
    turns = np.deg2rad(30 + 60 * np.arange(6))
    vertices = np.stack([np.cos(turns), np.sin(turns)], 1) / np.sqrt(3)
    inward = CORNERS - CORNERS.mean(0)  # towards a corner its weight grows
    kept = (vertices @ inward[np.array(zero)].T > 1e-9).all(1)
    if kept.all():
        return vertices
    first = next(k for k in range(6) if kept[k] and not kept[k - 1])
    inside = [(first + k) % 6 for k in range(int(kept.sum()))]
    ends = [(vertices[k] + vertices[(k + step) % 6]) / 2 for k, step in ((inside[0], -1), (inside[-1], 1))]
    middle = [] if len(inside) == 3 else [np.zeros(2)]  # an edge cuts the hexagon through its middle
    return np.array([*middle, ends[0], *vertices[inside], ends[1]])


def connected_share(grid: pd.DataFrame, level: float = CONNECTED) -> float:
    """The share of the triangle's area whose excess is at most `level`; cells at edges and corners are smaller."""
    area = (grid[WEIGHTS] < 1e-9).sum(axis=1).map({0: 6, 1: 3, 2: 1})
    return float(area[grid["excess"] <= level].sum() / area.sum())


def connected_edge(grid: pd.DataFrame, level: float = CONNECTED) -> list[tuple[Array, Array]]:
    """Pieces of the line around the mixtures whose excess is at most `level`, as pairs of weights `[3]`.

    Inside the triangle the line is where the excess, linear between the points of the grid, equals the level; where
    the triangle ends, so does what is connected.
    """
    surface = _Surface(grid, level)
    found: list[tuple[Array, Array]] = []
    for triangle in surface.triangles():
        cut = [(p, q) for p, q in itertools.combinations(triangle, 2) if surface.crosses(p, q)]
        found += [(surface.crossing(*cut[0]), surface.crossing(*cut[1]))] if cut else []
    for p, q in surface.sides():
        under = [surface.weights(c) for c in (p, q) if surface.over[c] <= 0]
        if under:
            found.append((under[0], under[1] if len(under) == 2 else surface.crossing(p, q)))
    return found


class _Surface:
    """What is `over` a level at the places (i, j) of the grid, whose weights are i and j steps of 0 and 1."""

    def __init__(self, grid: pd.DataFrame, level: float) -> None:
        self.steps = grid_steps(grid)
        places = np.rint(grid[WEIGHTS].to_numpy(float) * self.steps).astype(int).tolist()
        self.over: dict[Place, float] = {
            (i, j): float(e) - level for (i, j, _), e in zip(places, grid["excess"], strict=True)
        }

    def triangles(self) -> list[tuple[Place, Place, Place]]:
        """The smallest triangles of the grid, those that point up and those that point down."""
        up = [((i, j), (i + 1, j), (i, j + 1)) for i, j in self.over]
        down = [((i, j), (i - 1, j), (i, j - 1)) for i, j in self.over]
        return [t for t in (*up, *down) if all(place in self.over for place in t)]

    def sides(self) -> list[tuple[Place, Place]]:
        """The pieces of the three sides."""
        n = self.steps
        found: list[tuple[Place, Place]] = []
        for k in range(n):
            found += [((k, 0), (k + 1, 0)), ((0, k), (0, k + 1)), ((k, n - k), (k + 1, n - k - 1))]
        return found

    def weights(self, place: Place) -> Any:
        return np.array([*place, self.steps - sum(place)]) / self.steps

    def crosses(self, p: Place, q: Place) -> bool:
        return (self.over[p] > 0) != (self.over[q] > 0)

    def crossing(self, p: Place, q: Place) -> Any:
        share = self.over[p] / (self.over[p] - self.over[q])
        return (1 - share) * self.weights(p) + share * self.weights(q)
