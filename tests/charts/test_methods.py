"""The charts and the sentence of the methods page against numbers worked out by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmc.charts import describe
from lmc.charts.export import fixed_spec, to_svg
from lmc.charts.methods import UNSEARCHED, duration, front, method_means, time_range, tradeoff_chart
from lmc.charts.methods_answer import methods_answer
from lmc.charts.methods_course import (
    AT_ONCE,
    DESCENTS,
    ROWS,
    course_chart,
    course_rows,
    growing_course,
    objective_chart,
    objective_rows,
)
from lmc.charts.methods_maps import agreement_chart, agreement_means, decided_chart, decided_means
from lmc.charts.methods_names import CANVASES, beside
from lmc.experiments import INSTANT
from lmc.experiments import METHODS as ALL_METHODS

METHODS = ("none", "weight", "activation", "straight_through", "sinkhorn", "annealing")
PEAK = {
    "none": 0.7,
    "random": 0.72,
    "weight": 0.3,
    "activation": 0.32,
    "straight_through": 0.26,
    "sinkhorn": 0.2,
    "annealing": 0.5,
}
TIME = {
    "none": 1e-6,
    "random": 1e-4,
    "weight": 0.01,
    "activation": 0.02,
    "straight_through": 1.0,
    "sinkhorn": 4.0,
    "annealing": 9.0,
}
NAMES = {"layers.0": "Layer 1", "layers.1": "Layer 2"}


def path(pairs: int = 1, methods=METHODS) -> pd.DataFrame:
    rows = [
        (f"0-{p}", m, split, lam, 10 * value, value)
        for p in range(pairs)
        for m in methods
        for split in ("train", "test")
        for lam, value in ((0.0, 0.05), (0.5, 0.05 + PEAK[m] + 0.01 * p), (1.0, 0.05))
    ]
    return pd.DataFrame(rows, columns=["pair", "method", "split", "lam", "loss", "error"])


def times(pairs: int = 1, methods=METHODS) -> pd.DataFrame:
    rows = [(f"0-{p}", m, TIME[m] * (1 + p), 5.0) for p in range(pairs) for m in methods]
    return pd.DataFrame(rows, columns=["pair", "method", "seconds", "objective"])


def course(pairs: int = 1) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for p in range(pairs):
        rows += [(f"0-{p}", "weight", 0.001 * k, 40.0 + 8 * k, g) for k, g in enumerate([None, "layers.1", "layers.0"])]
        for m in ("straight_through", "sinkhorn", "annealing"):
            values = [4.0, 4.0, 3.0 - p, 3.0 - p, 2.0 - p, 2.0 - p]
            rows += [(f"0-{p}", m, 0.2 * k + 1e-5, v, None) for k, v in enumerate(values)]
    return pd.DataFrame(rows, columns=["pair", "method", "seconds", "value", "group"])


def agreement(pairs: int = 1) -> pd.DataFrame:
    rows = [
        (f"0-{p}", a, b, 0.1 * (i + j) / 2 + 0.02 * p)
        for p in range(pairs)
        for i, a in enumerate(METHODS)
        for j, b in enumerate(METHODS)
        if i < j
    ]
    return pd.DataFrame(rows, columns=["pair", "method", "other", "agreement"])


def decided(pairs: int = 1) -> pd.DataFrame:
    rows = [
        (f"0-{p}", m, layer, 8, 0.2 + 0.5 * k + 0.1 * p)
        for p in range(pairs)
        for m in METHODS
        for k, layer in enumerate(NAMES)
    ]
    return pd.DataFrame(rows, columns=["pair", "method", "permutation", "units", "entropy"])


def rows_in(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in fixed_spec(chart)["datasets"].values() for row in rows]


CHARTS = {
    "trade-off": lambda: tradeoff_chart(path(), times(), resolution=1 / 360),
    "trade-off of three pairs": lambda: tradeoff_chart(path(3), times(3), measure="loss"),
    "trade-off of one method": lambda: tradeoff_chart(path(2, ["weight"]), times(2, ["weight"]), baseline="mean"),
    "course": lambda: course_chart(course(), path(), times(), methods=METHODS),
    "course of two pairs": lambda: course_chart(course(2), path(2), times(2), methods=("none", "weight", "sinkhorn")),
    "course of three pairs": lambda: course_chart(course(3), path(3), times(3), methods=METHODS),
    "objective": lambda: objective_chart(course(), pair="0-0", names=NAMES),
    "agreement": lambda: agreement_chart(agreement(2), methods=METHODS),
    "agreement of two": lambda: agreement_chart(agreement(), methods=("none", "sinkhorn")),
    "decided": lambda: decided_chart(decided(2), methods=METHODS, names=NAMES),
    "decided, one layer": lambda: decided_chart(decided()[lambda d: d["permutation"] == "layers.0"], methods=METHODS),
}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize(("width", "dark"), [(600, True), (1600, False)])
def test_every_chart_is_drawn_and_described(name: str, width: int, dark: bool) -> None:
    chart = CHARTS[name]()
    svg = to_svg(chart, width=width, dark=dark)
    assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
    assert len(describe(chart)) > 40 and describe(chart).endswith(".") and chart.width == "container"


# Barriers against times


def test_means_are_over_pairs_with_their_interval() -> None:
    rows = method_means(path(3), times(3), split="test", measure="error").set_index("method")
    half = 4.302652729911275 * 0.01 / np.sqrt(3)  # t with 2 degrees of freedom
    sinkhorn = rows.loc["sinkhorn"]
    assert sinkhorn[["barrier", "low", "high"]].tolist() == pytest.approx([0.21, 0.21 - half, 0.21 + half])
    assert sinkhorn[["seconds", "fast", "slow"]].tolist() == pytest.approx([8.0, 4.0, 12.0])
    assert sinkhorn[["text", "time", "pairs"]].tolist() == ["21%", "8 s", 3]
    one = method_means(path(), times(), split="test", measure="error", resolution=0.02).set_index("method")
    assert one.loc["weight", ["low", "high"]].tolist() == pytest.approx([0.28, 0.32])


def test_methods_without_a_time_are_left_out() -> None:
    """Of a run that is not finished."""
    rows = method_means(path(), times(1, ["weight"]), split="train", measure="loss")
    assert rows["method"].tolist() == ["weight"] and rows["text"].tolist() == ["3.00"]


def test_the_front_has_what_none_beats_in_both() -> None:
    rows = method_means(path(), times(), split="test", measure="error")
    assert front(rows) == ["weight", "straight_through", "sinkhorn"]


def test_every_method_has_its_name_at_its_mark_and_none_is_a_line() -> None:
    chart = tradeoff_chart(path(), times(), resolution=0.01)
    svg = to_svg(chart)
    for name in ("Weight matching", "Activation matching", "Straight-through", "Sinkhorn", "Simulated annealing"):
        assert svg.count(f">{name}</text>") == 1
    assert ">No permutation: 70%</text>" in svg and ">connected</text>" in svg
    assert all(f">{tick}</text>" in svg for tick in ("1 ms", "10 ms", "0.1 s", "1 s", "10 s"))
    assert ">connected</text>" not in to_svg(tradeoff_chart(path(), times(), measure="loss"))
    assert "Sinkhorn 20% in 4 s" in describe(chart) and "No permutation 70%;" in describe(chart)


def test_names_near_one_another_stand_apart() -> None:
    close = times().assign(seconds=[1e-6, 0.01, 0.0102, 0.0104, 0.0106, 0.0108])
    level = path().assign(error=lambda d: d["error"].clip(upper=0.25))
    rows = [row for row in rows_in(tradeoff_chart(level, close)) if "side" in row]
    assert len({(row["side"], row["down"]) for row in rows}) == 5


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("end", CANVASES)
def test_no_name_covers_a_mark_or_another_name(seed: int, end: str) -> None:
    canvas = CANVASES[end]
    marks = [tuple(spot) for spot in np.random.default_rng(seed).uniform(0.1, 0.9, (6, 2)).tolist()]
    names = ["Weight matching", "Activation matching", "Sinkhorn", "Straight-through", "Simulated annealing", "Other"]
    found = beside(marks, names, [], canvas)
    boxes = [(x * canvas.wide - 9, x * canvas.wide + 9, y * canvas.tall - 9, y * canvas.tall + 9) for x, y in marks]
    for (x, y), name, place in zip(marks, names, found.to_dict("records"), strict=True):
        length, middle = 0.5 * canvas.size * len(name), y * canvas.tall + place["down"]
        start = x * canvas.wide + {1: 16, -1: -16 - length, 0: -length / 2}[place["side"]]
        if place["seen"]:
            assert start >= -9 and start + length <= canvas.wide + 9
            boxes.append((start, start + length, middle - 0.5 * canvas.size, middle + 0.5 * canvas.size))
    for i, one in enumerate(boxes):
        for other in boxes[max(i + 1, 6) :]:
            assert one[0] >= other[1] or other[0] >= one[1] or one[2] >= other[3] or other[2] >= one[3]
    assert found["seen"].sum() >= 4


def test_times_in_words_and_on_their_axis() -> None:
    assert [duration(t) for t in (0.0, 0.0008, 0.0123, 0.314, 3.14, 9.97, 14.2, 140, 7300)] == [
        "less than 1 ms", "less than 1 ms", "12 ms", "0.31 s", "3.1 s", "10 s", "14 s", "2.3 min", "2.0 h",
    ]  # fmt: skip
    assert time_range([], room=0.25) == (1e-3, pytest.approx(10.0)) and time_range([2e-4, 30])[0] == 1e-4


# The searches


def test_all_methods_are_accounted_for() -> None:
    assert set(DESCENTS) == set(ALL_METHODS) - set(INSTANT)
    assert {*AT_ONCE, *UNSEARCHED} == set(INSTANT)


def test_searches_keep_the_steps_that_change_something() -> None:
    rows = course_rows(course(), path(), times(), methods=METHODS)
    sinkhorn = rows[(rows["name"] == "Sinkhorn") & (rows["kind"] == "line")]
    assert sinkhorn["value"].tolist() == [4.0, 3.0, 2.0, 2.0]
    assert sinkhorn["seconds"].tolist() == pytest.approx([0.001, 0.40001, 0.80001, 1.00001])
    marks = rows[rows["kind"] == "mark"].set_index("name")
    assert marks["value"].to_dict() == pytest.approx({"Weight matching": 3.5, "Activation matching": 3.7})
    assert marks["seconds"].to_dict() == pytest.approx({"Weight matching": 0.01, "Activation matching": 0.02})


def test_several_pairs_are_means_with_bands() -> None:
    rows = course_rows(course(3), path(3), times(3), methods=("sinkhorn", "weight"))
    line = rows[rows["kind"] == "line"]
    assert set(line["pair"]) == {"mean"} and not (rows["kind"] == "single").any()
    assert line["value"].iloc[[0, -1]].tolist() == pytest.approx([4.0, 1.0])  # 2, 1 and 0 at the end
    half = 4.302652729911275 / np.sqrt(3)
    assert line["high"].iloc[-1] == pytest.approx(1 + half) and line["low"].iloc[-1] == 0.0
    two = course_rows(course(2), None, None, methods=("sinkhorn",))
    assert two["kind"].value_counts().to_dict() == {"line": 80, "single": 8} and two["low"].isna().all()


def test_what_is_not_there_yet_is_not_drawn() -> None:
    assert course_rows(None, None, None, methods=METHODS).empty
    assert course_rows(course()[:0], path(), times(), methods=METHODS)["kind"].tolist() == ["mark", "mark"]
    even = path()[lambda d: d["lam"] != 0.5]
    assert course_rows(None, even, times(), methods=METHODS).empty, "no point halfway"


def test_a_growing_chart_only_needs_rows() -> None:
    chart = growing_course(METHODS)
    spec = chart.to_dict()
    assert not spec.get("datasets") and f"'name': '{ROWS}'" in str(spec)
    rows = course_rows(course(3), path(3), times(3), methods=METHODS, mean=False)
    assert set(rows["kind"]) == {"line", "mark"} and rows["pair"].nunique() == 4
    spec["datasets"] = {ROWS: rows.astype(object).where(rows.notna(), None).to_dict("records")}
    import vl_convert

    svg = vl_convert.vegalite_to_svg({**spec, "width": 700}, vl_version="6.4")
    assert svg.startswith("<svg") and "NaN" not in svg and svg.count("Sinkhorn") >= 1


def test_steps_of_weight_matching_are_those_of_one_pair_by_layer() -> None:
    rows = objective_rows(course(2), pair="0-1", names=NAMES)
    assert rows["layer"].tolist() == ["Start", "Layer 2", "Layer 1"] and rows["value"].tolist() == [40, 48, 56]
    spec = fixed_spec(objective_chart(course(), pair="0-0", names=NAMES))
    (domain,) = (
        layer["encoding"]["color"]["scale"]["domain"] for layer in spec["layer"] if "color" in layer["encoding"]
    )
    assert domain == ["Start", "Layer 1", "Layer 2"], "layers in the order of the network"
    assert "2 steps of weight matching: from 40.00 to 56.00" in describe(objective_chart(course(), pair="0-0"))
    with pytest.raises(ValueError, match="the table has: 0-0"):
        objective_rows(course(), pair="7-8")


def test_groups_without_a_name_keep_their_dots() -> None:
    heads = course()[:1].assign(group="blocks.0#heads", value=60.0)
    table = pd.concat([course(), heads])
    spec = fixed_spec(objective_chart(table, pair="0-0", names=NAMES))
    (domain,) = (
        layer["encoding"]["color"]["scale"]["domain"] for layer in spec["layer"] if "color" in layer["encoding"]
    )
    assert domain == ["Start", "Layer 1", "Layer 2", "blocks.0#heads"]
    named = objective_chart(table, pair="0-0", names={**NAMES, "blocks.0#heads": "Block 1 heads"})
    assert ">Block 1 heads</text>" in to_svg(named)


def test_what_is_summed_is_named() -> None:
    chart = objective_chart(course(), pair="0-0", kernel="cosine")
    assert ">Sum of cosines of A and B</text>" in to_svg(chart) and describe(chart).startswith("Sum of cosines")
    assert ">Inner product of A and B</text>" in to_svg(objective_chart(course(), pair="0-0"))


# Agreement and decidedness


def test_agreement_is_a_triangle_of_means() -> None:
    cells = agreement_means(agreement(2), methods=("none", "weight", "sinkhorn"))
    assert [tuple(row) for row in cells[["one", "other", "text"]].to_numpy()] == [
        ("Weight matching", "No permutation", "6.0%"),  # 5 and 7
        ("Sinkhorn", "No permutation", "21%"),
        ("Sinkhorn", "Weight matching", "26%"),
    ]
    turned = agreement().rename(columns={"method": "other", "other": "method"})
    pd.testing.assert_frame_equal(
        agreement_means(turned, methods=METHODS), agreement_means(agreement(), methods=METHODS)
    )
    with pytest.raises(ValueError, match="two methods"):
        agreement_chart(agreement(), methods=("weight",))


def test_decidedness_by_layer_and_method() -> None:
    cells = decided_means(decided(2), methods=("sinkhorn", "weight"), names=NAMES)
    assert [tuple(row) for row in cells[["one", "other", "text"]].to_numpy()] == [
        ("Layer 1", "Weight matching", "0.25"),
        ("Layer 1", "Sinkhorn", "0.25"),
        ("Layer 2", "Weight matching", "0.75"),
        ("Layer 2", "Sinkhorn", "0.75"),
    ]
    assert "Layer 2, sinkhorn 0.75" in describe(decided_chart(decided(2), methods=("sinkhorn",), names=NAMES))


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="lacks the columns seconds"):
        tradeoff_chart(path(), times().drop(columns="seconds"))
    with pytest.raises(ValueError, match="lacks the columns entropy"):
        decided_chart(decided().drop(columns="entropy"), methods=METHODS)


# The answer


def test_the_answer_says_what_time_buys() -> None:
    assert methods_answer(path(), times(), resolution=0.01) == (
        "Sinkhorn leaves the lowest test error barrier, 20% after 4 s (70% without a permutation). Weight matching "
        "leaves 30% after 10 ms, 400 times as fast. Each second more buys 2.5 points, 10 points in all. In between: "
        "straight-through, 26% after 1 s."
    )


def test_the_answer_over_several_pairs() -> None:
    said = methods_answer(path(3), times(3), measure="loss", split="train")
    assert "train loss barrier, 2.10 nats [1.85 to 2.35] after 8 s (7.10 nats [6.85 to 7.35] without" in said
    assert "means over 3 pairs with 95% intervals" in said and "1.00 nats in all" in said
    assert "means over 2 pairs)" in methods_answer(path(2), times(2))
    noisy = path(3)
    better = (noisy["method"] == "sinkhorn") & (noisy["lam"] == 0.5)
    noisy.loc[better, "error"] = noisy.loc[better, "pair"].map({"0-0": 0.1, "0-1": 0.2, "0-2": 0.6})
    assert "Over 3 pairs the two cannot be told apart." in methods_answer(noisy, times(3))


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (["none"], "Without a permutation the test error barrier is 70%. Choose a method above."),
        (["random"], "Under a random permutation the test error barrier is 72%. Choose a method above."),
        (["none", "sinkhorn"], "Sinkhorn leaves a test error barrier of 20% after 4 s (70% without a permutation)."),
        (["none", "weight", "annealing"], "Weight matching leaves the lowest test error barrier, 30%, and is the fast"),
        (["weight", "activation", "annealing"], "and is the fastest, with 10 ms."),
    ],
)
def test_the_answer_with_fewer_methods(methods: list[str], said: str) -> None:
    assert said in methods_answer(path(1, methods), times(1, methods), resolution=0.01)


def test_differences_below_one_answer_are_none() -> None:
    close = path().assign(error=lambda d: d["error"].where((d["method"] != "sinkhorn") | (d["lam"] != 0.5), 0.349))
    close = close[close["method"].isin(["none", "weight", "sinkhorn"])]
    assert methods_answer(close, times(), resolution=0.01).endswith("The two differ by less than one answer.")
