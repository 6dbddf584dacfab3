from dataclasses import fields
from urllib.parse import parse_qs, urlsplit

from lmc.experiments import Pair, make_recipe
from lmc.experiments.recipe import RECIPE_FIELDS
from pages.ui.address import lenient, link


def test_every_option_has_a_widget_bound_to_the_address(app):
    test = app()
    keys = {w.key for kind in ("selectbox", "text_input", "number_input", "multiselect") for w in getattr(test, kind)}
    assert {spec.name for spec in fields(Pair)} | set(RECIPE_FIELDS) <= keys | {"load", "labels"}


def test_a_link_opens_as_the_config_it_spells(app):
    recipe = make_recipe(
        epochs=7, optimizer="sgd", lr=0.05, decay="step", milestones=(3, 5), weight_decay=1e-4, warmup=1
    )
    config = Pair(width=48, seeds=(3, 4, 5), recipe=recipe, method=("weight", "random"), groups=2, dtype="float64")
    parameters = parse_qs(urlsplit(link(config, {"measure": "loss"})).query)
    assert parameters["v"] == ["1"] and parameters["measure"] == ["loss"]
    test = app(**parameters)
    assert test.session_state["_config"].to_json() == config.to_json()
    assert not test.session_state["_notes"]


def test_a_named_recipe_in_the_address_means_its_own_numbers(app):
    test = app(recipe="short_sgd", dataset="cifar10", arch="resnet", lr="0.05")
    expected = make_recipe("short_sgd", lr=0.05)
    assert test.session_state["_config"].recipe == expected and not test.session_state["_notes"]
    assert test.number_input(key="epochs").value == 10 and test.selectbox(key="augment").value == "flip_crop"


def test_an_optimizer_in_the_address_brings_its_own_rate(app):
    assert app(optimizer="sgd").session_state["_config"].recipe == make_recipe(optimizer="sgd")


def test_an_error_of_a_recipe_is_blamed_on_its_name():
    config, notes = lenient({"dataset": ["svhn"], "recipe": ["short_sgd"]})
    assert config.dataset == "svhn" and len(notes) == 1 and notes[0].startswith("augment: flip_crop cannot be used")


def test_the_link_of_loaded_networks_names_their_ids(stored):
    config = Pair(load=tuple(stored), labels=("a", "b"))
    words = parse_qs(urlsplit(link(config, {})).query)
    assert words["load"] == stored and not {"labels", "seeds"} & words.keys()


def test_lenient_keeps_what_can_be_used():
    config, notes = lenient({"width": ["0"], "depth": ["2"], "seeds": ["1", "1"]})
    assert (config.width, config.depth, config.seeds) == (32, 2, (0, 1))
    assert len(notes) == 2 and notes[0].startswith("width: 0 cannot be used")
