"""The triangle page shows what the tables of a triple say."""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

import lmc
from lmc.charts.style import percent
from lmc.experiments import Triple, array_name, make_recipe
from pages.ui.triangle import Spot, with_reference
from pages.ui.triangle_answers import in_words

SMALL = {"width": "8", "epochs": "2", "points": "5", "side": "6"}
METHODS = ("none", "weight", "activation")


def triple(store, **changed):
    """The result of the small triple, computed here, so that the page finds it."""
    own = {"width": 8, "points": 5, "side": 6, "recipe": make_recipe(epochs=2), "seeds": (0, 1, 2)}
    return lmc.run(Triple(**{**own, **changed}), store=store)


def errors_at(result, weights):
    """Method → test error of the mixture with these shares of A and B."""
    table = result.frame("simplex")
    at = (table[["w0", "w1"]] - list(weights)).abs().max(axis=1) < 1e-9
    return table[at & (table["split"] == "test")].set_index("method")["error"].to_dict()


def text(test):
    return " ".join(block.value for block in [*test.markdown, *test.caption])


def pictures(test):
    return " ".join(block.proto.body for block in test.get("html"))


def clean(test):
    assert not test.exception and not test.error, [error.value for error in test.error]
    return test


def test_the_default_shows_at_once(app, no_engine):
    result = lmc.run(Triple())
    test = clean(app("triple"))
    assert len(test.get("vega_lite_chart")) == 4 and not test.warning
    assert percent(result.metrics["error_barrier.activation.simplex.test"]) in text(test)
    assert sorted(re.findall(r"wrong on (.*?) of all test data", pictures(test))) == sorted(
        percent(e) for e in errors_at(result, (8 / 24, 8 / 24)).values()
    )
    assert test.code[0].value == "python -m lmc triple"


def test_the_sentence_and_the_middle_say_what_the_tables_say(app, store):
    result = triple(store)
    test = clean(app("triple", **SMALL))
    assert len(test.get("vega_lite_chart")) == 4 and not test.warning
    simplex = {m: result.metrics[f"error_barrier.{m}.simplex.test"] for m in ("weight", "activation")}
    best = min(simplex, key=simplex.get)
    direct, via = (percent(result.metrics[f"error_barrier.{best}.{what}.test"]) for what in ("direct", "via"))
    said = f"barrier between B and C is {direct} when they are matched to each other, {via} when both are matched to A"
    assert said in text(test) and f"{percent(simplex[best])} over the whole triangle" in text(test)
    assert "The middle: 33% A (seed 0), 33% B (seed 1), 33% C (seed 2)" in text(test)
    for error in errors_at(result, (1 / 3, 1 / 3)).values():
        assert f"wrong on {percent(error)} of all test data" in pictures(test)
    assert "seed 2 joined the chosen ones" in text(test)
    home = result.metrics["home.weight"]
    assert f"{percent(home)} of the units come home" in text(test)
    words = "python -m lmc triple --width 8 --points 5 --side 6 --epochs 2"
    assert sorted(test.code[0].value.split()) == sorted(words.split())


def test_a_clicked_point_answers_as_the_result_says(app, store):
    result = triple(store)
    test = app("triple", **SMALL)
    spot = {"w0": 0.5, "w1": 0.5, "w2": 0.0, "method": "none"}
    test.session_state["triangle"] = {"selection": {"spot": [spot]}}
    clean(test.run())
    assert "An edge: 50% A (seed 0), 50% B (seed 1)" in text(test)
    assert test.query_params["spot"] == "0.5 0.5 0 none"
    table = result.frame("simplex")
    rows = table[(table["method"] == "none") & (table["split"] == "test")].reset_index()
    row = rows.index[(rows["w0"] == 0.5) & (rows["w1"] == 0.5)].item()
    assert f"wrong on {percent(rows['error'][row])} of all test data" in pictures(test)
    answers = result.arrays[array_name("0-1-2", "none", "answers")][row].argmax(-1)
    marks = ["✓" if right else "✗" for right in answers == result.arrays["labels"]]
    chosen = re.search(r'<tr class="chosen">.*?</tr>', pictures(test))[0]
    assert re.findall(r">(\d) ([✓✗])<", chosen) == [(str(a), m) for a, m in zip(answers, marks, strict=True)]


def test_another_reference_comes_first(app, store):
    result = triple(store, seeds=(1, 0, 2))
    triple(store)
    test = app("triple", **SMALL)
    test.selectbox(key="reference").set_value("1").run()
    clean(test)
    assert "A (seed 1)" in text(test) and "--seeds 1 0 2" in test.code[0].value
    assert percent(result.metrics["error_barrier.weight.simplex.test"]) in " ".join(
        chart.proto.spec + chart.proto.alt for chart in test.get("vega_lite_chart")
    )


def test_one_of_several_triples_and_their_mean(app, store):
    result = triple(store, seeds=(0, 1, 2, 3), method=("none", "weight"))
    test = clean(app("triple", **SMALL, seeds="0 1 2 3", method=["none", "weight"]))
    assert "means over 4 triples, 95% intervals" in text(test) and "The mean over 4 triples" in text(test)
    assert test.selectbox(key="triple").options == ["all", "0-1-2", "0-1-3", "0-2-3", "1-2-3"]
    test.selectbox(key="triple").set_value("0-2-3").run()
    clean(test)
    barriers = result.frame("barriers").set_index(["triple", "method", "comparison", "split"])["error_barrier"]
    assert f"{percent(barriers['0-2-3', 'weight', 'simplex', 'test'])} over the whole triangle" in text(test)
    assert "33% C (seed 3)" in text(test) and "means over" not in text(test)


def test_methods_that_match_all_at_once_get_the_third_triangle(app, store):
    triple(store, method=(*METHODS, "merge_many"))
    test = clean(app("triple", **SMALL, together="merge_many"))
    assert test.selectbox(key="beside").options == ["activation", "merge_many"]
    assert test.selectbox(key="beside").value == "merge_many"
    assert "Merge many:** 100% of the units come home" in text(test)
    test.session_state["triangle"] = {"selection": {"spot": [{"w0": 0, "w1": 0, "w2": 1, "method": "merge_many"}]}}
    assert "**Merge many.** A corner: C (seed 2) alone" in text(clean(test.run()))
    test.selectbox(key="beside").set_value("activation").run()
    assert "**Activation matching.** A corner: C (seed 2) alone" in text(test)
    assert "Merge many" not in pictures(clean(test)) and "Activation matching" in pictures(test)


def test_the_link_opens_the_same_page(app, store):
    triple(store, seeds=(2, 0, 1), method=(*METHODS, "merge_many"))
    test = app("triple", **SMALL, seeds="2 0 1", together="merge_many", split="train", spot="0 0.5 0.5 none")
    link = clean(test).code[1].value
    again = clean(app("triple", **parse_qs(urlsplit(link).query)))
    assert not again.warning and again.code[1].value == link and again.code[0].value == test.code[0].value
    assert "An edge: 50% B (seed 0), 50% C (seed 1)" in text(again) and "of all train data" in pictures(again)


def test_points_have_no_pictures(app, store):
    triple(store, dataset="moons", method=("none", "weight"))
    test = clean(app("triple", **SMALL, dataset="moons", method=["none", "weight"]))
    assert not pictures(test) and "- Weight matching: wrong on" in text(test)
    assert "1,000 test points" in text(test)


@pytest.mark.parametrize("spot", ["0.9 0.9 0.9 weight", "0.5 0.5 0 magic", "middle"])
def test_bad_values_in_the_address_fall_back_with_a_note(app, store, spot):
    triple(store, side=24)
    bad = {"side": "many", "together": "magic", "reference": "7", "triple": "0-1", "beside": "magic"}
    test = clean(app("triple", **{**SMALL, **bad, "spot": spot}))
    notes = " ".join(warning.value for warning in test.warning)
    for said in (
        "together: magic cannot be used; choose one of: merge_many, cycle_consistent.",
        "reference: 7 cannot be used; choose one of: 0, 1, 2.",
        "triple: 0-1 cannot be used; choose one of: all, 0-1-2.",
        "side: many cannot be used; a whole number from 1 to 200 would be right.",
        "beside: magic cannot be used; choose one of: none, random, weight",
        f"spot: {spot} cannot be used; three shares that add up to 1 and a method",
    ):
        assert said in notes
    assert "The middle: 33% A (seed 0)" in text(test) and test.get("vega_lite_chart")


def test_the_plane_goes_through_the_shown_triple(app, store, monkeypatch):
    triple(store, seeds=(0, 1, 2, 3), method=("none", "weight"))
    planes = []
    monkeypatch.setattr("pages.ui.landscape._draw", lambda plane, look: planes.append(plane))
    test = app("triple", **SMALL, seeds="0 1 2 3", method=["none", "weight"], triple="0-2-3")
    test.session_state["plane"] = True
    clean(test.run())
    assert planes[-1].seeds == (0, 2, 3) and planes[-1].width == 8


def test_two_loaded_networks_are_too_few(app, stored):
    test = clean(app("triple", load=stored))
    assert [info.value for info in test.info] == [
        "This page compares 3 networks: choose one more in the sidebar."
    ] and not test.get("vega_lite_chart")


@pytest.mark.slow
def test_a_triple_is_computed_with_progress(app):
    from tests.app.test_pair import settle

    test = app("triple", width="7", epochs="1", side="4", points="3")
    assert "Computing" in text(test) and not test.get("vega_lite_chart")
    settle(test)
    assert "over the whole triangle" in text(clean(test))


def test_the_nearest_row_of_the_grid_is_meant():
    grid = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert [Spot("none", weights).row(grid) for weights in ((0.9, 0.1, 0), (0.45, 0.5, 0.05), (0.3, 0.3, 0.4))] == [
        0,
        1,
        2,
    ]


def test_mixtures_in_words():
    said = [in_words(Spot("none", w), ("0", "1", "my-net")) for w in ((0, 0, 1.0), (0.25, 0.75, 0), (0.5, 0.25, 0.25))]
    assert said == [
        "A corner: C (my-net) alone",
        "An edge: 25% A (seed 0), 75% B (seed 1)",
        "A mixture: 50% A (seed 0), 25% B (seed 1), 25% C (my-net)",
    ]


def test_the_reference_takes_its_orders_and_labels_along():
    trained = with_reference(Triple(seeds=(0, 0, 4), order_seeds=(1, 2, 3)), 1)
    assert (trained.seeds, trained.order_seeds) == ((0, 0, 4), (2, 1, 3))
    loaded = with_reference(Triple(load=("0" * 16, "1" * 16, "2" * 16), labels=("a", "b", "c")), 2)
    assert loaded.load == ("2" * 16, "0" * 16, "1" * 16) and loaded.labels == ("c", "a", "b")
    assert with_reference(trained, 0) == trained
