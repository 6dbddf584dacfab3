"""The map of a plane: squares where they belong, networks on them."""

from typing import Any

import pandas as pd
import pytest

from lmc.charts import describe
from lmc.charts.export import fixed_spec, to_svg
from lmc.charts.landscape import color_range, landscape_chart, named_corners
from lmc.charts.style import EXTRA_COLORS, NETWORK_COLORS

SPAN = {"none": 8.0, "weight": 6.0}


def plane(methods=("none", "weight"), levels=2) -> pd.DataFrame:
    """Squares over [−2, −2 + span]², fine ones first, with a loss that grows with the distance from (1, 1)."""
    rows = []
    for method in methods:
        for count in [4 * 2**level for level in reversed(range(levels))]:
            size = SPAN[method] / count
            for i in range(count):
                for j in range(count):
                    u, v = -2 + (i + 0.5) * size, -2 + (j + 0.5) * size
                    loss = 0.1 + (u - 1) ** 2 + (v - 1) ** 2
                    rows.append((method, "test", u, v, size, loss, loss / 40))
    return pd.DataFrame(rows, columns=["method", "split", "u", "v", "size", "loss", "error"])


def corners(labels=("0", "1", "2")) -> pd.DataFrame:
    at = [(0.0, 0.0), (3.0, 0.0), (1.0, 2.0)]
    rows = [(m, label, u, v) for m in SPAN for label, (u, v) in zip(labels, at, strict=True)]
    return pd.DataFrame(rows, columns=["method", "label", "u", "v"])


def rows_of(chart: Any, column: str) -> list[dict[str, Any]]:
    return [row for rows in fixed_spec(chart)["datasets"].values() for row in rows if column in row]


@pytest.mark.parametrize(
    ("measure", "dark", "methods"),
    [("loss", False, ("none", "weight")), ("error", False, ("weight",)), ("loss", True, ("weight",))],
)
def test_every_map_is_drawn_and_described(measure: str, dark: bool, methods: tuple[str, ...]) -> None:
    chart = landscape_chart(plane(methods), corners(), measure=measure)
    for width in (390, 900):
        svg = to_svg(chart, dark=dark, width=width)
        assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
    assert "A (seed 0), B (seed 1), C (seed 2)" in describe(chart) and describe(chart).endswith(".")


def test_small_squares_are_drawn_over_large_ones() -> None:
    squares = rows_of(landscape_chart(plane(), corners()), "x2")
    squares = [r for r in squares if "loss_text" in r]
    widths = [round(r["x2"] - r["x"], 3) for r in squares]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == 4


def test_one_unit_is_as_long_across_as_up_and_in_every_map() -> None:
    spec = fixed_spec(landscape_chart(plane(), corners()))
    marks = {}
    for row in rows_of(landscape_chart(plane(), corners()), "letter"):
        marks[row["name"], row["letter"]] = (row["x"], row["y"])
    for name in ("No permutation", "Weight matching"):
        (ax, ay), (bx, by), (cx, cy) = (marks[name, letter] for letter in "ABC")
        assert (bx - ax, by - ay, cx - ax, cy - ay) == pytest.approx((3, 0, 1, 2))
    assert marks["No permutation", "A"][1] == marks["Weight matching", "A"][1], "lines A–B are level"
    assert marks["Weight matching", "A"][0] > 8
    scales = [spec["layer"][0]["encoding"][axis]["scale"] for axis in "xy"]
    assert [s["domain"][0] for s in scales] == [0, 0]
    unit = f"min(width / {scales[0]['domain'][1]}"
    assert all(unit in str(s["range"]) for s in scales), "both axes have the same pixels to a unit"


def test_squares_lie_where_they_were_measured() -> None:
    chart = landscape_chart(plane(), corners())
    origin = {r["name"]: (r["x"], r["y"]) for r in rows_of(chart, "letter") if r["letter"] == "A"}
    squares = rows_of(chart, "loss_text")
    assert len(squares) == 2 * (16 + 64)
    for row in squares:
        x, y = origin[row["name"]]
        u, v = (row["x"] + row["x2"]) / 2 - x, (row["y"] + row["y2"]) / 2 - y
        assert row["value"] == pytest.approx(0.1 + (u - 1) ** 2 + (v - 1) ** 2, abs=1e-3)


def test_every_two_networks_are_joined() -> None:
    lines = [r for r in rows_of(landscape_chart(plane(), corners()), "x2") if "loss_text" not in r]
    lengths = sorted(round((r["x2"] - r["x"]) ** 2 + (r["y2"] - r["y"]) ** 2, 6) for r in lines)
    assert lengths == [5, 5, 8, 8, 9, 9]


def test_networks_are_called_by_their_places() -> None:
    three = named_corners(corners(("7", "3", "5")))[:3]
    assert three["letter"].tolist() == ["A", "B", "C"] and three["text"].tolist()[1] == "B (seed 3)"
    assert three["color"].tolist() == [NETWORK_COLORS[n] for n in "ABC"]
    moved = named_corners(corners(("7", "3", "π(3)")))[:3]
    assert moved["letter"].tolist() == ["A", "B", "π(B)"] and moved["text"].tolist()[2] == "B (seed 3), reordered"
    assert moved["color"].tolist()[1:] == [NETWORK_COLORS["B"]] * 2
    files = named_corners(corners(("my (net)", "A", "π(A)")))[:3]
    assert files["letter"].tolist() == ["A", "B", "π(B)"] and files["text"].tolist()[0] == "A (my (net))"
    assert EXTRA_COLORS[0] not in set(files["color"])


def test_colours_end_below_the_highest_values() -> None:
    values = plane()["loss"].to_numpy()
    low, high = color_range(values, "loss")
    assert low == values.min() and (values > high).mean() == pytest.approx(0.1, abs=0.02)
    assert color_range(values * 0 + 0.5, "loss") == (0.5, 2.0)
    assert color_range(values * 0, "loss")[0] > 0, "a logarithm needs something above 0"
    assert color_range(values * 0, "error") == (0.0, 0.04)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="choose one of: loss, error"):
        landscape_chart(plane(), corners(), measure="accuracy")
    with pytest.raises(ValueError, match="the table has: test"):
        landscape_chart(plane(), corners(), split="train")
    with pytest.raises(ValueError, match="lacks the columns size"):
        landscape_chart(plane().drop(columns="size"), corners())
