"""The width chart and its sentence against numbers worked out by hand."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmc.charts import describe
from lmc.charts.export import fixed_spec, to_svg
from lmc.charts.width import triple_barriers, width_chart, width_means
from lmc.charts.width_answer import best_method, crossing, width_answer

WIDTHS = (8, 16, 32, 64, 128, 256)
COMPARISONS = ("0-1", "0-2", "1-2 direct", "1-2 via 0", "simplex", "centroid")
LEVEL = {"none": 30.0, "weight": 1.6, "activation": 2.4}  # times 0.5 / width, at most 0.8


def table(widths=WIDTHS, triples=4, methods=("none", "weight", "activation")) -> pd.DataFrame:
    rows = []
    for width in widths:
        for t in range(triples):
            for method in methods:
                for k, comparison in enumerate(COMPARISONS):
                    error = min(0.8, 0.5 * LEVEL[method] * (1 + k / 5) * (1 + 0.1 * t) / width)
                    rows.append((width, f"0-{t + 1}-{t + 2}", method, comparison, "test", 4 * error, error))
    columns = ["width", "triple", "method", "comparison", "split", "loss_barrier", "error_barrier"]
    return pd.DataFrame(rows, columns=columns)


CHARTS = {
    "usual": lambda: width_chart(table(), resolution=1 / 360),
    "three comparisons": lambda: width_chart(table(), comparisons=("direct", "1-2 via 0", "simplex")),
    "one width": lambda: width_chart(table((32,))),
    "first of many": lambda: width_chart(table((8,), triples=1), planned=WIDTHS),
    "loss in the middle": lambda: width_chart(table(), comparisons=("centroid",), measure="loss", methods=["weight"]),
    "below zero": lambda: width_chart(shifted(-0.05), comparisons=("centroid",)),
    "odd widths": lambda: width_chart(table((10, 24, 25))),
}


def shifted(by: float) -> pd.DataFrame:
    rows = table()
    return rows.assign(error_barrier=rows["error_barrier"] + by)


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in fixed_spec(chart)["datasets"].values() for row in rows]


@pytest.mark.parametrize(("name", "dark"), [*((name, False) for name in CHARTS), ("usual", True)])
def test_every_chart_is_drawn_and_described(name: str, dark: bool) -> None:
    chart = CHARTS[name]()
    svg = to_svg(chart, dark=dark, width=600)
    assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
    assert describe(chart).endswith(".") and "at width" in describe(chart)
    assert chart.width == "container" and chart.usermeta["embedOptions"] == {"renderer": "svg"}


def test_panels_stand_side_by_side_and_widths_keep_their_place() -> None:
    means = [r for r in rows_of(width_chart(table(), methods=["weight"])) if "triples" in r]
    place = {(r["comparison"], r["width"]): r["x"] for r in means}
    assert [round(place["1-2 direct", w] - place["1-2 direct", 8], 6) for w in WIDTHS] == [0, 1, 2, 3, 4, 5]
    apart = {round(place["1-2 via 0", w] - place["1-2 direct", w], 6) for w in WIDTHS}
    assert len(apart) == 1 and apart.pop() > 5
    first = rows_of(width_chart(table((8,)), methods=["weight"], planned=WIDTHS))
    assert {r["x"] for r in first if "triples" in r} == {place[c, 8] for c in ("1-2 direct", "1-2 via 0")}
    assert ">100%</text>" in to_svg(width_chart(table((256,), methods=["weight"]), planned=WIDTHS))


def test_ticks_are_the_widths_of_each_panel() -> None:
    svg = to_svg(width_chart(table(), methods=["weight"]), width=900)
    assert all(svg.count(f">{w}</text>") == 2 for w in WIDTHS)
    assert "Matched to each other" in svg and "Both matched to a third" in svg
    assert to_svg(CHARTS["odd widths"]()).count(">10</text>") == 2


def test_means_are_over_triples_with_their_interval() -> None:
    values = {1: 0.1, 2: 0.2, 3: 0.3}
    rows = pd.DataFrame(
        [(32, f"t{t}", "weight", "simplex", v) for t, v in values.items()],
        columns=["width", "triple", "method", "comparison", "value"],
    )
    found = width_means(rows).iloc[0]
    half = 4.302652729911275 * 0.1 / np.sqrt(3)  # t with 2 degrees of freedom
    assert (found["value"], found["high"]) == pytest.approx((0.2, 0.2 + half))
    assert found["low"] == 0.0 and found["triples"] == 3
    assert width_means(rows.assign(value=[-0.1, -0.2, -0.3])).iloc[0]["low"] == pytest.approx(-0.2)


def test_direct_is_the_mean_over_the_three_pairs_of_a_triple() -> None:
    rows = triple_barriers(table((100,), methods=["weight"]), ["direct"], split="test", measure="error")
    pairs = [0.5 * 1.6 * (1 + k / 5) / 100 for k in range(3)]
    assert len(rows) == 4 and rows["value"].min() == pytest.approx(np.mean(pairs))


def test_a_click_gives_width_and_triple() -> None:
    spec = width_chart(table()).to_dict()
    spot = [p for p in spec["params"] if p["name"] == "spot"]
    assert [p["select"]["fields"] for p in spot] == [["width", "triple"]]
    assert not {"facet", "hconcat", "vconcat", "concat", "repeat"} & set(spec), "one view, of any width"
    single = [r for r in rows_of(width_chart(table())) if "triple" in r]
    assert len(single) == len(WIDTHS) * 4 * 3 * 2 and {r["width"] for r in single} == set(WIDTHS)


def test_the_threshold_is_drawn_for_errors_only() -> None:
    svg = to_svg(width_chart(table()))
    assert svg.count(">connected</text>") == 2 and ">2%</text>" in svg
    assert ">connected</text>" not in to_svg(width_chart(table(), measure="loss"))


@pytest.mark.parametrize("width", [620, 1700])
def test_panels_say_in_full_what_they_compare_and_which_connectivity_that_is(width: int) -> None:
    four = ("1-2 direct", "1-2 via 0", "simplex", "centroid")
    svg = to_svg(width_chart(table(), comparisons=four), width=width)
    for words in ("Matched to each other", "Both matched to a third", "Whole triangle", "Middle of the triangle"):
        assert f">{words}</text>" in svg
    assert (svg.count(">weak connectivity<"), svg.count(">strong connectivity<")) == (1, 2)


def test_errors_have_ticks_near_zero_and_intervals_end_at_one() -> None:
    chart = width_chart(shifted(0.15))
    assert max(r["high"] for r in rows_of(chart) if "high" in r) <= 1.0
    svg = to_svg(width_chart(table()), width=900)
    assert all(f">{tick}%</text>" in svg for tick in (0, 2, 5, 10, 20, 40, 60, 80))


def test_description_names_first_and_last_width() -> None:
    words = describe(width_chart(table(triples=1), comparisons=("1-2 direct",), methods=["weight"]))
    assert "1 triple against width" in words
    assert "Matched to each other: weight matching 14.0% at width 8 and 0.4% at width 256." in words


def test_missing_rows_are_named() -> None:
    with pytest.raises(ValueError, match="the table has: 0-1, 0-2, 1-2 direct"):
        width_chart(table(), comparisons=("1-2 by hand",))
    with pytest.raises(ValueError, match="lacks the columns triple"):
        width_chart(table().drop(columns="triple"))
    partial = json.loads(table().assign(error_barrier=lambda d: d["error_barrier"].where(d["width"] < 64)).to_json())
    rows = triple_barriers(pd.DataFrame(partial), ["simplex"], split="test", measure="error")
    assert set(rows["width"]) == {8, 16, 32}


def test_answer_says_where_it_would_connect() -> None:
    said = width_answer(table(triples=1))
    assert said == (
        "With weight matching the triangle's test error barrier (strong connectivity) falls from 18.0% at width 8 to "
        "0.6% at width 256; it would connect at about width 72 [72 to 72]."
    )


def test_answer_follows_the_method_and_the_comparison() -> None:
    said = width_answer(table(), comparison="1-2 via 0", method="none")
    assert said.startswith("Without a permutation the test error barrier between two networks both matched to a third")
    found = re.search(r"over 4 triples; if it goes on like this it would connect at about width (\d+) \[1\d00", said)
    assert found and int(found[1]) == pytest.approx(15 * 1.6 * 1.15 / 0.02, rel=0.1)
    assert "matched to each other (weak connectivity) falls" in width_answer(table(), comparison="1-2 direct")
    loss = width_answer(table((8,)), measure="loss")
    assert loss.endswith("barrier is 0.83 nats at width 8, the mean over 4 triples.")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (table((128, 256), methods=["weight"]), "connected at every width so far."),
        (table((8, 16)), "not within reach of these widths: it takes 3 widths at least"),
        (shifted(0.3), "not within reach of these widths: how fast the barrier falls is too uncertain."),
        (table((8, 16, 32), triples=1, methods=["none"]), "goes from 80% at width 8 to 80% at width 32; where"),
    ],
)
def test_answer_is_honest(rows: pd.DataFrame, said: str) -> None:
    assert said in width_answer(rows)


def test_the_best_method_is_the_lowest_at_the_largest_width() -> None:
    rows = triple_barriers(table(), ["simplex"], split="test", measure="error")
    assert best_method(rows) == "weight"
    assert best_method(rows[rows["method"] == "none"]) == "none"
    found = crossing(rows[rows["method"] == "weight"])
    assert found.kind == "within" and found.low < found.width < found.high
    with pytest.raises(ValueError, match="no rows with method 'sinkhorn'"):
        width_answer(table(), method="sinkhorn")
