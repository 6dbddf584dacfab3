"""The plane through the networks of a pair: drawn when it is opened, from coarse to fine."""

import pytest
from streamlit.testing.v1 import AppTest

import lmc
from lmc.experiments import Landscape, Triple
from pages.ui.landscape import caption, plane_of
from tests.app.test_pair import charts, settle, text

WEIGHTS = 64 * 32 + 32 + 2 * (32 * 32 + 32) + 32 * 10 + 10
"""Of the default network: digits, three hidden layers of 32."""
TITLE = "Every point is a network"


@pytest.fixture(scope="module")
def plane(store):
    """The plane of the default pair under weight matching, in the module's store."""
    return lmc.run(plane_of(lmc.Pair(), (0, 1), "weight"), store=store, device="cpu")


def opened(app, **parameters):
    test = app("pair", **parameters)
    test.session_state["plane"] = True
    return test.run()


def test_closed_it_costs_nothing(app, no_engine):
    test = app("pair")
    assert len(charts(test)) == 4 and "Computing" not in text(test) and TITLE not in text(test)


def test_opened_it_is_drawn_below_the_match(app, plane):
    test = opened(app)
    assert not test.exception and not test.error and len(charts(test)) == 5
    assert f"{WEIGHTS:,} dimensions" in text(test) and "π(B)" in text(test) and "360 test images" in text(test)
    assert test.radio(key="shown_plane").options == ["Weight matching", "Activation matching"]


def test_the_map_shows_the_finest_level_in_the_measure_of_the_page(app, plane, monkeypatch):
    from pages.ui import landscape

    shown = []
    monkeypatch.setattr(
        landscape, "landscape_chart", lambda plane, corners, **look: shown.append((plane, corners, look))
    )
    monkeypatch.setattr(landscape, "show", lambda name, make, *shows: make())
    opened(app, measure="loss", split="train")
    squares, corners, look = shown[-1]
    assert look == {"split": "train", "measure": "loss"}
    assert set(squares["level"]) == {2} and len(squares) == 2 * 32**2 and len(corners) == 3


def test_the_pair_that_is_shown_lies_on_the_plane():
    many = lmc.Pair(seeds=(3, 3, 5), order_seeds=(3, 4, 5), correction="repair", method=("weight", "random"))
    found = plane_of(many, (1, 2), "random")
    assert (found.seeds, found.order_seeds, found.method) == ((3, 5), (4, 5), ("none", "random"))
    assert found.correction == "reset" and found.width == many.width and found.recipe == many.recipe
    three = plane_of(Triple(seeds=(7, 8, 9)), (0, 1, 2), "weight")
    assert three.seeds == (7, 8, 9) and three.planes() == ("none", "weight")
    files = lmc.Pair(load=("0" * 16, "1" * 16, "2" * 16), labels=("a", "b", "c"))
    found = plane_of(files, (0, 2), "weight")
    assert found.load == ("0" * 16, "2" * 16) and found.labels == ("a", "c")


def test_without_a_matching_it_says_what_is_missing(app, no_engine):
    test = opened(app, method="none")
    assert "Choose a matching method in the sidebar: B in its new order" in text(test) and not test.exception


def test_the_dimensions_are_left_out_where_the_networks_are_gone(app, no_engine):
    said = caption(Landscape(seeds=(90, 91, 92), method=("weight",)), "test")
    assert "a space with a dimension for each weight" in said and "A, B and C lie" in said and "π" not in said


def test_coarse_squares_are_drawn_while_finer_ones_are_computed(plane):
    def script(config, tables):
        from pages.ui.landscape import _so_far

        _so_far(config, {"split": "test", "measure": "error"}, tables)

    squares, corners = plane.frame("plane"), plane.frame("corners")
    config = plane_of(lmc.Pair(), (0, 1), "weight")
    for levels, drawn in ((2, 1), (0, 0)):
        tables = {"plane": squares[squares["level"] < levels], "corners": corners if levels else corners[:0]}
        test = AppTest.from_function(script, kwargs={"config": config, "tables": tables}, default_timeout=60).run()
        assert not test.exception and len(charts(test)) == drawn


@pytest.mark.slow
def test_another_method_is_computed_when_it_is_chosen(app, plane):
    test = opened(app)
    test.radio(key="shown_plane").set_value("activation").run()
    assert "Computing" in text(test) and len(charts(test)) == 4
    settle(test)
    assert len(charts(test)) == 5 and TITLE in text(test) and not test.exception and not test.error
