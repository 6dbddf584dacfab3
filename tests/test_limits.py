import subprocess
import sys
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmc.errors import InputError
from lmc.experiments import Pair, get_architecture, list_datasets, list_models
from lmc.experiments.recipe import RECIPES, make_recipe
from lmc.limits import WIDTHS, Limits, check_limits, limits

ROOM = Limits(datasets=("digits", "moons"))


def refusal(config, within=ROOM):
    try:
        check_limits(config, within)
    except InputError as error:
        return error
    return None


@pytest.mark.parametrize(("value", "on"), [("1", True), ("yes", True), ("0", False), ("", False), (" ", False)])
def test_the_environment_switches_limits_on(monkeypatch, value, on):
    monkeypatch.setenv("LMC_CLASSROOM", value)
    assert (limits() == Limits()) is on and (limits() is None) is not on


def test_without_the_variable_nothing_is_limited(monkeypatch):
    monkeypatch.delenv("LMC_CLASSROOM", raising=False)
    assert limits() is None
    check_limits(Pair(width=16384, dataset="cifar10", points=1001), limits())


@given(
    width=st.integers(1, 1024),
    epochs=st.integers(1, 200),
    networks=st.integers(2, 9),
    points=st.integers(2, 202),
    restarts=st.integers(1, 40),
    steps=st.integers(1, 2_000),
    swaps=st.integers(1, 40_000),
    images=st.integers(10, 20_000),
    dataset=st.sampled_from(["digits", "moons", "spirals", "mnist", "cifar10"]),
)
def test_a_config_is_refused_just_when_a_value_is_beyond_its_limit(
    width, epochs, networks, points, restarts, steps, swaps, images, dataset
):
    config = Pair(
        dataset=dataset,
        width=width,
        seeds=tuple(range(networks)),
        recipe=make_recipe(epochs=epochs),
        points=points,
        restarts=restarts,
        match_steps=steps,
        anneal_steps=swaps,
        eval_images=images,
    )
    beyond = {
        "dataset": dataset not in ("digits", "moons"),
        "width": width > 512,
        "seeds": networks > 6,
        "epochs": epochs > 100,
        "points": points > 101,
        "restarts": restarts > 20,
        "match_steps": steps > 1_000,
        "anneal_steps": swaps > 20_000,
        "eval_images": images > 10_000,
    }
    error = refusal(config)
    assert (error is not None) is any(beyond.values())
    if error is not None:
        assert beyond[error.option] and error.option == next(name for name, over in beyond.items() if over)
        assert error.right.startswith("in this classroom") and str(error).endswith(".")
    assert refusal(config, None) is None


@settings(max_examples=30)
@given(arch=st.sampled_from(list_models()), data=st.data())
def test_every_architecture_has_a_largest_width_and_may_have_it(arch, data):
    architecture, most = get_architecture(arch), ROOM.width(arch)
    step = architecture.width_step
    assert architecture.widths[0] <= most <= architecture.widths[1] and most % step == 0
    width = step * data.draw(st.integers(1, architecture.widths[1] // step))
    dataset = "mnist" if architecture.inputs == "images" else "digits"
    with patch("lmc.limits.on_disk", return_value=True):
        error = refusal(Pair(arch=arch, dataset=dataset, width=width), Limits())
    assert (error is None) == (width <= most)
    if error is not None:
        assert (error.option, error.value) == ("width", width)
        assert error.right == f"in this classroom at most {most:,} is allowed for {arch}"


def test_what_the_limits_name_is_there():
    assert set(WIDTHS) <= set(list_models()) and set(Limits().datasets) <= set(list_datasets())
    assert ROOM.width("vgg_classifier") == get_architecture("vgg_classifier").default_width


def test_the_first_choice_and_the_shipped_presets_are_allowed():
    from pages.ui.address import lenient
    from pages.ui.presets import PRESETS

    for _, options in PRESETS.values():
        config, notes = lenient({name: str(value).split() for name, value in options.items()})
        assert not notes and refusal(config, Limits()) is None


def test_long_recipes_of_papers_are_refused_by_their_epochs():
    long = [name for name, recipe in RECIPES.items() if recipe.epochs > 100]
    assert long
    for name in long:
        recipe = replace(RECIPES[name], augment="none")
        assert refusal(Pair(recipe=recipe)).option == "epochs"


def test_a_data_set_that_must_be_fetched_is_not_offered(monkeypatch, tmp_path):
    monkeypatch.setenv("LMC_DATA", str(tmp_path))
    assert Limits().allowed_datasets() == ["digits", "moons", "spirals"]
    error = refusal(Pair(dataset="mnist"), Limits())
    assert error.right == "in this classroom choose one of: digits, moons, spirals"


def test_loaded_networks_are_counted_and_not_trained():
    ids = tuple(f"{i:016x}" for i in range(7))
    assert refusal(Pair(load=ids)).option == "load"
    assert refusal(Pair(load=ids[:6])) is None


def test_the_sentence_of_a_long_run_names_the_time():
    assert "at most 180 s" in Limits().too_long


def test_importing_loads_no_torch():
    call = "import sys, lmc.limits; assert 'torch' not in sys.modules and 'streamlit' not in sys.modules"
    subprocess.run([sys.executable, "-c", call], check=True)
