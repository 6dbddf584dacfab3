"""The charts and sentences of pruning against tables whose numbers are known."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmc.charts import describe
from lmc.charts.export import fixed_spec, to_svg
from lmc.charts.masks import masks_chart, overlap_chart, overlap_means
from lmc.charts.pruning import (
    agreement_chart,
    agreement_means,
    level_means,
    network_errors,
    networks_chart,
    pruning_chart,
)
from lmc.charts.pruning_answer import (
    connected_down_to,
    overlap_answer,
    pruning_answer,
    transport_answer,
    twin_answer,
)
from lmc.charts.pruning_axis import densities_of, left_of
from lmc.charts.pruning_transport import named_masks, transport_chart, transport_means

LEVELS = 6
PAIRS = ("0-1", "0-2", "1-2")
ERROR = {"0": 0.01, "1": 0.02, "2": 0.04}
DENSE = [0.01, 0.012, 0.015, 0.018, 0.02, 0.03, 0.05]  # mean over pairs, by level
SPARSE = [0.01, 0.03, 0.015, 0.015, 0.015, 0.015, 0.015]


def levels(count: int = LEVELS, pairs: tuple[str, ...] = PAIRS, method: str = "weight") -> pd.DataFrame:
    rows = []
    for level in range(count + 1):
        for k, pair in enumerate(pairs):
            a, b = pair.split("-")
            spread = (k - (len(pairs) - 1) / 2) * 0.004
            for permutation, mean in (("none", 0.4), ("dense", DENSE[level]), ("sparse", SPARSE[level])):
                barrier = mean + spread
                agreement = None if permutation == "none" else 1.0 if level == 0 else 0.5 - 0.05 * level
                rows += [
                    {
                        "pair": pair, "method": "none" if permutation == "none" else method, "level": level,
                        "density": 0.8**level, "permutation": permutation, "split": split,
                        "loss_barrier": 3 * barrier, "error_barrier": barrier, "error_a": ERROR[a] + 0.001 * level,
                        "error_b": ERROR[b] + 0.001 * level, "agreement": agreement,
                    }
                    for split in ("train", "test")
                ]  # fmt: skip
    return pd.DataFrame(rows)


def masks() -> pd.DataFrame:
    rows = []
    for level in range(3):
        for k, pair in enumerate(PAIRS):
            for layer in ("layers.0.weight", "layers.1.weight"):
                for permutation, overlap in (("none", 0.1), ("dense", 0.2), ("sparse", 0.3)):
                    method = "none" if permutation == "none" else "weight"
                    value = overlap + 0.01 * (k - 1) + 0.1 * (layer == "layers.1.weight")
                    rows.append((pair, method, level, permutation, layer, 0.2, 0.2, value, 0.1))
    names = ["pair", "method", "level", "permutation", "layer", "density_a", "density_b", "overlap", "chance"]
    return pd.DataFrame(rows, columns=names)


def transport(methods: tuple[str, ...] = ("weight",)) -> pd.DataFrame:
    tried = [("none", "own", 0.05), *((m, "transported", 0.1 + 0.1 * k) for k, m in enumerate(methods))]
    tried += [("none", "unpermuted", 0.5), ("none", "random", 0.6)]
    rows = [
        (pair, method, mask, 12, 0.07, split, 4 * error, error + 0.01 * (k - 1))
        for k, pair in enumerate(PAIRS)
        for method, mask, error in tried
        for split in ("train", "test")
    ]
    return pd.DataFrame(rows, columns=["pair", "method", "mask", "level", "density", "split", "loss", "error"])


def mask(seed: int, rows: int = 8, columns: int = 10) -> Any:
    return 255 * (np.random.default_rng(seed).random((rows, columns)) < 0.3).astype(np.uint8)


CHARTS = {
    "usual": lambda: pruning_chart(levels(), resolution=1 / 360),
    "one level so far": lambda: pruning_chart(levels(0), planned=[0.8**k for k in range(13)]),
    "only dense": lambda: pruning_chart(levels(0)),
    "one pair": lambda: pruning_chart(levels(pairs=("0-1",)), measure="loss", split="train"),
    "no matching": lambda: pruning_chart(levels()[lambda t: t["permutation"] == "none"], method="none"),
    "networks": lambda: networks_chart(levels()),
    "agreement": lambda: agreement_chart(levels(method="activation")),
    "masks": lambda: masks_chart(mask(0), mask(1), labels=("0", "1")),
    "nothing kept": lambda: masks_chart(0 * mask(0), 0 * mask(1), permuted=False),
    "overlap": lambda: overlap_chart(masks(), level=2, names={"layers.0.weight": "Layer 1"}),
    "transport": lambda: transport_chart(transport(("weight", "activation")), dense=0.03, resolution=1 / 360),
    "loss": lambda: transport_chart(transport(()), measure="loss"),
}


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in fixed_spec(chart)["datasets"].values() for row in rows]


@pytest.mark.parametrize(("name", "dark"), [*((name, False) for name in CHARTS), ("usual", True)])
def test_every_chart_is_drawn_and_described(name: str, dark: bool) -> None:
    chart = CHARTS[name]()
    svg = to_svg(chart, dark=dark, width=600)
    assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
    assert describe(chart).endswith(".") and chart.width == "container"


def test_means_are_those_of_the_pairs_with_intervals_that_hold_the_resolution() -> None:
    means = level_means(levels(), method="weight", split="test", measure="error", resolution=0.05)
    assert len(means) == 3 * (LEVELS + 1) and set(means["pairs"]) == {3}
    row = means[(means["permutation"] == "dense") & (means["level"] == 5)].iloc[0]
    assert row["value"] == pytest.approx(0.03) and row["high"] == pytest.approx(0.08) and row["low"] == 0.0
    loss = level_means(levels(), method="weight", split="test", measure="loss")
    half = 4.302652729911275 * 0.012 / np.sqrt(3)  # Student's t for three values, which stand 0.012 apart
    none = loss[loss["permutation"] == "none"].iloc[0]
    assert none["high"] - none["value"] == pytest.approx(half) and none["value"] == pytest.approx(1.2)


def test_every_network_counts_once() -> None:
    found = network_errors(levels(), split="test")
    assert len(found) == 3 * (LEVELS + 1)
    assert found[found["level"] == 2].set_index("network")["value"].to_dict() == pytest.approx(
        {name: error + 0.002 for name, error in ERROR.items()}
    )


def test_agreement_is_the_share_of_units() -> None:
    means = agreement_means(levels())
    assert means["value"].tolist() == pytest.approx([1, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2])
    assert "weight matching 20%" in describe(agreement_chart(levels()))


def test_the_axis_is_logarithmic_and_keeps_a_place_for_what_is_to_come() -> None:
    plan = [0.8**k for k in range(13)]
    assert densities_of(levels(1), plan) == pytest.approx(plan)
    assert [left_of(d) for d in (1.0, 0.5, 0.125)] == [0, 1, 3]
    spec = json.dumps(fixed_spec(pruning_chart(levels(1), planned=plan)))
    assert '\\"6.9%\\"' in spec and "log scale" in spec
    assert '\\"6.9%\\"' not in json.dumps(fixed_spec(pruning_chart(levels(1))))


def test_the_line_below_which_networks_are_connected_is_one_of_errors() -> None:
    found = {row["value"] for row in rows_of(CHARTS["usual"]()) if set(row) == {"value"}}
    assert found == {0.02}
    assert not [row for row in rows_of(CHARTS["one pair"]()) if set(row) == {"value"}]


def test_the_answer_says_what_the_table_says() -> None:
    said = pruning_answer(levels(), width=32, wider=128)
    assert said.startswith("With 26% of the weights left, the permutation that weight matching found before pruning")
    assert (
        "lowers the test error barrier from 40% to 5.0% [4.0% to 6.0%], one found anew to 1.5% [0.5% to 2.5%]" in said
    )
    assert "(means over 3 pairs, 95% intervals)" in said
    assert "connects them down to 41% of the weights, those found anew at 6 of 7 levels." in said
    assert "1.20 nats to 0.15 nats" in pruning_answer(levels(), width=32, measure="loss")
    assert "means over" not in pruning_answer(levels(pairs=("0-1",)), width=32)
    assert "simultaneous weak connectivity" in pruning_answer(levels(4), width=32)


def test_the_answer_without_a_connection_or_a_matching() -> None:
    far = levels().assign(error_barrier=0.3)
    assert "At width 32 the networks are not connected even before they are pruned; try 128." in pruning_answer(
        far, width=32, wider=128
    )
    assert pruning_answer(far, width=32).endswith("not connected even before they are pruned.")
    assert "takes the test error barrier from 30% to 30%" in pruning_answer(far, width=32)
    bare = levels()[lambda t: t["permutation"] == "none"]
    said = pruning_answer(bare, method="none", width=32)
    assert "is 40% [39% to 41%] without a permutation" in said and "Choose a matching method" in said


def test_the_density_down_to_which_it_holds_ends_at_the_first_level_where_it_does_not() -> None:
    means = level_means(levels(), method="weight", split="test", measure="error")
    assert connected_down_to(means, "dense") == pytest.approx(0.8**4)
    assert connected_down_to(means, "sparse") == 1.0, "level 1 breaks it, though later levels hold"
    assert connected_down_to(means, "none") is None


def test_the_control_says_the_largest_barrier_that_was_found() -> None:
    twins = levels()
    matched = twins["permutation"] != "none"
    twins.loc[matched, ["loss_barrier", "error_barrier"]] = 0.0
    twins.loc[twins.index[matched][5], "loss_barrier"] = 3e-16
    said = twin_answer(twins, dtype="float64")
    assert "at 7 levels" in said and "3e-16 nats of loss and 0 of error; without one it is up to 40%" in said
    assert "0 up to rounding" in said
    twins.loc[twins.index[matched][5], "error_barrier"] = 0.25
    assert "25% of error" in twin_answer(twins, dtype="float32") and "with float64" in twin_answer(
        twins, dtype="float32"
    )
    assert "more than rounding" in twin_answer(twins, dtype="float64")
    assert twin_answer(twins[~matched], dtype="float64").startswith("Choose a matching method")


def test_overlaps_are_those_of_one_level_against_chance() -> None:
    means = overlap_means(masks(), level=1, method="weight").set_index(["layer", "permutation"])
    assert means.loc[("layers.1.weight", "sparse"), "value"] == pytest.approx(0.4)
    assert means["chance"].tolist() == pytest.approx([0.1] * 6) and set(means["pairs"]) == {3}
    assert "both keep 25%, mean over the layers" in overlap_answer(masks(), level=1)
    assert "10.0% by chance" in overlap_answer(masks(), level=1)
    with pytest.raises(ValueError, match=r"no rows with level 9; the table has: \[0, 1, 2\]"):
        overlap_means(masks(), level=9, method="weight")


def test_every_kept_weight_is_drawn_in_the_colour_of_who_keeps_it() -> None:
    a, b = mask(0), mask(1)
    area = {"Kept in A": 0, "Kept in B": 0, "Kept in both": 0}
    for row in rows_of(masks_chart(a, b)):
        if "kind" in row:
            area[row["kind"]] += (row["x2"] - row["x"]) * (row["y2"] - row["y"])
    both, only_a, only_b = ((x & y).astype(bool).sum() for x, y in ((a, b), (a, ~b), (~a, b)))
    assert area == pytest.approx({"Kept in A": 2 * only_a + both, "Kept in B": 2 * only_b + both, "Kept in both": both})


def test_kernels_of_which_a_part_is_kept_are_fainter() -> None:
    part = np.array([[255, 85], [0, 0]], np.uint8)
    shares = {row["share"] for row in rows_of(masks_chart(part, 0 * part)) if "share" in row}
    assert shares == {1.0, 0.333}


@pytest.mark.parametrize(("a", "b"), [(np.zeros((65, 3)), np.zeros((65, 3))), (np.zeros(3), np.zeros(3))])
def test_masks_of_a_wrong_shape_are_refused(a: Any, b: Any) -> None:
    with pytest.raises(ValueError, match="at most 64"):
        masks_chart(a, b)
    with pytest.raises(ValueError, match="same shape"):
        masks_chart(np.zeros((2, 3)), np.zeros((3, 2)))


def test_transport_compares_masks_and_says_which_is_better() -> None:
    singles = named_masks(transport(("weight", "activation")), split="test", measure="error")
    assert list(dict.fromkeys(singles["name"])) == [
        "Its own mask", "A's mask, carried over: weight matching", "A's mask, carried over: activation matching",
        "A's mask, as it is", "A random mask",
    ]  # fmt: skip
    means = transport_means(singles, "error").set_index(["mask", "method"])["value"]
    assert means["transported", "activation"] == pytest.approx(0.2) and means["own", "none"] == pytest.approx(0.05)
    said = transport_answer(transport(("weight", "activation")))
    assert "5.0% under its own mask, 10.0% under A's in the order of weight matching, 50% under A's as it is" in said
    assert said.endswith("60% under a random one (means over 3 pairs): the permutation carries part of the mask over.")
    worse = transport().assign(error=lambda t: t["error"] + 0.5 * (t["mask"] == "transported"))
    assert transport_answer(worse).endswith("the permutation does not help here.")
    close = transport().assign(error=lambda t: t["error"] + 0.39 * (t["mask"] == "transported"))
    assert transport_answer(close).endswith("the gain of the permutation is within the interval.")
    assert "in the order of" not in transport_answer(transport(()))
