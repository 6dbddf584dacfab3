"""Charts and sentences of the trajectory page against numbers worked out by hand."""

import json
import re
from typing import Any

import pandas as pd
import pytest

from lmc.charts import describe, style
from lmc.charts.export import fixed_spec, to_svg
from lmc.charts.instability import fork_means, instability_answer, instability_chart
from lmc.charts.trajectory import NONE, alignment_means, trajectory_chart
from lmc.charts.trajectory_agreement import ALL, agreement_chart, agreement_means
from lmc.charts.trajectory_answer import (
    first_fit_answer,
    mean_errors,
    stable_answer,
    trajectory_answer,
    twin_answer,
)
from lmc.charts.trajectory_film import film_data
from lmc.charts.trajectory_map import map_chart
from lmc.charts.trajectory_networks import climbs, seeds_chart, seeds_words, straight_chart, straight_words
from lmc.experiments.trajectory import stable_epoch

EPOCHS = (0, 1, 5, 20)
PAIRS = ("0-1", "0-2", "1-2")


def barrier(fit: int | None, epoch: int, k: int) -> float:
    """Without a permutation it grows with the epoch; a fit leaves what it was early, and 0.01 a pair more."""
    if fit is None:
        return min(0.6, 0.1 * (1 + epoch))
    return {0: 0.4, 1: 0.2, 5: 0.01, 20: 0.005}[fit] + 0.01 * k


def alignment(pairs=PAIRS, fits=(None, *EPOCHS), low: float = 1.0) -> pd.DataFrame:
    rows = []
    for k, pair in enumerate(pairs):
        for fit in fits:
            for epoch in EPOCHS:
                for split, factor in (("train", 0.5), ("test", 1.0)):
                    error = barrier(fit, epoch, k) * factor * (1.0 if fit is None else low)
                    agreement = None if fit is None else fit / 20
                    method = "none" if fit is None else "weight"
                    rows.append((pair, method, fit, epoch, split, 4 * error, error, agreement))
    columns = ["pair", "method", "fit_epoch", "epoch", "split", "loss_barrier", "error_barrier", "agreement"]
    return pd.DataFrame(rows, columns=columns).astype({"fit_epoch": object})


def layers(count: int = 2) -> pd.DataFrame:
    rows = [
        (pair, "weight", fit, f"layers.{k}", 8, min(1.0, fit / 20 + 0.1 * k))
        for pair in PAIRS
        for fit in EPOCHS
        for k in range(count)
    ]
    return pd.DataFrame(rows, columns=["pair", "method", "fit_epoch", "permutation", "units", "agreement"])


def path(pairs=PAIRS) -> pd.DataFrame:
    rows = []
    for k, pair in enumerate(pairs):
        for epoch in EPOCHS:
            for fit in (None, epoch, *({20} - {epoch})):
                for lam in (0.0, 0.5, 1.0):
                    error = 0.1 + 4 * lam * (1 - lam) * barrier(fit, epoch, k)
                    rows.append((pair, "none" if fit is None else "weight", fit, epoch, "test", lam, 3 * error, error))
    columns = ["pair", "method", "fit_epoch", "epoch", "split", "lam", "loss", "error"]
    return pd.DataFrame(rows, columns=columns).astype({"fit_epoch": object})


def straight(values: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        (network, split, i / (len(v) - 1), loss, loss / 4)
        for network, v in values.items()
        for i, loss in enumerate(v)
        for split in ("train", "test")
    ]
    return pd.DataFrame(rows, columns=["network", "split", "lam", "loss", "error"])


def curves(seeds: int) -> pd.DataFrame:
    rows = [(str(s), e, "test", 2 / (1 + e) + 0.1 * s, 0.5 / (1 + e) + 0.01 * s) for s in range(seeds) for e in EPOCHS]
    rows += [(str(s), e, "train", 2 / (1 + e), None) for s in range(seeds) for e in EPOCHS[1:]]
    return pd.DataFrame(rows, columns=["network", "epoch", "split", "loss", "error"])


def forks(networks: int = 3) -> pd.DataFrame:
    rows = [
        (str(n), k, split, value + 0.1 * n, (value + 0.01 * n) * (split == "test"))
        for n in range(networks)
        for k, value in ((0, 0.3), (2, 0.05), (5, 0.005), (10, 0.0))
        for split in ("train", "test")
    ]
    return pd.DataFrame(rows, columns=["network", "fork_epoch", "split", "loss_barrier", "error_barrier"])


FALLING = {"0": [2.0, 1.0, 0.1], "1": [2.0, 1.5, 0.2]}
NAMES = {"0": "A (seed 0)", "1": "B (seed 1)"}
CHARTS = {
    "lines": lambda: trajectory_chart(alignment(), resolution=1 / 360),
    "lines of one pair": lambda: trajectory_chart(alignment(PAIRS[:1])),
    "lines of loss": lambda: trajectory_chart(alignment(), measure="loss", split="train"),
    "lines so far": lambda: trajectory_chart(alignment(PAIRS[:1], (None, 0)), planned=EPOCHS),
    "no permutation yet": lambda: trajectory_chart(alignment(fits=(None,)), planned=EPOCHS),
    "no method": lambda: trajectory_chart(alignment(fits=(None,)), method="none"),
    "map": lambda: map_chart(alignment()),
    "map of loss": lambda: map_chart(alignment(), measure="loss"),
    "agreement": lambda: agreement_chart(alignment(), layers()),
    "agreement of many layers": lambda: agreement_chart(alignment(), layers(20)),
    "straight": lambda: straight_chart(straight(FALLING), NAMES),
    "learning": lambda: seeds_chart(curves(2), NAMES, measure="error"),
    "learning of many": lambda: seeds_chart(curves(9), {str(s): f"seed {s}" for s in range(9)}),
    "instability": lambda: instability_chart(forks(), resolution=1 / 360),
    "instability of one": lambda: instability_chart(forks(1), measure="loss", split="train"),
}


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in fixed_spec(chart)["datasets"].values() for row in rows]


@pytest.mark.parametrize(("name", "dark"), [*((name, False) for name in CHARTS), ("lines", True), ("map", True)])
def test_every_chart_is_drawn_and_described(name: str, dark: bool) -> None:
    chart = CHARTS[name]()
    svg = to_svg(chart, dark=dark, width=600)
    assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
    assert describe(chart).endswith(".") and len(describe(chart)) > 60
    assert chart.width == "container" and chart.usermeta["embedOptions"] == {"renderer": "svg"}


def test_means_are_over_pairs_and_none_has_a_place_of_its_own() -> None:
    means = alignment_means(alignment(), method="weight", split="test", measure="error", resolution=0.0)
    by_place = means.set_index(["fit", "epoch"])
    assert by_place.loc[(1, 20), "value"] == pytest.approx(0.21) and by_place.loc[(NONE, 5), "value"] == 0.6
    half = 4.302653 * 0.01 / 3**0.5  # Student's t for three pairs, whose deviation is 0.01
    assert by_place.loc[(1, 20), "high"] == pytest.approx(0.21 + half, abs=1e-6)
    assert (means["pairs"] == 3).all() and len(means) == 5 * 4 and (means["low"] >= 0).all()
    other = alignment_means(alignment(), method="activation", split="test", measure="error")
    assert set(other["fit"]) == {NONE}, "rows of another method are left out"


def test_the_resolution_of_the_test_set_widens_the_interval() -> None:
    means = alignment_means(alignment(PAIRS[:1]), method="weight", split="test", measure="error", resolution=0.1)
    row = means.set_index(["fit", "epoch"]).loc[(1, 20)]
    assert (row["low"], row["high"]) == pytest.approx((0.1, 0.3))


def test_each_fit_has_its_colour_and_the_last_that_of_the_method() -> None:
    for count in (1, 2, 9):
        colors = style.fit_colors(count, "activation")
        assert len(set(colors)) == count and colors[-1] == style.method_color("activation")
    spec = json.dumps(fixed_spec(trajectory_chart(alignment())))
    assert all(color in spec for color in style.fit_colors(len(EPOCHS), "weight"))
    assert '"No permutation", "0", "1", "5", "20"' in spec


def test_colours_and_places_do_not_jump_while_fits_come_in() -> None:
    first = json.dumps(fixed_spec(trajectory_chart(alignment(fits=(None, 0)), planned=EPOCHS)))
    last = json.dumps(fixed_spec(trajectory_chart(alignment(), planned=EPOCHS)))
    for part in (r'"range": \["#[^]]*\]', r'"domain": \[0, 20\]', r'"domain": \[0, 1.0\]'):
        assert re.findall(part, first) == re.findall(part, last) != []


def test_the_map_has_a_cell_for_every_place_and_frames_those_connected() -> None:
    rows = [row for row in rows_of(map_chart(alignment(low=0.5))) if "connected" in row]
    cells = {(row["fit"], row["epoch"]): row for row in rows}
    assert set(cells) == {(fit, epoch) for fit in (NONE, *EPOCHS) for epoch in EPOCHS}
    assert {fit for (fit, _), row in cells.items() if row["connected"]} == {5, 20}
    assert cells[1, 5]["text"] == "10.5%" and cells[NONE, 5]["text"] == "60%"
    assert not any(row["connected"] for row in rows_of(map_chart(alignment(), measure="loss")) if "connected" in row)


def test_agreement_is_that_of_all_units_and_by_layer() -> None:
    means = agreement_means(alignment(), layers(), method="weight").set_index(["name", "epoch"])["value"]
    assert means[ALL, 5] == pytest.approx(0.25) and means["layers.1", 5] == pytest.approx(0.35) and means[ALL, 20] == 1
    assert list(dict.fromkeys(name for name, _ in means.index)) == [ALL, "layers.0", "layers.1"]


def test_the_film_holds_the_means_of_each_epoch() -> None:
    data = film_data(path(), alignment(), resolution=1 / 360)
    assert data["epochs"] == list(EPOCHS) and data["lams"] == [0.0, 0.5, 1.0]
    none, last, now = data["curves"]
    assert none["values"][2] == [0.1, 0.7, 0.1] and last["values"][1] == pytest.approx([0.1, 0.115, 0.1], abs=1e-4)
    assert now["values"][1] == pytest.approx([0.1, 0.31, 0.1]) and now["values"][-1] == last["values"][-1]
    assert now["labels"][1] == "Found at epoch 1" and last["labels"][1] == "Found at epoch 20"
    assert none["barriers"] == ["10.0%", "20%", "60%", "60%"] and now["barriers"][0] == "41%"
    assert all(len(curve[side]) == len(EPOCHS) for curve in data["curves"] for side in ("low", "high"))
    highest = max(v for curve in data["curves"] for row in curve["high"] for v in row)
    assert highest <= data["top"] <= 1 and all(tick["value"] <= data["top"] for tick in data["ticks"])


def test_the_film_of_one_pair_has_no_bands_and_of_no_method_one_curve() -> None:
    one = film_data(path(PAIRS[:1]), alignment(PAIRS[:1]), measure="loss")
    assert len(one["curves"]) == 3 and not any("low" in curve for curve in one["curves"])
    assert one["unit"] == "nats of barrier" and 3 <= len(one["ticks"]) <= 7
    bare = path()[path()["method"] == "none"]
    assert [c["name"] for c in film_data(bare, alignment(), method="none")["curves"]] == ["none"]


def test_the_answer_says_the_means_with_intervals() -> None:
    said = trajectory_answer(alignment(), method="weight", width=64, wider=128, resolution=1 / 360)
    assert said.startswith("Weight matching at epoch 20 lowers the test error barrier from 60% [60% to 60%] to 1.5% [")
    assert "the same permutation leaves at most 1.5%" in said and "(means over 3 pairs, 95% intervals)" in said
    assert said.endswith("connected through all of training at width 64 (simultaneous weak linear connectivity).")


@pytest.mark.parametrize(
    ("low", "verdict"),
    [
        (1.0, "connected through all of training"),
        (10.0, "not yet connected at width 64; try width 128."),
        (30.0, "the networks stay unconnected at width 64; try width 128."),
    ],
)
def test_the_verdict_follows_from_the_numbers(low: float, verdict: str) -> None:
    assert verdict in trajectory_answer(alignment(low=low), method="weight", width=64, wider=128)


def test_connected_only_at_the_end_is_said() -> None:
    table = alignment()
    table.loc[(table["fit_epoch"] == 20) & (table["epoch"] == 1), "error_barrier"] = 0.08
    said = trajectory_answer(table, method="weight", width=64)
    assert "leaves at most 8.0%" in said and "at epoch 1 (" in said
    assert said.endswith("connected at the end, but not at every epoch, at width 64.")


def test_what_does_not_help_is_said_too() -> None:
    assert "does not lower" in trajectory_answer(alignment(low=60.0), method="weight", width=8)
    none = trajectory_answer(alignment(fits=(None,)), method="none", width=8)
    assert none.startswith("Without a permutation the test error barrier at the last epoch, 20, is 60%")
    loss = trajectory_answer(alignment(), method="weight", width=8, measure="loss")
    assert "nats" in loss and "connected" not in loss


def test_the_first_permutation_is_judged_by_its_interval() -> None:
    assert first_fit_answer(alignment(), method="weight").endswith("it was found too early.")
    alone = first_fit_answer(alignment(PAIRS[:1]), method="weight")
    assert alone == "The permutation found at epoch 1 leaves 20% at epoch 20, where its own leaves 0.5%."
    assert not first_fit_answer(alignment(fits=(None, 20)), method="weight")
    alike = alignment()
    alike.loc[alike["fit_epoch"] == 1, "error_barrier"] = 0.016
    assert first_fit_answer(alike, method="weight").endswith("that may be chance.")


def test_the_stable_epoch_is_that_of_the_core() -> None:
    found = mean_errors(alignment(), method="weight", split="test")
    assert found[1, 5] == pytest.approx(0.21) and stable_epoch(found) == 5
    assert "**from epoch 5 on**" in stable_answer(5, 20) and "at every later epoch" in stable_answer(5, 20)
    assert "later" not in stable_answer(20, 20) and "**not by epoch 20**" in stable_answer(None, 20)


def test_twins_say_the_largest_barrier_found() -> None:
    table = alignment()
    table.loc[table["method"] == "weight", ["error_barrier", "loss_barrier"]] = 0.0
    assert "is 0 up to rounding (0 points of error and 0 nats of loss)" in twin_answer(table, method="weight")
    table.loc[table.index[table["method"] == "weight"][1], "error_barrier"] = 0.125  # a test row
    said = twin_answer(table, method="weight")
    assert (
        "of all 4 permutations at all 4 epochs, is 12.50 points of error and 0 nats" in said
        and "60% at the end" in said
    )
    assert "0 up to rounding" in twin_answer(table, method="weight", split="train")
    assert "Choose a matching method" in twin_answer(table, method="none")


def test_a_climb_is_the_most_that_a_curve_rises() -> None:
    table = straight({"0": [2.0, 1.0, 0.5], "1": [2.0, 1.0, 1.25, 1.1, 1.3]})
    assert climbs(table, split="train", measure="loss") == pytest.approx({"0": 0.0, "1": 0.3})
    said = straight_words(table, "loss", "train")
    assert said == "The train loss is not monotone: it rises for 1 of 2 networks on the way, by up to 0.3 nats."
    assert straight_words(straight(FALLING), "loss", "test") == (
        "The test loss falls all the way for both networks: it is monotone."
    )
    assert straight_words(straight({"0": [1, 0.5, 0.54]}), "error", "test").endswith("on the way, by up to 1 points.")


def test_learning_curves_are_compared() -> None:
    said = seeds_words(curves(3), split="test", measure="error")
    assert said.startswith("At the end the test error is 2.4% to 4.4%.") and said.endswith("by 2 points.")
    assert seeds_words(curves(3), split="train", measure="loss").endswith("by 0 nats.")


def test_forks_are_means_over_networks() -> None:
    means = fork_means(forks(), split="test", measure="error", resolution=1 / 360).set_index("epoch")
    assert means.loc[0, "value"] == pytest.approx(0.31) and means.loc[5, "value"] == pytest.approx(0.015)
    assert (means["networks"] == 3).all()
    said = instability_answer(forks())
    assert "barrier of 31%" in said and said.endswith("without a permutation, from epoch 5 on.")
    assert instability_answer(forks(), split="train").endswith("without a permutation, from the start.")
    early = forks()[forks()["fork_epoch"] <= 2]
    assert instability_answer(early).endswith("by epoch 2 training is not yet stable to the order of the data.")
    assert "in nats" in instability_answer(forks(), measure="loss")


def test_missing_columns_and_splits_are_named() -> None:
    with pytest.raises(ValueError, match="lacks the columns error_barrier"):
        trajectory_chart(alignment().drop(columns="error_barrier"))
    with pytest.raises(ValueError, match="no rows with split 'dev'"):
        map_chart(alignment(), split="dev")
