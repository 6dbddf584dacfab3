import numpy as np
import pytest

import lmc
from lmc import Pair, make_recipe
from lmc.barriers import barrier
from lmc.experiments import METHODS, array_name

SHORT = make_recipe(epochs=8)
COLUMNS = {
    "path": ["pair", "method", "split", "lam", "loss", "error"],
    "barriers": ["pair", "method", "split", "loss_barrier", "error_barrier", "loss_a", "loss_b", "error_a", "error_b"],
    "layers": ["pair", "method", "permutation", "units", "moved", "similarity_before", "similarity_after"],
}


@pytest.fixture(scope="module")
def config():
    return Pair(width=24, seeds=(0, 1, 2), recipe=SHORT, method=METHODS, points=9, match_steps=3, anneal_steps=50)


@pytest.fixture(scope="module")
def result(config, shared_store):
    return lmc.run(config, store=shared_store, device="cpu")


def test_the_tables_have_the_columns_that_scripts_depend_on(result):
    assert {name: list(table) for name, table in result.tables.items()} == COLUMNS
    assert {name: len(result.frame(name)) for name in COLUMNS} == {"path": 3 * 7 * 2 * 9, "barriers": 42, "layers": 63}
    assert set(result.frame("path")["pair"]) == {"0-1", "0-2", "1-2"}


def test_barriers_and_metrics_follow_from_the_path(result):
    path, barriers = result.frame("path"), result.frame("barriers")
    for _, row in barriers.iterrows():
        rows = path[(path.pair == row.pair) & (path.method == row.method) & (path.split == row.split)]
        assert row.error_barrier == barrier(rows.lam, rows.error) and row.loss_barrier == barrier(rows.lam, rows.loss)
        assert (row.error_a, row.error_b) == (rows.error.iloc[0], rows.error.iloc[-1])
    for method in METHODS:
        for split in ("train", "test"):
            rows = barriers[(barriers.method == method) & (barriers.split == split)]
            key = f"error_barrier.{method}.direct.{split}"
            assert result.metrics[key] == pytest.approx(rows.error_barrier.mean())


def test_the_ends_do_not_depend_on_the_permutation(result):
    ends = result.frame("path").query("lam == 1.0").groupby(["pair", "split"])
    assert (ends["loss"].max() - ends["loss"].min()).max() < 1e-5
    assert (ends["error"].max() - ends["error"].min()).max() <= 1 / 360


def test_the_function_is_preserved(result):
    assert 0 < result.metrics["check.max_logit_difference"] <= 1e-10


def test_the_arrays_are_permutations_and_answers(result, config):
    layers = result.frame("layers")
    for _, row in layers.iterrows():
        order = result.arrays[array_name(row.pair, row.method, "permutation", row.permutation)]
        assert sorted(order) == list(range(24))
        assert row.moved == pytest.approx(np.mean(order != np.arange(24)))
        similarity = result.arrays[array_name(row.pair, row.method, "similarity", row.permutation)]
        assert row.similarity_after == pytest.approx(similarity.diagonal().mean(), abs=1e-5)
    answers = result.arrays[array_name("0-1", "weight", "answers")]
    assert answers.shape == (9, 8, 10) and np.allclose(answers.sum(-1), 1, atol=1e-5)
    assert 0 <= result.arrays["images"].min() and result.arrays["images"].max() == pytest.approx(1, abs=1e-6)


def test_matching_raises_similarity_and_the_controls_do_not(result):
    layers = result.frame("layers").groupby("method")[["similarity_before", "similarity_after"]].mean()
    assert layers.loc["activation", "similarity_after"] > layers.loc["activation", "similarity_before"] + 0.2
    assert layers.loc["none", "similarity_after"] == layers.loc["none", "similarity_before"]
    assert abs(layers.loc["random", "similarity_after"]) < 0.2


@pytest.mark.parametrize(
    "changes", [{"width": 1}, {"dtype": "float64"}, {"norm": "layer", "activation": "gelu"}, {"depth": 1}]
)
def test_every_kind_of_network_runs(shared_store, changes):
    settings = {"width": 6, "recipe": make_recipe(epochs=1), "points": 3, **changes}
    result = lmc.run(Pair(**settings), store=shared_store, device="cpu")
    assert len(result.frame("path")) == 3 * 2 * 3
    assert result.metrics["check.max_logit_difference"] <= 1e-10


def test_the_same_start_in_another_order(shared_store):
    result = lmc.run(Pair(width=6, seeds=(0, 0), order_seeds=(0, 1), recipe=make_recipe(epochs=1)), store=shared_store)
    assert set(result.frame("path")["pair"]) == {"0-0/1"}


@pytest.mark.slow
def test_width_32_over_all_pairs_of_six_seeds(shared_store):
    metrics = lmc.run(Pair(seeds=(0, 1, 2, 3, 4, 5)), store=shared_store, device="cpu").metrics
    assert metrics["error_barrier.none.direct.test"] > 0.5
    assert metrics["error_barrier.weight.direct.test"] < 0.12
    assert metrics["check.max_logit_difference"] <= 1e-10


@pytest.mark.slow
def test_width_512_over_all_pairs_of_four_seeds(shared_store):
    config = Pair(width=512, seeds=(0, 1, 2, 3), method="weight")
    metrics = lmc.run(config, store=shared_store, device="cpu").metrics
    assert metrics["error_barrier.weight.direct.test"] < 0.01
