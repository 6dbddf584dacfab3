"""The pictures of the counter-example show what its networks answer."""

import numpy as np
import pandas as pd
import pytest

from lmc.charts.counterexample import order_name, point_answers, regions, xor_errors_chart, xor_maps
from lmc.charts.export import fixed_spec, to_svg
from lmc.charts.style import describe
from lmc.counterexample import LAMS, A, B, errors, mixed, orders


def curves():
    return pd.concat([pd.DataFrame({"name": order_name(o), "lam": LAMS, "error": errors(A, B, o)}) for o in orders(B)])


def maps(lam=0.5):
    return {order_name(order): mixed(A, B.permuted(order), lam) for order in orders(B)}


@pytest.mark.parametrize(("width", "dark"), [(480, False), (900, True)])
def test_charts_are_drawn_and_described(width, dark):
    for chart in (xor_errors_chart(curves(), 0.5), xor_errors_chart(curves()), xor_maps(maps()), xor_maps({"A": A})):
        svg = to_svg(chart, width=width, dark=dark)
        assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
        assert len(describe(chart)) > 40 and describe(chart).endswith(".") and chart.width == "container"


def test_curves_that_are_equal_are_both_seen():
    spec = fixed_spec(xor_errors_chart(curves(), 0.3))
    marks = [layer["mark"] for layer in spec["layer"]]
    assert [mark["type"] for mark in marks] == ["rule", "line", "line"]
    assert marks[1]["strokeWidth"] > 2 * marks[2]["strokeWidth"]
    words = describe(xor_errors_chart(curves()))
    assert words.count("0.0% at A, 0.0% at B, 50% from λ = 0.22 to 0.78") == 2
    assert words.count("B as it is") == words.count("B's units swapped") == 1


def test_regions_cover_the_plane_with_what_the_network_answers():
    for network in (A, B, *maps().values()):
        rows = regions(network, side=38)
        area = (rows["x2"] - rows["x"]) * (rows["y2"] - rows["y"])
        assert area.sum() == pytest.approx(1.0)
        middles = np.stack([(rows["x"] + rows["x2"]) / 2, (rows["y"] + rows["y2"]) / 2], 1)
        first = np.stack([rows["x"] + 0.5 / 38, middles[:, 1]], 1)  # the first square of each run
        assert network.answers(2 * first - 0.5).tolist() == rows["answer"].tolist()


def test_wrong_points_are_marked_and_counted():
    table = point_answers(maps()["B as it is"])
    assert table["input"].tolist() == ["0, 0", "0, 1", "1, 0", "1, 1"]
    assert table["answer"].tolist() == [0, 0, 1, 1] and table["wrong"].tolist() == [False, True, False, True]
    assert table["output"].tolist() == [-0.5, -0.75, 0.5, 0.25]
    svg = to_svg(xor_maps(maps()))
    assert svg.count(">2 of 4 right<") == 2 and svg.count(">answers 0<") == svg.count(">answers 1<") == 2
    assert "B as it is: wrong at (0, 1) and (1, 1); B's units swapped: wrong at (1, 0)" in describe(xor_maps(maps()))
    ends = to_svg(xor_maps({**maps(0.0), "B": B}))
    assert ends.count(">4 of 4 right<") == 3 and ">answers" not in ends
