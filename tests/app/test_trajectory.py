"""The trajectory page shows what the tables of a trajectory say."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

import lmc
from lmc.charts.style import percent
from lmc.experiments import Instability, Trajectory
from pages.ui.trajectory_instability import instability_of
from tests.app.test_pair import charts, settle, text

OWN = {"width": 6, "recipe": lmc.make_recipe(epochs=4), "points": 5, "checkpoints": (0, 1, 2, 4)}
ASKED = {"width": "6", "epochs": "4", "points": "5", "checkpoints": "0 1 2 4"}
METHODS = ("none", "weight")


@pytest.fixture(scope="module")
def result(store):
    """A small result in the module's store, of one pair."""
    return lmc.run(Trajectory(**OWN, method=METHODS), store=store, device="cpu")


@pytest.fixture(scope="module")
def several(store):
    """The same of three pairs."""
    return lmc.run(Trajectory(**OWN, method=METHODS, seeds=(0, 1, 2)), store=store, device="cpu")


@pytest.fixture
def nothing_runs(app, no_engine, monkeypatch, tmp_path):
    """A store whose engine never starts, so that what is asked of it here is not computed in another test."""
    monkeypatch.setenv("LMC_STORE", str(tmp_path / "new"))


def heights(result, split="test", measure="error"):
    """(fit, epoch) → mean barrier."""
    table = result.frame("alignment")
    table = table[table["split"] == split].assign(fit=table["fit_epoch"].astype(float).fillna(-1))
    return table.groupby(["fit", "epoch"])[f"{measure}_barrier"].mean()


def film(test):
    """What the browser was given to play."""
    (component,) = test.get("bidi_component")
    return json.loads(component.proto.json)


def clean(test):
    assert not test.exception and not test.error, [error.value for error in test.error]
    return test


def answer(test):
    return next(block.value for block in test.markdown if block.value.startswith("#### "))


def test_the_answers_say_what_the_tables_say(app, result):
    test = clean(app("trajectory", **ASKED))
    assert len(charts(test)) == 5 and not test.warning
    found = heights(result)
    assert percent(found[-1, 4]) in answer(test) and percent(found[4, 4]) in answer(test)
    assert f"leaves at most {percent(max(found[4, epoch] for epoch in (0, 1, 2, 4)))}" in answer(test)
    stable = result.metrics.get("stable_epoch.weight.fit.test")
    assert (f"from epoch {stable:.0f} on" if stable is not None else "not by epoch 4") in text(test)
    assert f"epoch 1 leaves {percent(found[1, 4])} at epoch 4" in text(test)
    assert "360 test images" in text(test) and "monotone" in text(test)
    words = "python -m lmc trajectory --width 6 --epochs 4 --points 5 --checkpoints 0 1 2 4"
    assert sorted(test.code[0].value.split()) == sorted(words.split())
    shown = [len(frame.value) for frame in test.dataframe]
    assert shown == [len(result.frame(name)) for name in ("alignment", "layers", "path", "straight", "curves")]


def test_measure_split_and_method_change_the_numbers(app, store, result):
    other = lmc.run(Trajectory(**OWN, method=("none", "activation")), store=store, device="cpu")
    test = clean(app("trajectory", **ASKED, matched="activation", measure="loss", split="train"))
    assert answer(test).startswith("#### Activation matching at epoch 4") and not test.warning
    assert f"{heights(other, 'train', 'loss')[4, 4]:.2f} nats" in answer(test) and "train loss barrier" in answer(test)
    assert "--method none activation" in test.code[0].value


def test_a_single_method_none_has_no_permutation_to_show(app, store):
    lmc.run(Trajectory(**OWN, method=("none",)), store=store, device="cpu")
    test = clean(app("trajectory", **ASKED, method=["none"]))
    assert "Without a permutation the test error barrier" in answer(test) and len(charts(test)) == 4
    assert len(film_curves := film(test)["curves"]) == 1, film_curves


def test_one_of_several_pairs_and_their_mean(app, several):
    test = clean(app("trajectory", **ASKED, seeds="0 1 2"))
    assert "(means over 3 pairs, 95% intervals)" in answer(test) and "The mean over 3 pairs" in text(test)
    assert percent(heights(several)[4, 4]) in answer(test)
    test.selectbox(key="pair").set_value("0-2").run()
    clean(test)
    rows = several.frame("alignment")
    one = rows[(rows["pair"] == "0-2") & (rows["fit_epoch"] == 4) & (rows["epoch"] == 4) & (rows["split"] == "test")]
    assert percent(one["error_barrier"].item()) in answer(test) and "means over" not in answer(test)


def test_the_film_has_the_curves_of_the_table_and_rests_in_the_address(app, result):
    test = clean(app("trajectory", **ASKED, epoch="2"))
    data = film(test)
    assert data["epoch"] == 2 and data["epochs"] == [0, 1, 2, 4] and len(data["curves"]) == 3
    path = result.frame("path")
    rows = path[(path["fit_epoch"] == 2) & (path["epoch"] == 2) & (path["split"] == "test")].sort_values("lam")
    assert data["curves"][2]["values"][2] == pytest.approx(rows["error"].tolist(), abs=1e-4)
    assert "epoch=2" in test.code[1].value


def test_a_cell_of_the_map_chooses_the_epoch_of_the_film(app, result):
    test = app("trajectory", **ASKED)
    test.session_state["trajectory_map"] = {"selection": {"spot": [{"fit": 1, "epoch": 4}]}}
    clean(test.run())
    assert test.query_params["epoch"] == "4" and film(test)["epoch"] == 4
    test.query_params["epoch"] = "1"  # the film was moved since
    assert film(clean(test.run()))["epoch"] == 1, "an old click does not take it back"


def test_twins_are_a_control_with_a_known_answer(app, store, result):
    twins = lmc.run(Trajectory(**OWN, method=METHODS, control="twin", dtype="float64"), store=store, device="cpu")
    test = app("trajectory", **ASKED)
    test.button(key="twin_show").click().run()
    clean(test)
    assert test.selectbox(key="control").value == "twin" and test.selectbox(key="dtype").value == "float64"
    assert "control of the method itself" in text(test) and "is 0 up to rounding" in answer(test)
    table = twins.frame("alignment")
    without = table[(table["method"] == "none") & (table["epoch"] == 4) & (table["split"] == "test")]["error_barrier"]
    assert f"the error barrier is {percent(without.mean())} at the end" in answer(test)
    assert table[table["method"] == "weight"]["error_barrier"].max() < 1e-9
    test.button(key="twin_back").click().run()
    assert "lowers" in answer(clean(test)) or "does not lower" in answer(test)
    assert test.selectbox(key="dtype").value == "float32"


def test_the_link_opens_the_same_page(app, several):
    test = app("trajectory", **ASKED, seeds="0 1 2", split="train", pair="1-2", epoch="1")
    link = clean(test).code[1].value
    assert urlsplit(link).path.endswith("/trajectory")
    again = clean(app("trajectory", **parse_qs(urlsplit(link).query)))
    assert not again.warning and again.code[1].value == link and answer(again) == answer(test)
    assert film(again)["epoch"] == 1 and again.multiselect(key="method").value == ["none", "weight", "activation"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"checkpoints": "0 9"}, "checkpoints: 9 cannot be used; a whole number from 0 to 4 would be right."),
        ({"checkpoints": "0 soon"}, "checkpoints: soon cannot be used; a whole number from 0 to 4 would be right."),
    ],
)
def test_epochs_that_cannot_be_used_are_one_sentence(app, no_engine, parameters, said):
    test = clean(app("trajectory", **{**ASKED, **parameters}))
    assert [warning.value for warning in test.warning] == [said] and not charts(test) and "Computing" not in text(test)


def test_bad_values_in_the_address_fall_back_with_a_note(app, result):
    test = clean(app("trajectory", **ASKED, matched="magic", control="triplet", epoch="late"))
    notes = " ".join(warning.value for warning in test.warning)
    for said in (
        "matched: magic cannot be used; choose one of: weight, activation.",
        "control: triplet cannot be used; choose one of: none, twin.",
        "epoch: late cannot be used; a whole number from 0 to 10,000 would be right.",
    ):
        assert said in notes
    assert charts(test)


def test_loaded_networks_have_no_history(app, stored, no_engine):
    test = clean(app("trajectory", load=stored))
    assert "one moment of a network" in test.info[0].value and not charts(test) and "Computing" not in text(test)


def test_the_order_of_data_is_compared_when_somebody_opens_it(app, store, result):
    found = lmc.run(Instability(**{k: v for k, v in OWN.items() if k != "checkpoints"}, forks=(0, 2)), store=store)
    assert len(charts(app("trajectory", **ASKED))) == 5
    test = clean(app("trajectory", **ASKED, forks="0 2"))
    assert len(charts(test)) == 6
    means = found.frame("instability").groupby(["fork_epoch", "split"])["error_barrier"].mean()
    assert f"makes a test error barrier of {percent(means[0, 'test'])}; from epoch 2 on" in text(test)
    assert "lmc instability" in text(test)
    test.text_input(key="forks").set_value("0 7").run()
    assert "forks: 7 cannot be used; a whole number from 0 to 3 would be right." in clean(test).warning[0].value


def test_the_copies_are_of_the_same_networks():
    config = Trajectory(**OWN, seeds=(3, 4), dtype="float64")
    found = instability_of(config, (1,))
    assert found.networks()[:2] == config.networks() and found.dtype == "float64" and found.forks == (1,)


def test_what_is_there_so_far_is_drawn_with_a_place_for_the_rest(result):
    def script(config, tables):
        from pages.ui.trajectory import View, fits_so_far

        fits_so_far(config, View("test", "error", "weight", "all"))(tables)

    table = result.frame("alignment")
    early = table[table["fit_epoch"].isna() | (table["fit_epoch"] == 0)].assign(agreement=None)
    given = {"config": Trajectory(**OWN, method=METHODS), "tables": {"alignment": early}}
    test = AppTest.from_function(script, kwargs=given, default_timeout=60).run()
    assert not test.exception
    assert test.markdown[0].value == "**2 of 5 permutations** are tried, counting none as one of them."
    assert '"domain": ["No permutation", "0", "1", "2", "4"]' in json.dumps(charts(test)[0])


def test_reset_puts_the_settings_of_this_page_back(app, nothing_runs):
    test = app("trajectory", **{**ASKED, "width": "5"}, matched="activation", control="twin", epoch="1")
    test.button(key="reset").click().run()
    assert not test.exception and test.text_input(key="checkpoints").value == "0 1 2 3 5 10 20 40 60"
    assert test.selectbox(key="matched").value == "weight" and test.selectbox(key="control").value == "none"
    assert not {"checkpoints", "matched", "control", "epoch"} & set(test.query_params)


@pytest.mark.slow
def test_a_trajectory_is_computed_with_progress(app):
    test = app("trajectory", width="5", epochs="2", points="3", checkpoints="0 1")
    assert "Computing" in text(test) and not charts(test)
    settle(test)
    assert len(charts(clean(test))) == 5, [*(n.value for n in (*test.info, *test.warning)), text(test)]
    assert "at epoch 2" in answer(test)
