"""The answer sentences say what the numbers say: weak, strong or neither."""

import pandas as pd
import pytest

from lmc.charts.triple_answer import many_answer, triple_answer, verdicts

COMPARISONS = ("0-1", "0-2", "1-2 direct", "1-2 via 0", "simplex", "centroid")


def barriers(*triples: dict[str, tuple[float, ...]]) -> pd.DataFrame:
    """One triple for each argument: method → barriers in the order of COMPARISONS."""
    rows = [
        (f"{t}-8-9", method, comparison, split, 5 * height + shift, height + shift)
        for t, methods in enumerate(triples)
        for method, heights in methods.items()
        for comparison, height in zip(COMPARISONS, heights, strict=True)
        for split, shift in (("test", 0.0), ("train", 0.5))
    ]
    return pd.DataFrame(rows, columns=["triple", "method", "comparison", "split", "loss_barrier", "error_barrier"])


def cycle(home: float, height: float) -> pd.DataFrame:
    row = ("0-8-9", "weight", "test", home, 5 * height, height)
    return pd.DataFrame([row], columns=["triple", "method", "split", "home", "loss_barrier", "error_barrier"])


NONE = (0.7, 0.7, 0.6, 0.6, 0.8, 0.75)


def test_numbers_stand_in_the_sentence() -> None:
    found = triple_answer(barriers({"none": NONE, "weight": (0.1, 0.1, 0.094, 0.25, 0.26, 0.2)}), width=32, wider=128)
    assert found == (
        "Weight matching: at width 32 the test error barrier between B and C is 9.4% when they are matched to each "
        "other, 25% when both are matched to A, and 26% over the whole triangle: not even each pair alone is "
        "connected, so neither weak nor strong connectivity; try width 128."
    )


@pytest.mark.parametrize(
    ("heights", "said"),
    [
        ((0.01, 0.02, 0.01, 0.1, 0.12, 0.1), "but not all three at once: weak connectivity, not strong; try width 64."),
        ((0.01, 0.01, 0.01, 0.02, 0.03, 0.03), "weak connectivity, not strong; try width 64."),
        ((0.01, 0.01, 0.01, 0.02, 0.02, 0.01), "all three are connected, which is strong connectivity."),
        ((0.01, 0.01, 0.03, 0.02, 0.02, 0.01), "which is strong connectivity."),
        ((0.01, 0.031, 0.01, 0.02, 0.04, 0.01), "connected (A and C 3.1%), so neither weak nor strong"),
        ((0.0201, 0.01, 0.01, 0.02, 0.04, 0.01), "connected (A and B just above 2.0%), so neither"),
    ],
)
def test_the_verdict_follows_the_numbers(heights: tuple[float, ...], said: str) -> None:
    assert said in triple_answer(barriers({"none": NONE, "weight": heights}), width=32, wider=64)


def test_connected_without_a_permutation() -> None:
    low = (0.0, 0.01, 0.01, 0.01, 0.015, 0.01)
    said = triple_answer(barriers({"none": low, "weight": low}), width=512, wider=1024)
    assert said.endswith("even without a permutation, strong connectivity with nothing to match.")


def test_the_method_with_the_lowest_triangle_speaks() -> None:
    methods = {"none": NONE, "random": (0.0,) * 6, "weight": (0.1,) * 6, "activation": (0.05,) * 6}
    assert triple_answer(barriers(methods), width=32).startswith("Activation matching: ")


def test_without_a_matching_there_is_no_verdict() -> None:
    said = triple_answer(barriers({"none": NONE}), width=32)
    assert "between B and C is 60%, and over the whole triangle 80%." in said and "Choose a matching method" in said
    assert "connectivity" not in said
    assert "Random permutation: " in triple_answer(barriers({"random": NONE}), width=32)


def test_each_method_has_a_verdict_of_its_own() -> None:
    weak, strong = (0.01, 0.02, 0.015, 0.05, 0.08, 0.06), (0.01, 0.01, 0.005, 0.02, 0.02, 0.02)
    methods = {"none": NONE, "random": weak, "weight": (0.1,) * 6, "activation": weak, "merge_many": strong}
    assert verdicts(barriers(methods)) == {
        "none": ("Not connected", "worst pair alone: 70%"),
        "random": ("Pairs connected, not all", "worst pair alone: 2.0%"),
        "weight": ("Neither weak nor strong", "worst pair alone: 10.0%"),
        "activation": ("Weak, not strong", "worst pair alone: 2.0%"),
        "merge_many": ("Strong connectivity", "worst pair alone: 1.0%"),
    }


def test_the_verdict_on_several_triples_is_on_their_means() -> None:
    one, two = ({"weight": (v,) * 6} for v in (0.01, 0.03))
    assert verdicts(barriers(one, two))["weight"] == ("Strong connectivity", "worst pair alone: 2.0%")
    just = {"weight": (0.01, 0.0201, 0.01, 0.01, 0.03, 0.02)}
    assert verdicts(barriers(just))["weight"] == ("Neither weak nor strong", "worst pair alone: just above 2.0%")
    assert verdicts(barriers(one), split="train")["weight"][0] == "Neither weak nor strong"


def test_a_loss_has_no_verdict() -> None:
    said = triple_answer(barriers({"weight": (0.0, 0.0, 0.1, 0.2, 0.3, 0.2)}), width=32, measure="loss")
    assert said.endswith("0.50 nats when they are matched to each other, 1.00 nats when both are matched to A, "
                         "and 1.50 nats over the whole triangle.")  # fmt: skip


def test_several_triples_are_means_with_intervals() -> None:
    one, two, three = ({"weight": (v, v, v, v, v, v)} for v in (0.1, 0.2, 0.3))
    half = 4.302652729911275 * 0.1 / 3**0.5
    said = triple_answer(barriers(one, two, three), width=32)
    assert f"B and C is 20% [0.0% to {100 * (0.2 + half):.0f}%] when" in said
    assert "(means over 3 triples, 95% intervals)" in said
    assert "B and C is 15.0% when" in triple_answer(barriers(one, two), width=32)
    assert "(means over 2 triples)" in triple_answer(barriers(one, two), width=32)
    assert "20% [15.0% to 25%]" in triple_answer(barriers(two, two, two), width=32, resolution=0.05)
    assert "70%" in triple_answer(barriers(one, two, three), width=32, split="train")


@pytest.mark.parametrize(
    ("home", "height", "said"),
    [
        (0.13, 0.26, "13.0% of the units come home; the barrier between A and A sent around is 26%."),
        (0.13, 0.01, "sent around is 1.0%: few units agree, and still the two are connected."),
        (0.9, 0.01, "90% of the units come home; the barrier between A and A sent around is 1.0%."),
        (1.0, 0.0, "every unit comes home."),
    ],
)
def test_the_way_round_the_triangle(home: float, height: float, said: str) -> None:
    table = barriers({"weight": (0.1,) * 6})
    assert triple_answer(table, width=32, cycle=cycle(home, height)).endswith(said)
    assert "come home" not in triple_answer(barriers({"activation": (0.1,) * 6}), width=32, cycle=cycle(home, height))


def many(**errors: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Merged errors by method, of four networks with errors of 4%."""
    rows = [("0-1-2-3", m, "test", 5 * e, e, 0.2, 0.04, 0.03, 0.15, 0.025) for m, e in errors.items()]
    columns = ["group", "method", "split", "loss_merged", "error_merged", "loss_parents", "error_parents"]
    merged = pd.DataFrame(rows, columns=[*columns, "best_error_parents", "loss_ensemble", "error_ensemble"])
    edges = ["0-1", "0-2", "0-3", "1-2 via 0", "1-3 via 0", "2-3 via 0", "simplex", "centroid"]
    heights = [("0-1-2-3", m, c, "test", e, 0.1 * (i + 1)) for m, e in errors.items() for i, c in enumerate(edges)]
    return merged, pd.DataFrame(
        heights, columns=["group", "method", "comparison", "split", "loss_barrier", "error_barrier"]
    )


def test_many_networks_beside_their_merged_one() -> None:
    assert many_answer(*many(none=0.9, weight=0.3, merge_many=0.1), width=64) == (
        "Merge many: the mean of all 4 networks of width 64 has a test error of 10.0%; they have 4.0% on average, "
        "their ensemble 2.5%, and the highest barrier found between them is 70%: merging costs 6.0 points."
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [(0.05, "is as good as those it was made from, to 2 points."), (0.04, "is at least as good as those")],
)
def test_merging_at_no_cost(error: float, said: str) -> None:
    assert said in many_answer(*many(none=0.9, weight=error), width=64)


def test_many_networks_without_a_matching_or_by_their_loss() -> None:
    assert many_answer(*many(none=0.9), width=64).endswith("one permutation for each network does.")
    said = many_answer(*many(none=0.9, weight=0.1), width=64, measure="loss")
    assert "a test loss of 0.50 nats" in said and "merging costs" not in said


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="lacks the columns comparison"):
        triple_answer(barriers({"none": NONE}).drop(columns="comparison"), width=32)
    with pytest.raises(ValueError, match="the table has: test, train"):
        triple_answer(barriers({"none": NONE}), width=32, split="valid")
