"""The networks that ship with the project are what their config says, and so are their results.

Between kinds of processors sums are rounded differently, and training amplifies that; so retrained networks may
differ: by 0.03 in test error and by 0.2 in a single pair's barrier without a permutation, 0.1 with one.
"""

import json
import shutil

import pytest

import lmc
from lmc import Pair, Pruning, Store, Trajectory, Triple, make_recipe
from lmc.experiments import INSTANT
from lmc.store import SHIPPED

CONFIGS = [Pair(seeds=seeds, method=INSTANT) for seeds in ((0, 1), (0, 2), (1, 2), (0, 1, 2))]
TRIPLE, TRAJECTORY, PRUNING = Triple(), Trajectory(), Pruning()
PRESETS = [Pair(dataset="moons", method=INSTANT), Pair(arch="cnn", recipe=make_recipe(epochs=20), method=INSTANT)]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("empty"))


def test_small_networks_are_shipped_with_the_config_that_made_them():
    stored = {path.parent.name: json.loads(path.read_text()) for path in SHIPPED.glob("networks/*/network.json")}
    made = [network for config in (CONFIGS[-1], *PRESETS) for network in config.networks()]
    assert {network.id: network.to_json() for network in made} == {id: about["config"] for id, about in stored.items()}
    assert sum(path.stat().st_size for path in SHIPPED.glob("networks/*/*.safetensors")) < 700_000


@pytest.mark.parametrize(
    "config",
    [*CONFIGS, *PRESETS, TRIPLE, TRAJECTORY],
    ids=lambda c: "-".join((c.name, c.dataset, c.arch, *map(str, c.seeds))),
)
def test_results_follow_from_the_shipped_networks(shipped, tmp_path, monkeypatch, config):
    monkeypatch.setattr("lmc.training.train", None)
    for folder in ("networks",):
        shutil.copytree(SHIPPED / folder, tmp_path / folder)
    table = "alignment" if config is TRAJECTORY else "barriers"
    again = lmc.run(config, store=Store(tmp_path, shipped=None), device="cpu").frame(table)
    kept = shipped.load_result(config.id).frame(table)
    for column in ("loss_barrier", "loss_a", "loss_b"):
        if column in kept:
            assert again[column].to_numpy() == pytest.approx(kept[column].to_numpy(), abs=1e-4)
    for column in ("error_barrier", "error_a", "error_b"):
        if column in kept:
            assert again[column].to_numpy() == pytest.approx(kept[column].to_numpy(), abs=1.5 / 360)


def test_the_dense_networks_of_the_shipped_pruning_are_shipped(shipped):
    """Its levels are not: the result is there, and training them again takes half a minute."""
    levels = shipped.load_result(PRUNING.id).frame("levels")
    pair = shipped.load_result(CONFIGS[0].id).frame("barriers")
    dense = levels[(levels["level"] == 0) & (levels["permutation"] != "sparse")].merge(pair, on=["method", "split"])
    assert len(dense) == 4
    assert dense["loss_barrier_x"].to_numpy() == pytest.approx(dense["loss_barrier_y"].to_numpy(), abs=1e-4)


def test_the_presets_open_at_once(shipped):
    """They are what the page asks for when their buttons are pressed."""
    from pages.ui.presets import PRESETS as BUTTONS

    assert BUTTONS["See it"][1] == {"dataset": "moons"} and BUTTONS["Convolutions"][1] == {"arch": "cnn", "epochs": 20}
    assert all(shipped.load_result(config.id) for config in (*PRESETS, TRIPLE, TRAJECTORY, PRUNING))


def test_training_them_again_gives_the_same_accuracy_and_barriers(shipped, tmp_path):
    config = CONFIGS[-1]
    again = lmc.run(config, store=Store(tmp_path, shipped=None), device="cpu").frame("barriers")
    kept = shipped.load_result(config.id).frame("barriers")
    for column in ("error_a", "error_b"):
        assert again[column].to_numpy() == pytest.approx(kept[column].to_numpy(), abs=0.03)
    matched = kept["method"].isin(["weight", "activation"])
    assert again[matched]["error_barrier"].to_numpy() == pytest.approx(
        kept[matched]["error_barrier"].to_numpy(), abs=0.1
    )
    assert again[~matched]["error_barrier"].to_numpy() == pytest.approx(
        kept[~matched]["error_barrier"].to_numpy(), abs=0.2
    )
