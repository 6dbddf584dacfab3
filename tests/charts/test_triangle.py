"""The triangle: its cells tile it, its numbers are those of the table, and its line is where it says."""

import itertools
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmc.charts.export import fixed_spec, to_svg
from lmc.charts.style import describe
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
from lmc.charts.triangle import SPOT, triangle_charts


def weights(side: int) -> np.ndarray:
    """All weights in steps of 1/side, by plain loops."""
    return np.array([(i, j, side - i - j) for i in range(side + 1) for j in range(side + 1 - i)]) / side


def simplex(side: int = 6, heights: dict[str, float] | None = None, triples: int = 1) -> pd.DataFrame:
    """A tilted plane with a hill between 1 and 2 on it; every further triple is 0.1 higher there."""
    parts = []
    points = np.concatenate([weights(side), np.full((min(side % 3, 1), 3), 1 / 3)])  # the middle is always there
    for triple, (method, height) in itertools.product(
        range(triples), (heights or {"none": 0.6, "weight": 0.05}).items()
    ):
        hill = 4 * points[:, 1] * points[:, 2] * (height + 0.1 * triple)
        error = points @ [0.1, 0.05, 0.2] + hill
        table = pd.DataFrame(points, columns=WEIGHTS).assign(error=error, loss=10 * error)
        parts.append(table.assign(triple=f"{triple}-8-9", method=method, split="test"))
    return pd.concat(parts, ignore_index=True)


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in fixed_spec(chart)["datasets"].values() for row in rows]


@pytest.mark.parametrize("triples", [1, 3])
def test_excess_is_what_is_above_the_mean_of_the_corners(triples: int) -> None:
    found = mixtures(simplex(triples=triples), "test", "error")
    none = found[found["method"] == "none"]
    height = 0.6 + 0.1 * (triples - 1) / 2
    assert none["excess"].to_numpy() == pytest.approx((4 * none["w1"] * none["w2"] * height).to_numpy())
    assert len(none) == 28 and set(found["method"]) == {"none", "weight"}


def test_a_middle_off_the_grid_is_no_cell() -> None:
    found = mixtures(simplex(side=4, heights={"none": 0.5}), "test", "loss")
    assert grid_steps(found) == 4 and len(found) == 16
    assert grid_rows(found)[WEIGHTS].to_numpy() == pytest.approx(weights(4))


@pytest.mark.parametrize("side", [1, 2, 5])
def test_cells_cover_the_triangle_once(side: int) -> None:
    area = 0.0
    for w in weights(side):
        outline = w @ CORNERS + cell_outline(tuple(w == 0)) / side
        x, y = outline.T
        area += abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        inside = np.linalg.solve(np.vstack([CORNERS.T, np.ones(3)]), np.vstack([outline.T, np.ones(len(outline))]))
        assert inside.min() >= -1e-12
        assert np.abs(outline - w @ CORNERS).max() <= 1 / side / np.sqrt(3) + 1e-12
    assert area == pytest.approx(HIGH / 2)


def test_the_line_is_where_the_excess_equals_the_level() -> None:
    points = weights(5)
    grid = pd.DataFrame(points, columns=WEIGHTS).assign(excess=points[:, 0])
    pieces = connected_edge(grid, 0.5)
    within = [pair for pair in pieces if min(*pair[0], *pair[1]) > 0 or abs(pair[0][0] - 0.5) < 1e-9]
    assert all(end[0] == pytest.approx(0.5) for pair in within for end in pair)
    lengths = [float(np.linalg.norm((a - b) @ CORNERS)) for a, b in pieces]
    assert sum(lengths) == pytest.approx(0.5 + 1 + 0.5 + 0.5)  # across, and around the lower half
    assert connected_share(grid, 0.5) == pytest.approx(
        (14 + 24 + 18) / 75
    )  # the rows at 0, 0.2 and 0.4, in sixths of a cell
    assert connected_share(grid, 1.0) == 1


def test_what_is_all_connected_is_surrounded_and_what_is_not_is_empty() -> None:
    grid = pd.DataFrame(weights(3), columns=WEIGHTS)
    around = connected_edge(grid.assign(excess=0.0))
    assert sum(float(np.linalg.norm((a - b) @ CORNERS)) for a, b in around) == pytest.approx(3)
    assert connected_edge(grid.assign(excess=1.0)) == []


def test_cells_say_what_they_are() -> None:
    cells = [r for r in rows_of(triangle_charts(simplex())) if "mix" in r]
    assert len(cells) == 2 * 28
    one = next(r for r in cells if r["method"] == "none" and (r["w0"], r["w1"]) == (0, 0.5))
    assert (one["mix"], one["at"], one["above"], one["color"]) == ("50% B, 50% C", "72%", "60%", pytest.approx(0.6))
    shown = [r for r in rows_of(triangle_charts(simplex(), shown="value")) if "mix" in r]
    assert max(r["color"] for r in shown) == pytest.approx(0.725)


def test_a_click_selects_weights_and_method() -> None:
    spot = next(p for p in fixed_spec(triangle_charts(simplex()))["params"] if p["name"] == SPOT)
    assert spot["select"]["fields"] == ["w0", "w1", "w2", "method"]


def test_the_cell_nearest_to_a_point_has_the_ring_from_the_start() -> None:
    rows = rows_of(triangle_charts(simplex(), spot=("weight", (0.3, 0.36, 0.34))))
    ringed = [r for r in rows if r.get("ringed")]
    assert [(r["method"], r["mix"]) for r in ringed] == [("weight", "33% A, 33% B, 33% C")]
    assert not any(r.get("ringed") for r in rows_of(triangle_charts(simplex())))


def test_the_first_ring_is_drawn_and_without_a_point_there_is_none() -> None:
    without, ringed = (to_svg(triangle_charts(simplex(), spot=spot)) for spot in (None, ("none", (1.0, 0.0, 0.0))))
    ring = r'<path[^>]*role="graphics-symbol"[^>]*stroke-width="3"'
    assert len(re.findall(ring, ringed)) == 1 and not re.search(ring, without)


def test_words_stand_beneath_their_triangle_the_first_bold() -> None:
    beneath = {"weight": ("Neither", "pairs alone: 7%"), "none": ("Apart",)}
    svg = to_svg(triangle_charts(simplex(), methods=("none", "weight"), beneath=beneath), width=1200)
    places = {word: float(re.search(rf"translate\(([\d.]+),[^>]*>{word}", svg)[1]) for word in ("Apart", "Neither")}  # type: ignore[index]
    assert places["Apart"] < 600 < places["Neither"]
    assert re.search(r'font-weight="bold"[^>]*>Neither', svg) and re.search(r'font-weight="normal"[^>]*>pairs', svg)


def test_the_chart_is_as_high_as_its_triangles_need() -> None:
    three = {"none": 0.6, "weight": 0.05, "activation": 0.0}
    high = {}
    for width in (900, 1300, 1700):
        svg = to_svg(triangle_charts(simplex(heights=three)), width=width)
        high[width] = float(re.search(r'height="([\d.]+)"', svg)[1])  # type: ignore[index]
    assert high[900] < high[1300] == high[1700]
    assert high[900] == pytest.approx(76 + HIGH * 900 / 3.2 + 46 + 62 + 2 * 16, abs=1)


def test_networks_methods_and_numbers_are_named() -> None:
    chart = triangle_charts(simplex(), labels=("7", "it's mine", "9"), methods=("weight", "none"))
    rows = rows_of(chart)
    assert [r["name"] for r in rows if "found" in r] == ["Weight matching", "No permutation"]
    assert {r["name"] for r in rows if "letter" in r} == {"A (seed 7)", "B (it's mine)", "C (seed 9)"}
    assert "weight matching highest 5.0%, connected on 58%; no permutation highest 60%" in describe(chart)
    assert "mean over 3 triples" in describe(triangle_charts(simplex(triples=3)))


def test_a_loss_has_no_line_and_a_small_hill_stays_pale() -> None:
    rows = rows_of(triangle_charts(simplex(), measure="loss"))
    assert not any("words" in r for r in rows)
    assert any("words" in r for r in rows_of(triangle_charts(simplex())))
    flat = fixed_spec(triangle_charts(simplex(heights={"weight": 0.001})))
    assert flat["layer"][0]["encoding"]["color"]["scale"]["domain"][-1] == 0.1


@pytest.mark.parametrize(("width", "dark", "long"), [(600, True, {2}), (1700, False, {2, 4})])
def test_it_is_drawn_at_every_width(width: int, dark: bool, long: set[int]) -> None:
    heights = {"none": 0.6, "weight": 0.05, "activation": 0.0, "merge_many": 0.04}
    for count in (2, 4):
        chart = triangle_charts(simplex(side=3, heights=dict(list(heights.items())[:count])), labels=("0", "1", "2"))
        svg = to_svg(chart, width=width, dark=dark)
        assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
        assert svg.count("<path") >= 10 * count
        assert (">A (seed 0)<" in svg) == (count in long)  # letters alone where it is narrow


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of: excess, value"):
        triangle_charts(simplex(), shown="height")
    with pytest.raises(ValueError, match="the table has: none, weight"):
        triangle_charts(simplex(), methods=("sinkhorn",))
    with pytest.raises(ValueError, match="lacks the columns w2"):
        triangle_charts(simplex().drop(columns="w2"))


def test_the_size_of_cells_follows_the_page() -> None:
    spec = fixed_spec(triangle_charts(simplex()))
    assert "width" in json.dumps(spec["layer"][0]["encoding"]["size"])
