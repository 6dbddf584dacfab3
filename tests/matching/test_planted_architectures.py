"""Weight matching finds what was planted in convolutional networks, residual networks and transformers."""

from __future__ import annotations

import pytest
import torch

from lmc.matching import Task, weight_matching
from lmc.permutation import apply_permutation, identity, invert, random_permutation
from lmc.symmetry import trace
from models import get_model

SHAPE = (3, 16, 16)
WIDTHS = {"cnn": 8, "vgg": 8, "resnet": 8, "vit": 16}
# Blocks and the units in them are one problem, so that norms with groups are no harder.
SEQUENTIAL = [(name, norm) for name in ("cnn", "vgg") for norm in ("none", "batch", "layer", "group")]
# Many layers share one stream: coordinate steps have local optima there.
OTHERS = [("vit", "layer")] + [("resnet", norm) for norm in ("none", "batch", "layer", "group")]


def network(name: str, norm: str, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return get_model(name, input_shape=SHAPE, classes=10, width=WIDTHS[name], norm=norm).double()


@pytest.fixture(scope="module")
def planted():
    """`planted(name, norm, seed)` gives the task of matching π(A) to A, π, and A."""
    traces = {}

    def make(name: str, norm: str, seed: int):
        model = network(name, norm, seed)
        if (name, norm) not in traces:
            traces[name, norm] = trace(model, torch.zeros(2, *SHAPE, dtype=torch.float64))
        traced, a = traces[name, norm], model.state_dict()
        permutation = random_permutation(traced.spec, torch.Generator().manual_seed(seed + 50))
        return Task(traced, a, apply_permutation(traced.spec, permutation, a), torch.zeros(2, *SHAPE)), permutation, a

    return make


@pytest.mark.parametrize(("name", "norm"), SEQUENTIAL)
def test_one_run_is_enough_without_shortcuts(planted, name: str, norm: str) -> None:
    for seed in range(5):
        task, permutation, a = planted(name, norm, seed)
        assert bool(task.spec.blocks) == (norm == "group")
        match = weight_matching(task, seed=seed)
        assert match.objective >= task.objective(invert(permutation)) - 1e-9
        found = apply_permutation(task.spec, match.permutation, task.b)
        assert all(torch.equal(tensor, a[entry]) for entry, tensor in found.items())


@pytest.mark.parametrize(("name", "norm"), OTHERS)
def test_twenty_restarts_are_enough_elsewhere(planted, name: str, norm: str) -> None:
    for seed in range(3):
        task, permutation, _ = planted(name, norm, seed)
        assert bool(task.spec.blocks) == (norm == "group" or name == "vit")
        goal = task.objective(invert(permutation))
        assert task.objective(identity(task.spec)) < 0.8 * goal, "there was something to find"
        found = (weight_matching(task, seed=seed, restarts=restarts).objective for restarts in (1, 4, 20))
        assert any(objective >= goal - 1e-9 for objective in found), f"seed {seed}"
