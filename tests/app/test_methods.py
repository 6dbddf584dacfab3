"""The methods page: an answer that agrees with its tables, searches as they go, and the limit of the claim."""

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

import lmc
from lmc.charts.methods import duration
from lmc.charts.style import percent
from lmc.experiments import METHODS, Methods, Pair, make_recipe
from pages.ui import figures
from pages.ui.address import link
from pages.ui.methods import COMPARED, MOST, computed, cost, quick
from pages.ui.methods_found import _names
from pages.ui.methods_words import WORDS
from tests.app.test_pair import charts, text

SMALL = {
    "width": "8", "epochs": "3", "points": "3", "match_images": "200", "match_steps": "3", "anneal_steps": "10",
}  # fmt: skip
OWN = {
    "width": 8, "recipe": make_recipe(epochs=3), "points": 3, "match_images": 200, "match_steps": 3, "anneal_steps": 10,
}  # fmt: skip
CONFIG = Methods(**OWN, method=METHODS)
WITHOUT_RESULT = 2
"""The charts of the counter-example are there in any case."""


@pytest.fixture(scope="module", autouse=True)
def _in_a_hurry():
    """A chart is built once for all tests of this module, and no search is repeated to time it well."""
    kept, build, patch = {}, figures._built.__wrapped__, pytest.MonkeyPatch()

    def built(name, shows, make):
        if (name, shows) not in kept:
            kept[name, shows] = build(name, shows, make)
        return kept[name, shows]

    patch.setattr(figures, "_built", built)
    patch.setattr("lmc.experiments.methods.RUNS", 1)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def result(store):
    """A small result in the module's store, so that the page finds it."""
    return lmc.run(CONFIG, store=store, device="cpu")


@pytest.fixture
def nothing_runs(app, no_engine, monkeypatch, tmp_path):
    """A store whose engine never starts, so that what is asked of it here is not computed in another test."""
    monkeypatch.setenv("LMC_STORE", str(tmp_path / "new"))


def clean(test):
    assert not test.exception and not test.error, [error.value for error in test.error]
    return test


def answer(test):
    return next(block.value for block in test.markdown if block.value.startswith("####"))


def barrier(result, method, measure="error", split="test"):
    return result.metrics[f"{measure}_barrier.{method}.direct.{split}"]


def test_the_answer_says_what_the_tables_say(app, result):
    test = clean(app("methods", **SMALL))
    assert not test.warning
    assert len(charts(test)) == 6 + 1 + WITHOUT_RESULT, "and the open learning curves"
    matched = [method for method in COMPARED if method != "none"]
    best = min(matched, key=lambda method: barrier(result, method))
    times = result.frame("methods").set_index("method")["seconds"]
    fastest = times[matched].idxmin()
    assert f"{percent(barrier(result, best))}" in answer(test) and percent(barrier(result, "none")) in answer(test)
    assert duration(times[best]) in answer(test) and duration(times[fastest]) in answer(test)
    assert "360 test images: 0.01 of error is 3.6 of them" in text(test) and "on cpu" in text(test)
    assert "each worker has one thread" in text(test) and "Level lines" not in text(test)
    assert "at most a quarter of 200, and at most 2,000. ◆: methods that look at no loss" in text(test)
    words = f"python -m lmc methods --method {' '.join(COMPARED)}".split()
    words += [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert sorted(test.code[0].value.split()) == sorted(words)
    tables = {name: len(result.frame(name)) for name in result.tables}
    assert len(test.dataframe[1].value) == len(COMPARED) and tables["methods"] == len(METHODS)


def test_measure_and_split_change_the_numbers(app, result):
    test = clean(app("methods", **SMALL, measure="loss", split="train"))
    best = min(barrier(result, method, "loss", "train") for method in COMPARED if method != "none")
    assert f"train loss barrier, {best:.2f} nats" in answer(test) and "1,437 train images" in text(test)


def test_another_choice_of_methods_needs_no_run(app, result, nothing_runs, store, monkeypatch):
    monkeypatch.setenv("LMC_STORE", str(store))
    test = clean(app("methods", **SMALL, method=["random"]))
    assert len(charts(test)) == 6 + 1 + WITHOUT_RESULT, "the method of the picker does not matter"
    assert test.multiselect(key="compared").value == COMPARED
    test.multiselect(key="compared").set_value(["none", "random", "weight"]).run()
    assert "Computing" not in text(clean(test)) and "Random permutation" in str(charts(test)[0])
    assert f"Weight matching leaves a test error barrier of {percent(barrier(result, 'weight'))}" in answer(test)
    assert not any("Sinkhorn" in str(chart) for chart in charts(test)), "no loss is descended"
    assert WORDS["weight"] in text(test) and WORDS["none"] in text(test) and WORDS["sinkhorn"] not in text(test)
    test.multiselect(key="compared").set_value(["none"]).run()
    assert "Choose a method above" in answer(clean(test)) and len(charts(test)) == 1 + 1 + WITHOUT_RESULT
    test.multiselect(key="compared").set_value(["weight", "sinkhorn"]).run()
    assert "No permutation" not in str(charts(clean(test))[:3]) and "without a permutation" not in answer(test)
    test.multiselect(key="compared").set_value([]).run()
    assert len(charts(clean(test))) == 6 + 1 + WITHOUT_RESULT, "nothing chosen is everything"


def test_a_link_opens_the_same_page(app, result):
    words = {"compared": ["none", "weight", "sinkhorn"], "measure": "loss", "xor_lam": "0.25"}
    test = clean(app("methods", **SMALL, **words))
    address = test.code[1].value
    query = parse_qs(urlsplit(address).query)
    assert urlsplit(address).path.endswith("/methods") and "method" not in query
    again = clean(app("methods", **query))
    assert not again.warning and again.code[1].value == address and answer(again) == answer(test)
    assert again.multiselect(key="compared").value == words["compared"] and again.slider(key="xor_lam").value == 0.25


def test_several_pairs_are_means_and_one_can_be_chosen(app, store):
    config = Methods(**OWN, seeds=(0, 1, 2), method=METHODS)
    result = lmc.run(config, store=store, device="cpu")
    test = clean(app("methods", **SMALL, seeds="0 1 2"))
    assert "means over 3 pairs with 95% intervals" in answer(test)
    assert percent(barrier(result, "none")) in answer(test) and "mean over 3 pairs" in text(test)
    assert "Level lines reach from the fastest pair to the slowest" in text(test)
    test.selectbox(key="pair").set_value("1-2").run()
    rows = result.frame("barriers")
    one = rows[(rows["pair"] == "1-2") & (rows["split"] == "test")].set_index("method")["error_barrier"]
    assert percent(one["none"]) in answer(clean(test)) and "means over" not in answer(test)


def test_one_layer_is_enough_and_another_similarity_is_named(app, store):
    config = Methods(**{**OWN, "points": 4}, depth=1, weight_kernel="cosine", method=METHODS)
    lmc.run(config, store=store, device="cpu")
    test = clean(app("methods", **{**SMALL, "points": "4"}, depth="1", weight_kernel="cosine"))
    assert len(charts(test)) == 6 + 1 + WITHOUT_RESULT and "Layer 1" in str(charts(test)[5])
    assert "Sum of cosines of A and B" in str(charts(test)[3]) and "The inner product is" not in text(test)
    assert "the cosine between A's weights and B's is taken" in text(test)
    assert "of weight the sum of cosines" in text(test)
    assert "◆" not in text(test), "of four points none lies halfway"


def test_heads_have_their_names_too():
    course = pd.DataFrame({"group": [None, "blocks.0.mlp", "blocks.0#heads"]})
    result = SimpleNamespace(tables={"decided": {"permutation": ["blocks.0.mlp"]}}, frame=lambda name: course)
    names = {"blocks.0.mlp": "Block 1 mlp", "blocks.0#heads": "Block 1 heads"}
    assert _names(SimpleNamespace(result=result)) == names


def test_where_no_unit_can_move_there_is_no_order(app, store):
    lmc.run(Methods(**OWN, hold=("layers.0", "layers.1", "layers.2"), method=METHODS), store=store, device="cpu")
    test = clean(app("methods", **SMALL, hold="layers.0 layers.1 layers.2"))
    assert "Do they find the same order?" not in text(test) and charts(test)


def test_loaded_networks(app, store, stored):
    own = {name: value for name, value in OWN.items() if name not in ("width", "recipe")}
    config = Methods(**own, width=32, load=tuple(stored), labels=("my-net/a", "other-b"), method=METHODS)
    result = lmc.run(config, store=store, device="cpu")
    test = clean(app("methods", load=stored, **{name: SMALL[name] for name in own}))
    assert percent(barrier(result, "none")) in answer(test) and "my-net/a-other-b" in text(test)
    assert "--load" in test.code[0].value and "seeds" not in test.code[1].value


def test_bad_values_in_the_address_fall_back_with_a_note(app, result):
    test = clean(app("methods", **SMALL, compared=["weight", "magic"], pair="7-8", xor_lam="7"))
    notes = " ".join(warning.value for warning in test.warning)
    assert "compared: magic cannot be used; choose one of: none, random, weight" in notes
    assert "pair: 7-8 cannot be used" in notes and charts(test)
    assert "xor_lam: 7 cannot be used; a number from 0 to 1 would be right" in notes
    assert test.slider(key="xor_lam").value == 0.5


# While it is computed


def drawn_so_far(config, tables):
    def script(config, tables):
        from pages.ui.controls import View
        from pages.ui.methods import Shown, draw_so_far

        view = View("test", "error", "line", "all", "0-1", (0, 1), ("0", "1"), 0.5)
        draw_so_far(config, Shown(config.method, view))(tables)

    test = AppTest.from_function(script, kwargs={"config": config, "tables": tables}, default_timeout=60).run()
    assert not test.exception
    return test


def test_methods_are_drawn_as_they_are_done_and_searches_as_they_go(result):
    done = ("none", "weight", "activation")
    tables = {name: result.frame(name) for name in result.tables}
    finished = {name: table[table["method"].isin(done)] for name, table in tables.items()}
    going = tables["course"][tables["course"]["method"] == "straight_through"]
    test = drawn_so_far(CONFIG, {**finished, "steps": going})
    assert test.markdown[0].value == f"**3 of {len(METHODS)} searches** are done and measured."
    curves, searches, steps = charts(test)
    assert "Layer 1" in str(steps)
    assert "Weight matching" in str(curves) and "Sinkhorn" not in str(curves)
    assert "Straight-through" in str(searches) and "'name': 'searches'" in str(searches)


def test_what_is_not_there_yet_is_not_drawn(result):
    steps = result.frame("course")
    only = drawn_so_far(CONFIG, {"steps": steps[steps["method"] == "sinkhorn"]})
    assert len(charts(only)) == 1 and only.markdown[0].value.startswith("**0 of")
    (first,) = charts(drawn_so_far(CONFIG, {"steps": steps[steps["method"] == "weight"][:1]}))
    assert "Start" in str(first) and "Layer" not in str(first)
    assert not charts(drawn_so_far(CONFIG, {"steps": steps[:0]}))
    nothing = {name: pd.DataFrame({k: [] for k in table}) for name, table in result.tables.items()}
    assert not charts(drawn_so_far(CONFIG, nothing))


def test_what_would_take_long_begins_with_a_button(app, nothing_runs):
    test = clean(app("methods", width="256"))
    assert "Computing" not in text(test) and len(charts(test)) == WITHOUT_RESULT
    assert "trains **2 networks** of width 256, each for 60 epochs on 1,437 images" in text(test)
    assert "**6 methods** look at **1 pair**" in text(test) and f"{Methods.anneal_steps:,} swaps" in text(test)
    assert "straight_through and sinkhorn take 300 steps" in text(test)
    assert "minutes of wide networks, or hours of deep convolutional ones" in text(test)
    test.button(key="ask_methods").click().run()
    assert "Computing" in text(test)


def test_small_networks_begin_at_once_with_all_methods(app, nothing_runs):
    test = clean(app("methods", width="6"))
    assert "Computing" in text(test) and len(charts(test)) == WITHOUT_RESULT
    assert quick(Methods()) and computed(Methods(method=("none", "weight"))).method == METHODS
    many = Methods(seeds=(0, 1, 2, 3))
    assert not quick(many) and not quick(Methods(dataset="moons", width=128)) and not quick(Methods(arch="cnn"))
    assert computed(many) == many


@pytest.mark.parametrize("name", MOST)
def test_an_address_starts_no_huge_search(name):
    assert quick(Methods(**{name: MOST[name]})) and not quick(Methods(**{name: MOST[name] + 1}))


def test_every_method_has_its_words():
    assert WORDS.keys() | {"random"} == set(METHODS)


def test_networks_that_are_there_cost_nothing(result):
    assert cost(CONFIG, set(result.networks)).startswith("All networks are there. Then **7 methods** look at")
    assert "swaps" not in cost(Methods(method=("none", "sinkhorn")), set())


# The page's own settings, and those of the picker that it needs


def test_reset_puts_the_settings_of_this_page_back(app, nothing_runs):
    test = app("methods", **SMALL, compared=["none", "weight"], xor_lam="0.25", hold="layers.0")
    assert test.multiselect(key="compared").value == ["none", "weight"]
    assert test.text_input(key="hold").value == "layers.0"
    clean(test.button(key="reset").click().run())
    assert test.multiselect(key="compared").value == COMPARED and test.slider(key="xor_lam").value == 0.5
    assert test.text_input(key="hold").value == "" and "compared" not in test.query_params


def test_layers_that_are_held_survive_the_address(app):
    config = Pair(
        hold=("layers.0", "layers.2"), weight_kernel="cosine", weight_order="forward", activation_layers="all",
        match_images=500, anneal_steps=70,
    )  # fmt: skip
    query = parse_qs(urlsplit(link(config, {})).query)
    assert query["hold"] == ["layers.0 layers.2"] and "hold" not in parse_qs(urlsplit(link(Pair(), {})).query)
    test = app("networks", **query)
    assert test.session_state["_config"].to_json() == config.to_json() and not test.session_state["_notes"]


def test_the_limit_of_the_claim_needs_no_result(app, nothing_runs):
    test = clean(app("methods", width="256"))
    assert "up to 50% of the answers are wrong, even in the best of all orders" in text(test)
    assert "its inner product is −1 for either" in text(test)
    assert "wrong at (0, 1) and (1, 1)" in alts(test)
    test.slider(key="xor_lam").set_value(0.0).run()
    assert "wrong at" not in alts(clean(test)) and "all four right" in alts(test)


def alts(test):
    return " ".join(element.proto.alt for element in test.get("vega_lite_chart"))
