"""The twin test, end to end: B begins as A in another order and sees the same batches, so it stays A in that order."""

import pytest
import torch

import lmc
from lmc import Pruning, Store, Trajectory, make_recipe
from lmc.experiments.trainer import twin_order
from lmc.experiments.work import Work
from lmc.permutation import apply_permutation
from lmc.pruning import mask_of, prunable

pytestmark = pytest.mark.slow
LEVELS = 5
RECIPES = {
    "adam": make_recipe(epochs=4),
    "adam-decay": make_recipe(epochs=4, weight_decay=1e-3),
    "sgd": make_recipe(epochs=4, optimizer="sgd"),
    "sgd-decay": make_recipe(epochs=4, optimizer="sgd", weight_decay=5e-4),
}
NETWORKS = {
    "mlp": {"width": 16},
    "mlp-layer": {"width": 12, "norm": "layer"},
    "cnn": {"arch": "cnn", "width": 4},
    "resnet": {"arch": "resnet", "width": 4, "depth": 8},
}
CASES = [*(("mlp", recipe) for recipe in RECIPES), ("mlp-layer", "adam"), ("cnn", "sgd-decay"), ("cnn", "adam")]


def config(cls, network, recipe, **changes):
    common = {"seeds": (0, 1), "groups": 1, "points": 5, "dtype": "float64", "control": "twin", "method": ("weight",)}
    return cls(**common, recipe=RECIPES[recipe], **NETWORKS[network], **changes)


@pytest.mark.parametrize(("network", "recipe"), [*CASES, ("resnet", "sgd-decay")])
def test_twins_stay_twins_through_training_and_pruning(network, recipe, tmp_path):
    store = Store(tmp_path, shipped=None)
    restarts = 20 if network == "resnet" else 1
    asked = config(Pruning, network, recipe, levels=LEVELS, rewind=1, restarts=restarts)
    result = lmc.run(asked, store=store, device="cpu")
    found = result.frame("levels")
    aligned = found[found["method"] != "none"]
    assert len(aligned) == 2 * 2 * (LEVELS + 1)
    assert aligned[["loss_barrier", "error_barrier"]].to_numpy().max() < 1e-9
    assert (aligned["agreement"] == 1).all() or network == "resnet"
    assert found[found["method"] == "none"]["loss_barrier"].min() > 1e-3, "it is no twin of itself"

    work = Work(store, torch.device("cpu"))
    a, b = asked.pair((0, 2))
    assert b.label == "π(0)"
    spec, order = work.traced(a).spec, twin_order(work, b)
    names = prunable(work.model(a), asked.last_layer)
    for level in range(LEVELS + 1):
        one, other = (asked.pruned(n) if level else n for n in (a, b))
        epoch = level or a.last_epoch
        states = work.checkpoints([one, other], [epoch])
        moved = apply_permutation(spec, order, states[one.id][epoch])
        assert max(float((moved[n] - t).abs().max()) for n, t in states[other.id][epoch].items()) < 1e-9
        masks = [mask_of(state, names) for state in (moved, states[other.id][epoch])]
        assert all(torch.equal(masks[0][name], masks[1][name]) for name in names)


@pytest.mark.parametrize(("network", "recipe"), [("mlp", "adam"), ("mlp", "sgd-decay"), ("cnn", "adam")])
def test_every_permutation_of_a_twin_aligns_every_epoch(network, recipe, tmp_path):
    asked = config(Trajectory, network, recipe, checkpoints=(0, 1, 2, 4))
    result = lmc.run(asked, store=Store(tmp_path, shipped=None), device="cpu")
    found = result.frame("alignment")
    aligned = found[found["method"] != "none"]
    assert len(aligned) == 4 * 4 * 2
    assert aligned[["loss_barrier", "error_barrier"]].to_numpy().max() < 1e-9
    assert (aligned["agreement"] == 1).all()
    assert result.metrics["stable_epoch.weight.fit.test"] == 0
    last = found[(found["method"] == "none") & (found["epoch"] == 4)]
    assert last["loss_barrier"].min() > 1e-3
