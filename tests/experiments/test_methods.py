"""All methods on the same pairs: tables that agree with the pair experiment and with what the methods found."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

import lmc
from lmc import InputError, Methods, Pair, Partial, Store, make_recipe
from lmc.experiments import METHODS, array_name
from lmc.experiments.bench import Bench, find
from lmc.experiments.work import Work

QUICK = {"width": 6, "recipe": make_recipe(epochs=3), "points": 5, "match_steps": 12, "anneal_steps": 60}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("methods"))


@pytest.fixture(scope="module")
def result(store):
    return lmc.run(Methods(seeds=(0, 1, 2), groups=2, **QUICK), store=store, device="cpu")


def test_barriers_are_those_of_the_pair_experiment(store, result):
    methods = tuple(method for method in METHODS if method != "annealing")
    pair = lmc.run(Pair(seeds=(0, 1, 2), groups=2, method=methods, **QUICK), store=store, device="cpu")
    for name in ("path", "barriers"):
        found, expected = result.frame(name), pair.frame(name)
        keys = [key for key in ("pair", "method", "split", "lam") if key in found]
        merged = expected.merge(found, on=keys, suffixes=("", "_found"))
        assert len(merged) == len(expected)
        for column in expected.columns.difference(keys):
            assert (merged[column] == merged[f"{column}_found"]).all(), column
    for method in methods:
        assert result.metrics[f"objective.{method}.direct"] == pair.metrics[f"objective.{method}.direct"]
        assert (
            result.metrics[f"error_barrier.{method}.direct.test"] == pair.metrics[f"error_barrier.{method}.direct.test"]
        )
    assert result.metrics["check.max_logit_difference"] <= 1e-10


def test_every_method_of_every_pair_has_its_time_and_its_course(result):
    methods, course = result.frame("methods"), result.frame("course")
    pairs = list(dict.fromkeys(methods["pair"]))
    assert len(pairs) == 2 and sorted(zip(methods["pair"], methods["method"], strict=True)) == sorted(
        (pair, method) for pair in pairs for method in METHODS
    )
    assert (methods["seconds"] > 0).all()
    for row in methods.itertuples():
        steps = course[(course["pair"] == row.pair) & (course["method"] == row.method)]
        if row.method in ("none", "random", "activation"):
            assert steps.empty
            continue
        assert steps["seconds"].is_monotonic_increasing and steps["seconds"].iloc[-1] <= row.seconds
        values = steps["value"].to_numpy()
        if row.method == "weight":
            assert (np.diff(values) > 0).all() and values[-1] == pytest.approx(row.objective, rel=1e-6)
            assert pd.isna(steps["group"].iloc[0]) and set(steps["group"].iloc[1:]) <= {f"layers.{i}" for i in range(3)}
        else:
            assert (np.diff(values) <= 0).all() and steps["group"].isna().all()
            assert len(values) == 13 if row.method != "annealing" else len(values) >= 2


def test_agreement_is_the_share_of_units_placed_the_same(result):
    table = result.frame("agreement")
    assert len(table) == 2 * len(METHODS) * (len(METHODS) - 1) // 2
    groups = [f"layers.{i}" for i in range(3)]
    for row in table.itertuples():
        one, other = (
            np.concatenate([result.arrays[array_name(row.pair, method, "permutation", g)] for g in groups])
            for method in (row.method, row.other)
        )
        assert row.agreement == pytest.approx((one == other).mean())
    assert table["agreement"].between(0, 1).all() and table["agreement"].nunique() > 3


def test_a_permutation_that_fits_is_more_decided_than_none(result):
    table = result.frame("decided")
    assert len(table) == 2 * len(METHODS) * 3 and table["entropy"].between(0, 1).all()
    assert (table["units"] == 6).all()
    means = table.groupby("method")["entropy"].mean()
    assert means["weight"] < means["none"]


def test_parts_can_be_joined_in_any_number(store, result):
    config = Methods(seeds=(0, 1, 2), groups=2, **QUICK)
    work = Work(store, torch.device("cpu"))
    pieces = [config.run_part(part, work) for part in config.parts()[:3]]
    tables = config.tables(pieces)
    assert tables["methods"]["method"] == ["none", "none", "random"]
    assert len(tables["agreement"]["pair"]) == 1 and tables["course"]["pair"] == []


def test_steps_are_heard_while_a_search_goes_on(store):
    config, heard = Methods(seeds=(0, 1), **QUICK), []
    work = dataclasses.replace(Work(store, torch.device("cpu")), recorded=lambda name, rows: heard.append((name, rows)))
    part = next(part for part in config.parts() if config.method[part[2]] == "sinkhorn")
    piece = config.run_part(part, work)
    rows = [row for _, found in heard for row in found]
    assert {name for name, _ in heard} == {"pair 0-1, sinkhorn"}
    assert [row["value"] for row in rows] == [row["value"] for row in piece.tables["course"]]
    assert set(rows[0]) == {"pair", "method", "seconds", "value", "group"}


# Options of the matching


def test_layers_that_are_held_keep_their_order(store):
    config = Pair(
        seeds=(0, 1), hold=("layers.1",), method=("weight", "activation", "straight_through", "sinkhorn"), **QUICK
    )
    result = lmc.run(config, store=store, device="cpu")
    assert set(result.frame("layers")["permutation"]) == {"layers.0", "layers.2"}
    assert not any("permutation|layers.1" in name for name in result.arrays)
    free = lmc.run(Pair(seeds=(0, 1), method=("weight",), **QUICK), store=store, device="cpu")
    assert config.id != Pair(seeds=(0, 1), method=config.method, **QUICK).id
    assert result.metrics["objective.weight.direct"] < free.metrics["objective.weight.direct"]
    with pytest.raises(
        InputError, match=r"hold: layers\.9 cannot be used; choose any of: layers\.0, layers\.1, layers\.2"
    ):
        lmc.run(Pair(seeds=(0, 1), hold=("layers.9",), **QUICK), store=store, device="cpu")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("weight", {"weight_kernel": "cosine"}),
        ("weight", {"weight_order": "backward"}),
        ("activation", {"activation_kernel": "dot"}),
        ("activation", {"match_images": 40}),
        ("annealing", {"anneal_steps": 20}),
    ],
)
def test_options_reach_their_method(store, method, options):
    found = []
    for changes in ({}, options):
        config = Pair(**{**QUICK, "width": 12, **changes}, seeds=(0, 1), method=(method,))
        work = Work(store, torch.device("cpu"))
        states = work.final_states(config.networks())
        bench = Bench(config, work)
        match = find(bench.task(*(states[n.id] for n in config.networks())), method, config)
        found.append({group: order.tolist() for group, order in match.permutation.items()})
    assert found[0] != found[1]


def test_bad_options_are_named():
    for options, said in (
        ({"weight_kernel": "linear"}, "choose one of: dot, cosine"),
        ({"weight_order": "up"}, "choose one of: random, forward, backward"),
        ({"activation_layers": "first"}, "choose one of: last, all"),
        ({"match_images": 0}, "a whole number from 10"),
        ({"anneal_steps": 0}, "a whole number from 1"),
        ({"hold": 3}, "a list of names"),
    ):
        with pytest.raises(InputError, match=said):
            Pair(**options)


# A narrow network in a wide one


def test_a_narrow_network_is_compared_in_the_shape_of_the_wide_one(store):
    config = Partial(**{**QUICK, "width": 12}, narrow=5, seeds=(0, 1), method=("weight",))
    result = lmc.run(config, store=store, device="cpu")
    wide = lmc.run(Pair(**{**QUICK, "width": 12}, seeds=(0, 1), method=("none",)), store=store, device="cpu")
    narrow = lmc.run(Pair(**{**QUICK, "width": 5}, seeds=(0, 1), method=("none",)), store=store, device="cpu")

    def ends(found):
        rows = found.frame("barriers")
        return rows[(rows["method"] == "none") & (rows["split"] == "test")].iloc[0]

    assert ends(result)["error_a"] == ends(wide)["error_a"]
    assert ends(result)["loss_b"] == pytest.approx(ends(narrow)["loss_b"], abs=1e-6)
    assert result.frame("layers")["units"].unique().tolist() == [12]
    assert result.networks == [wide.networks[0], narrow.networks[1]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"narrow": 40}, "narrow: 40 cannot be used; at most the width of A, 12"),
        ({"narrow": 0}, "narrow: 0 cannot be used; a whole number from 1"),
        ({"load": ("0" * 16, "1" * 16)}, "seeds would be right"),
    ],
)
def test_partial_refuses_what_does_not_fit(options, said):
    with pytest.raises(InputError, match=said):
        Partial(**{**QUICK, "width": 12, **options})


def test_layers_can_be_held_there_too(store):
    config = Partial(**{**QUICK, "width": 12}, narrow=5, hold=("layers.0",), seeds=(0, 1), method=("weight",))
    assert set(lmc.run(config, store=store, device="cpu").frame("layers")["permutation"]) == {"layers.1", "layers.2"}


def test_networks_of_one_unit_have_nothing_to_search(store):
    result = lmc.run(Methods(**{**QUICK, "width": 1}, seeds=(0, 1)), store=store, device="cpu")
    barriers = result.frame("barriers")
    assert barriers.groupby(["pair", "split"])["loss_barrier"].nunique().eq(1).all()
    assert (result.frame("agreement")["agreement"] == 1).all() and (result.frame("decided")["entropy"] == 0).all()


def test_the_layers_that_are_compared_reach_activation_matching(store):
    """A residual stream has several nonlinearities."""
    shape = {"arch": "resnet", "width": 4, "depth": 8, "recipe": make_recipe(epochs=1), "eval_images": 100}
    found = []
    for layers in ("last", "all"):
        config = Pair(**shape, activation_layers=layers, seeds=(0, 1), method=("activation",), match_images=200)
        work = Work(store, torch.device("cpu"))
        states = work.final_states(config.networks())
        match = find(Bench(config, work).task(*(states[n.id] for n in config.networks())), "activation", config)
        found.append([order.tolist() for order in match.permutation.values()])
    assert found[0] != found[1]


def test_norms_that_share_statistics_are_refused(store):
    config = Partial(**{**QUICK, "width": 12}, narrow=5, norm="layer", seeds=(0, 1))
    with pytest.raises(InputError, match="norm: layer cannot be used"):
        lmc.run(config, store=store, device="cpu")
