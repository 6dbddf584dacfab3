"""The pruning page shows what its tables say, while they come and when they are there."""

from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

import lmc
from lmc.charts.style import percent
from lmc.experiments import Pair, Pruning, Transport, array_name, make_recipe
from pages.ui.address import link
from pages.ui.pruning import cost, planned, transport_of, what_to_try
from tests.app.test_pair import charts, settle, text

SMALL = {"width": "6", "epochs": "3", "points": "5", "levels": "3", "seeds": "0 1 2", "method": ["none", "weight"]}
CONFIG = Pruning(width=6, points=5, levels=3, seeds=(0, 1, 2), recipe=make_recipe(epochs=3))


@pytest.fixture(scope="module")
def result(store):
    """The small result, in the module's store, so that the page finds it."""
    return lmc.run(CONFIG, store=store, device="cpu")


@pytest.fixture(scope="module")
def transport(store, result):
    return lmc.run(transport_of(CONFIG, 3), store=store, device="cpu")


@pytest.fixture
def nothing_runs(app, no_engine, monkeypatch, tmp_path):
    """A store whose engine never starts, so that what is asked of it here is not computed in another test."""
    monkeypatch.setenv("LMC_STORE", str(tmp_path / "new"))


def clean(test):
    assert not test.exception and not test.error, [error.value for error in test.error]
    return test


def answer(test):
    return next(block.value for block in test.markdown if block.value.startswith("####"))


def test_the_answer_says_what_the_table_says(app, result):
    test = clean(app("pruning", **SMALL))
    assert not test.warning and len(charts(test)) == 6
    said = answer(test)
    for name in ("none.direct", "weight.dense", "weight.sparse"):
        assert percent(result.metrics[f"error_barrier.{name}.test"]) in said
    assert f"With {percent(result.metrics['density'])} of the weights left" in said and "over 3 pairs" in said
    assert "360 test images: 0.01 of error is 3.6 of them" in text(test)
    words = "python -m lmc pruning --width 6 --seeds 0 1 2 --epochs 3 --points 5 --levels 3"
    assert sorted(test.code[0].value.split()) == sorted(words.split())
    assert [len(frame.value) for frame in test.dataframe] == [len(result.frame(n)) for n in ("levels", "masks")]


def test_measure_and_split_change_the_numbers(app, result):
    test = clean(app("pruning", **SMALL, measure="loss", split="train"))
    assert f"{result.metrics['loss_barrier.weight.dense.train']:.2f} nats" in answer(test)
    assert "1,437 train images" in text(test)


def test_masks_are_those_of_the_chosen_level_layer_pair_and_order(app, result, monkeypatch):
    from pages.ui import pruning_masks

    drawn = []
    monkeypatch.setattr(pruning_masks, "masks_chart", lambda a, b, **look: drawn.append((a, b, look)))
    monkeypatch.setattr(pruning_masks, "show", lambda name, make, *shows: name == "masks_chart" and make())
    test = clean(app("pruning", **SMALL, level="2", layer="Layer 2", of="1-2"))
    a, b, look = drawn[-1]
    stored = result.arrays
    assert (a == stored[array_name("1-2", "none", "mask_a@2", "layers.1.weight")]).all()
    assert (b == stored[array_name("1-2", "weight", "mask_dense@2", "layers.1.weight")]).all()
    assert look == {"labels": ("1", "2"), "permuted": True}
    test.radio(key="order").set_value("As it is").run()
    assert (drawn[-1][1] == stored[array_name("1-2", "none", "mask_none@2", "layers.1.weight")]).all()
    assert not drawn[-1][2]["permuted"]
    table = result.frame("masks")
    rows = table[(table["level"] == 2) & (table["permutation"] == "none")]
    assert f"both keep {percent(rows.groupby('layer')['overlap'].mean().mean())}" in text(clean(test))


def test_transport_waits_until_it_is_asked_for(app, result, nothing_runs, store, monkeypatch):
    monkeypatch.setenv("LMC_STORE", str(store))
    test = clean(app("pruning", **SMALL, level="2"))
    assert "Does A's mask serve B" in text(test) and "At level 2" in text(test) and "9 more trainings" in text(test)
    test.button(key="ask_transport").click().run()
    assert "Computing" in text(clean(test)) and len(charts(test)) == 6


def test_transport_that_is_there_is_drawn(app, transport):
    test = clean(app("pruning", **SMALL))
    assert len(charts(test)) == 7 and "Does A's mask serve B" not in text(test)
    for mask in ("none.own", "weight.transported", "none.unpermuted", "none.random"):
        assert percent(transport.metrics[f"error.{mask}.test"]) in text(test)
    assert any(block.value.startswith("python -m lmc transport") and "--level 3" in block.value for block in test.code)
    assert len(test.dataframe) == 3


def test_a_link_opens_the_same_page(app, result, transport):
    words = {
        "level": "2",
        "layer": "Layer 2",
        "of": "0-2",
        "order": "Found anew at each level",
        "split": "train",
        "measure": "loss",
    }
    test = app("pruning", **SMALL, **words)
    address = next(block.value for block in clean(test).code if block.value.startswith("http"))
    again = clean(app("pruning", **parse_qs(urlsplit(address).query)))
    assert not again.warning and address in [block.value for block in again.code]
    assert answer(again) == answer(test) and again.number_input(key="level").value == 2
    assert again.selectbox(key="layer").value == "Layer 2" and again.selectbox(key="of").value == "0-2"
    assert again.radio(key="order").value == "Found anew at each level"


def test_the_link_of_a_transport_opens_the_page_at_its_level(app):
    query = parse_qs(urlsplit(link(Transport(width=6, level=15), {})).query)
    assert urlsplit(link(Transport(), {})).path.endswith("/pruning")
    assert query["level"] == ["15"] and query["levels"] == ["15"]
    assert parse_qs(urlsplit(link(Transport(level=3), {})).query)["levels"] == ["12"]


def test_without_a_matching_there_is_nothing_to_agree(app, store):
    lmc.run(Pruning(**{**vars(CONFIG), "method": ("none",)}), store=store, device="cpu")
    test = clean(app("pruning", **{**SMALL, "method": ["none"]}))
    assert "Choose a matching method in the sidebar" in answer(test) and len(charts(test)) == 5
    assert test.radio(key="order").options == ["As it is"]


def test_the_control_shows_twins_and_the_way_back(app, store):
    twins = lmc.run(Pruning(**{**vars(CONFIG), "control": "twin", "dtype": "float64"}), store=store, device="cpu")
    test = clean(app("pruning", **SMALL))
    test.button(key="twin_show").click().run()
    assert "0 up to rounding" in answer(clean(test)) and "at 4 levels" in answer(test)
    barriers = twins.frame("levels")
    largest = barriers.loc[barriers["permutation"] == "none", "error_barrier"].max()
    assert percent(largest) in answer(test) and "--control twin" in " ".join(block.value for block in test.code)
    assert test.selectbox(key="of").options == ["0-π(0)", "1-π(1)", "2-π(2)"]
    assert test.selectbox(key="dtype").value == "float64"
    test.button(key="twin_back").click().run()
    assert "0 up to rounding" not in answer(clean(test)) and test.selectbox(key="control").value == "none"


def test_levels_are_drawn_as_they_come(result):
    def script(config, tables):
        from pages.ui.pruning import PruningView, draw_so_far

        draw_so_far(config, PruningView("test", "error", "weight"))(tables)

    table = result.frame("levels")
    for kept, said, drawn in (
        (table["level"] < 2, "**Level 1 of 3** is measured.", 1),
        ((table["level"] == 0) | ((table["level"] == 1) & (table["pair"] == "0-1")), "measured for 1 of 3 pairs.", 1),
        (table["level"] < 0, "", 0),
    ):
        given = {"config": CONFIG, "tables": {"levels": table[kept]}}
        test = AppTest.from_function(script, kwargs=given, default_timeout=60).run()
        assert not test.exception and said in "".join(block.value for block in test.markdown)
        assert len(charts(test)) == drawn
        assert not drawn or "51%" in str(charts(test)[0]), "level 3 has its place already"


def test_the_plan_is_what_the_levels_come_to(result):
    densities = result.frame("levels").groupby("level")["density"].first()
    assert densities.tolist() == pytest.approx(planned(CONFIG), abs=1e-2)


def test_what_would_take_long_begins_with_a_button(app, nothing_runs):
    test = clean(app("pruning", arch="cnn", epochs="5", levels="4"))
    assert "Computing" not in text(test) and "trains **2 networks** for 5 epochs on 1,437 images" in text(test)
    assert "**4 times** more, from epoch 2 on" in text(test)
    test.button(key="ask_pruning").click().run()
    assert "Computing" in text(test)


def test_what_is_trained_already_is_said(result):
    assert "2 of the 3 are trained already" in cost(CONFIG, set(result.networks[:2]))
    assert "already" not in cost(CONFIG, set())


def test_levels_rewind_to_an_epoch_that_training_has(app, nothing_runs):
    test = clean(app("pruning", width="5", epochs="1"))
    assert not test.warning and "Computing" in text(test)
    assert "Training has 1 epochs" not in text(test)  # said with the result


def test_bad_values_in_the_address_fall_back_with_a_note(app, nothing_runs):
    bad = {"levels": "99", "prune": "2", "rewind": "-1", "last_layer": "half", "control": "magic", "order": "magic"}
    test = clean(app("pruning", **{**SMALL, **bad, "level": "x", "matched": "magic"}))
    notes = " ".join(warning.value for warning in test.warning)
    for said in (
        "levels: 99 cannot be used; a whole number from 1 to 40 would be right.",
        "prune: 2 cannot be used; a number from 0.001 to 0.999 would be right.",
        "rewind: -1 cannot be used",
        "last_layer: half cannot be used; choose one of: keep, prune.",
        "control: magic cannot be used; choose one of: none, twin.",
        "order: magic cannot be used; choose one of: As it is, Found on the dense networks, Found anew",
        "level: x cannot be used",
        "matched: magic cannot be used",
    ):
        assert said in notes


def test_loaded_networks_have_no_history(app, stored, no_engine):
    test = clean(app("pruning", load=stored))
    assert "A network from a file is one moment" in test.info[0].value and not charts(test)


def test_reset_puts_the_settings_of_this_page_back(app, nothing_runs):
    test = app("pruning", **{**SMALL, "prune": "0.5", "rewind": "1", "last_layer": "prune", "control": "twin"})
    assert test.number_input(key="levels").value == 3 and test.number_input(key="prune").value == 0.5
    clean(test.button(key="reset").click().run())
    numbers = {name: test.number_input(key=name).value for name in ("levels", "prune", "rewind")}
    assert numbers == {"levels": 12, "prune": 0.2, "rewind": 2}
    assert test.selectbox(key="last_layer").value == "keep" and test.selectbox(key="control").value == "none"


def test_suggestions_differ_from_what_is_shown():
    assert "width to 128" in what_to_try(Pruning(width=32)) and "seeds 0 1 2" in what_to_try(Pruning(width=32))
    other = what_to_try(Pruning(width=128, seeds=(0, 1, 2), prune=0.5, rewind=0))
    assert "Halve the width" in other and "width to 32" in what_to_try(Pruning(arch="cnn", width=16))
    assert "six seeds" in other and "10%" in other and "Rewind to epoch 5" in other


@pytest.mark.slow
def test_a_pruning_is_computed_with_progress(app):
    test = app("pruning", **{**SMALL, "width": "5", "levels": "2", "seeds": "0 1"})
    assert "Computing" in text(test) and "Take it with you" not in [block.value for block in test.subheader]
    settle(test)
    assert "of the weights left" in answer(clean(test))


def test_a_pair_of_the_picker_is_what_is_pruned():
    made = transport_of(CONFIG, 2)
    assert (made.seeds, made.width, made.level, made.method) == ((0, 1, 2), 6, 2, ("none", "weight"))
    assert made.recipe == CONFIG.recipe and made.rewind == 2 and Pair().groups == made.groups
