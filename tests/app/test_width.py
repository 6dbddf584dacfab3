"""The width page: points as they come, an answer that agrees with its table, and a way from a point to its triple."""

from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

import lmc
from lmc.charts.style import percent
from lmc.experiments import Width
from pages.ui.runs import computed
from pages.ui.widths import COMPARISONS, cost, most_triples, triple_at, usual_widths
from tests.app.test_pair import charts, settle, text

CONFIG = Width(widths=(2, 3, 4), seeds=(0, 1, 2), recipe=lmc.make_recipe(epochs=3))
ASKED = {"widths": "2 3 4", "seeds": "0 1 2", "epochs": "3"}


@pytest.fixture(scope="module")
def result(store):
    """A small result, and all that it is made of, in the module's store; also the pairs on the front page."""
    for seeds, width in (((0, 1), 32), ((0, 1, 2), 32), ((0, 1, 2), 3)):
        lmc.run(computed(lmc.Pair(seeds=seeds, width=width, recipe=CONFIG.recipe)), store=store, device="cpu")
    return lmc.run(CONFIG, store=store, device="cpu")


@pytest.fixture
def nothing_runs(app, no_engine, monkeypatch, tmp_path):
    """A store whose engine never starts, so that what is asked of it here is not computed in another test."""
    monkeypatch.setenv("LMC_STORE", str(tmp_path / "new"))


def mean(result, method, comparison, width, column="error_barrier", split="test"):
    found = result.frame("widths")
    kept = (found["method"] == method) & (found["comparison"] == comparison) & (found["width"] == width)
    return found[kept & (found["split"] == split)][column].mean()


def test_the_answers_say_what_the_table_says(app, result):
    test = app("width", **ASKED)
    assert not test.exception and not test.error and not test.warning
    assert len(charts(test)) == 1
    answers = [block.value for block in test.markdown if "barrier" in block.value][:2]
    assert answers[0].startswith("#### ") and answers[1].count("- With") == 2
    best = min(("weight", "activation"), key=lambda method: mean(result, method, "simplex", 4))
    for answer, comparison in zip(
        [answers[0], *answers[1].split("\n")], ("simplex", "1-2 via 0", "1-2 direct"), strict=True
    ):
        first, last = (percent(mean(result, best, comparison, width)) for width in (2, 4))
        assert f"from {first} at width 2 to {last} at width 4" in answer and f"With {best} matching" in answer
    assert "360 test images" in text(test) and "the width in the sidebar does not matter" in text(test)
    assert test.code[0].value == "python -m lmc width --epochs 3 --widths 2 3 4"
    assert len(test.dataframe[0].value) == len(result.frame("widths"))


def test_measure_and_comparison_change_what_is_shown(app, result):
    test = app("width", **ASKED, measure="loss", split="train", comparison="Middle of the triangle")
    assert not test.exception and not test.warning
    answer = next(block.value for block in test.markdown if block.value.startswith("####"))
    methods = ("weight", "activation")
    at_2 = {f"{mean(result, method, 'centroid', 2, 'loss_barrier', 'train'):.2f}" for method in methods}
    assert any(f"{value} nats at width 2" in answer for value in at_2) and "middle of the triangle" in answer
    assert "dotted line. Between" not in text(test)


def test_the_width_of_the_picker_does_not_matter(app, result, no_engine):
    assert charts(app("width", **ASKED, width="77"))


def test_seeds_are_added_and_named(app, result):
    test = app("width", **{**ASKED, "seeds": "0 1"})
    assert charts(test) and "seed 2 joined" in text(test)


@pytest.mark.parametrize(
    ("widths", "said"),
    [
        ("8 wide", "widths: wide cannot be used; a whole number from 1 to 1,000,000 would be right."),
        ("0", "widths: 0 cannot be used; a whole number from 1 to 1,000,000 would be right."),
        ("8, 16.5", "widths: 16.5 cannot be used; a whole number from 1 to 1,000,000 would be right."),
        ("8 99999", "width: 99999 cannot be used; a whole number from 1 to 16,384 would be right."),
        (" ".join(map(str, range(1, 22))), "at most 20 widths would be right."),
    ],
)
def test_widths_that_cannot_be_used_are_one_sentence(app, nothing_runs, widths, said):
    test = app("width", widths=widths)
    assert not test.exception and not test.error and not charts(test) and "Computing" not in text(test)
    assert len(test.warning) == 1 and test.warning[0].value.endswith(said)


def test_a_comparison_that_there_is_not_is_named(app, result):
    test = app("width", **ASKED, comparison="Upside down")
    assert charts(test) and test.warning[0].value.startswith("comparison: Upside down cannot be used")


def test_a_clicked_point_leads_to_its_triple_in_full(app, result, store, monkeypatch):
    from pages.ui import figures

    draw = figures.choose
    monkeypatch.setattr(figures, "choose", lambda *rest: draw(*rest) or {"width": 3, "triple": "0-1-2"})
    test = app("width", **ASKED)
    button = test.get("link_button")[0].proto
    assert "triple 0-1-2 at width 3" in button.label
    monkeypatch.setattr(figures, "choose", draw)
    address = urlsplit(button.url)
    assert address.path.endswith("/triple") and parse_qs(address.query)["side"] == ["24"]
    lmc.run(lmc.Triple(width=3, recipe=CONFIG.recipe), store=store, device="cpu")
    before = sorted(path.name for path in (store / "results").iterdir())
    opened = app("triple", **parse_qs(address.query))
    assert not opened.exception and not opened.error and not opened.warning
    assert charts(opened) and "Computing" not in text(opened) and "width 3" in text(opened)
    assert sorted(path.name for path in (store / "results").iterdir()) == before


def test_points_belong_to_children_and_means_to_none():
    wide = Width(seeds=(0, 0, 1), order_seeds=(0, 1, 1), widths=(4, 8))
    found = triple_at(wide, {"width": 8, "triple": "0-0/1-1"})
    assert found in wide.children() and found.width == 8
    assert triple_at(wide, {"width": 8}) is None and triple_at(wide, {"width": 9, "triple": "0-0/1-1"}) is None


def test_what_is_there_so_far_is_drawn_with_a_place_for_the_rest(result):
    def script(config, tables):
        from pages.ui.group import GroupView
        from pages.ui.widths import draw_so_far

        draw_so_far(config, GroupView("test", "error"), ("simplex",))(tables)

    found = result.frame("widths")
    given = {"config": CONFIG, "tables": {"widths": found[found["width"] < 4]}}
    test = AppTest.from_function(script, kwargs=given, default_timeout=60).run()
    assert not test.exception
    assert test.markdown[0].value == "**2 of 3 triples** are measured, up to width 3."
    (chart,) = charts(test)
    axis = next(layer["encoding"]["x"] for layer in [chart, *chart["layer"]] if "x" in layer.get("encoding", {}))
    assert '["2", "3", "4"]' in str(axis), "width 4 has its place already"


def test_usual_widths_follow_the_architecture_and_typed_ones_stay(app, nothing_runs):
    test = app("width", dataset="digits", widths="8 16 32 64 128 256")
    test.selectbox(key="arch").set_value("cnn").run()
    assert test.text_input(key="widths").value == "4 8 16 32"
    test.text_input(key="widths").set_value("5 7").run()
    test.selectbox(key="arch").set_value("mlp").run()
    assert test.text_input(key="widths").value == "5 7"
    assert usual_widths("vit") == [8, 16, 32, 64] and usual_widths("mlp") == [8, 16, 32, 64, 128, 256]


def test_long_runs_begin_with_a_button_that_says_what_they_cost(app, nothing_runs):
    test = app("width", dataset="cifar10", arch="cnn", epochs="10")
    assert "Computing" not in text(test) and not test.exception
    assert "trains **12 networks** of 4 widths from 4 to 32, each for 10 epochs on 50,000 images" in text(test)
    next(button for button in test.button if button.label == "Compute").click().run()
    assert "Computing" in text(test)


def test_wide_networks_too_begin_with_a_button(app, nothing_runs):
    test = app("width", widths="8 1024")
    assert "trains **6 networks**" in text(test) and "Computing" not in text(test)


def test_networks_that_are_there_cost_nothing(result):
    ids = set(result.networks)
    assert cost(CONFIG, ids).startswith("All 9 networks are trained already")
    assert "**3 networks**" in cost(CONFIG, ids - set(result.networks[:3])) and "6 of the 9" in cost(
        CONFIG, ids - set(result.networks[:3])
    )


def test_loaded_networks_have_one_width(app, stored, no_engine):
    test = app("width", load=stored)
    assert "have one width" in test.info[0].value and not test.exception and "Computing" not in text(test)


def test_five_triples_are_drawn_unless_more_are_asked_for():
    assert most_triples(lmc.Pair()) == 5 and most_triples(lmc.Pair(groups=20)) == 20


def test_comparisons_are_in_words():
    assert list(COMPARISONS) == [
        "Matched to each other", "Both matched to a third", "Whole triangle", "Middle of the triangle"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_new_list_of_widths_is_computed_with_progress(app, store):
    test = app("width", **{**ASKED, "widths": "2 5"})
    assert "Computing" in text(test) and "of widths 2 to 5" in text(test) and not charts(test)
    settle(test)
    assert charts(test) and "at width 5" in text(test) and not test.exception and not test.error
    assert test.code[0].value == "python -m lmc width --epochs 3 --widths 2 5"


def test_reset_puts_the_settings_of_this_page_back_too(app, no_engine):
    test = app("width", widths="2 3", together="merge_many", comparison="Whole triangle", epochs="1")
    assert test.text_input(key="widths").value == "2 3" and test.multiselect(key="together").value == ["merge_many"]
    test.button(key="reset").click().run()
    assert not test.exception and test.text_input(key="widths").value.startswith("8 16 32")
    assert test.multiselect(key="together").value == [] and len(test.multiselect(key="comparison").value) == 3
    assert "widths" not in test.query_params and "together" not in test.query_params


def test_reset_on_the_triangle(app, no_engine):
    test = app("triple", side="4", together="merge_many", reference="2")
    test.button(key="reset").click().run()
    assert not test.exception and test.number_input(key="side").value == 24
    assert test.selectbox(key="reference").value == "0" and test.multiselect(key="together").value == []
