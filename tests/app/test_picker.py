"""What the picker offers follows what was chosen above it, and nothing that cannot be run is offered."""

import pytest

from lmc.experiments import RECIPES, Pair, get_architecture
from pages.ui.choices import architectures, datasets, nearest_width, starts
from pages.ui.presets import PRESETS

SHAPE = ("width", "depth", "norm", "activation")


@pytest.fixture
def quiet(app, monkeypatch):
    """The app on the page of networks, which shows no result and so starts no run."""
    return lambda **parameters: app("networks", **parameters)


def config(test):
    assert not test.exception
    return test.session_state["_config"]


def choose(test, key, value):
    test.selectbox(key=key).set_value(value).run()
    return config(test)


def test_another_architecture_brings_its_own_defaults(quiet):
    test = quiet(width="512", depth="16")
    for name in ("cnn", "vit", "resnet", "mlp"):
        found, entry = choose(test, "arch", name), get_architecture(name)
        assert [getattr(found, field) for field in SHAPE] == [getattr(entry, f"default_{field}") for field in SHAPE]
        assert not test.session_state["_notes"]


def test_a_data_set_that_does_not_fit_the_architecture_takes_one_that_does(quiet):
    test = quiet(arch="cnn", width="24")
    found = choose(test, "dataset", "moons")
    assert (found.arch, found.width) == ("mlp", 32)
    assert test.selectbox(key="arch").options == ["mlp"]
    choose(test, "dataset", "cifar10")
    assert test.selectbox(key="arch").options == ["mlp", "cnn", "vgg", "resnet", "vit"]


def test_a_large_data_set_suggests_a_recipe_unless_one_was_chosen(quiet):
    test = quiet()
    assert choose(test, "dataset", "cifar10").recipe == RECIPES["short"]
    assert choose(test, "arch", "resnet").recipe == RECIPES["short_sgd"]
    test.number_input(key="epochs").set_value(3).run()
    assert choose(test, "dataset", "digits").recipe.epochs == 3


def test_a_named_recipe_shows_its_numbers(quiet):
    test = quiet(dataset="cifar10", arch="vgg")
    assert choose(test, "recipe", "rebasin_vgg").recipe == RECIPES["rebasin_vgg"]
    assert test.number_input(key="epochs").value == 100 and test.text_input(key="weight_decay").value == "0.0005"
    assert choose(test, "recipe", "simultaneous").recipe.milestones == (80, 120)
    assert choose(test, "decay", "cosine").recipe.milestones == ()


def test_a_width_between_the_steps_is_rounded(quiet):
    test = quiet(arch="vit")
    test.number_input(key="width").set_value(21).run()
    assert config(test).width == test.number_input(key="width").value == 24
    test.button(key="half_width").click().run()
    assert config(test).width == 16
    assert nearest_width("vit", 3) == 8 and nearest_width("mlp", 10**6) == 16384


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_defaults_but_for_what_it_names(quiet, name):
    test = quiet(dataset="cifar10", arch="resnet", epochs="7", seeds="4 5", correction="repair")
    place = list(PRESETS).index(name)
    test.button(key=f"preset_{place}").click().run()
    settings = PRESETS[name][1]
    found = config(test)
    expected = {**starts(settings.get("dataset", "digits"), settings.get("arch", "mlp"), "default"), **settings}
    assert (found.dataset, found.arch, found.width) == (expected["dataset"], expected["arch"], expected["width"])
    assert " ".join(map(str, found.seeds)) == expected["seeds"] and found.recipe.epochs == expected["epochs"]
    assert found.correction == "reset" and not test.session_state["_notes"]


@pytest.mark.parametrize("page", ["home", "pair", "networks", "runs"])
def test_reset_puts_everything_back_from_every_page(app, page):
    chosen = {"arch": "cnn", "seeds": "4 5", "epochs": "7", "lr": "0.01", "correction": "repair", "method": "random"}
    view = {"measure": "loss", "split": "train", "baseline": "mean", "lam": "0.25", "v": "1", "colour": "red"}
    test = app("networks", **chosen, **view)
    assert config(test) != Pair() and test.session_state["_notes"]
    test.button(key="reset").click().run()
    assert config(test) == Pair() and not test.session_state["_notes"]
    assert not {"lam", "v", "colour"} & set(test.query_params)
    if page != "networks":
        test.switch_page(f"pages/views/{page}.py").run()
        test.text_input(key="lr").set_value("0.01")  # not run yet: no run is started
        test.button(key="reset").click().run()
    assert config(test) == Pair() and not test.exception
    if page == "pair":
        assert (test.radio(key="measure").value, test.radio(key="split").value) == ("error", "test")
        assert test.selectbox(key="baseline").value == "line"


def test_reset_lets_go_of_loaded_networks(stored, app):
    test = app("networks", load=stored)
    assert config(test).load == tuple(stored)
    test.button(key="reset").click().run()
    assert config(test) == Pair() and test.multiselect(key="load").value == [] and "load" not in test.query_params


def test_loaded_networks_take_the_place_of_the_seeds(stored, app):
    test = app("pair", load=stored)
    found = config(test)
    assert found.load == tuple(stored) and found.labels == ("my-net/a", "other-b") and found.width == 32
    assert not test.session_state["_notes"]
    assert {"seeds", "recipe", "arch"}.isdisjoint(widget.key for widget in [*test.text_input, *test.selectbox])
    test.multiselect(key="load").set_value([]).run()
    assert config(test).seeds == (0, 1) and "load" not in test.query_params


def test_one_loaded_network_is_not_enough(stored, quiet):
    test = quiet(load=stored[0])
    assert config(test).seeds == (0, 1)
    assert "two different networks would be right" in " ".join(test.session_state["_notes"])


def test_only_what_can_be_trained_is_offered():
    assert architectures("moons") == ["mlp"] and "vgg" not in architectures("digits")
    name = "folder:3x32x32:10:1000:300:373b60ebc5c8f0bf"
    known = ({"config": {"dataset": name}}, {"config": {}})
    assert datasets(known, ["folder:nonsense"])[-1] == name and "folder" not in datasets((), [])
