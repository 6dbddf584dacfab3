"""Narrow networks among wide ones: the same function, and partners for every unit."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call

from lmc.matching import Task, weight_matching
from lmc.matching.widening import widened
from lmc.permutation import apply_permutation
from lmc.symmetry import trace
from lmc.training import initial_state
from models import get_model

SHAPE = (3, 8, 8)
ARCHITECTURES = {
    "mlp": ({"depth": 2}, 4, 7),
    "cnn": ({"depth": 3, "norm": "batch"}, 2, 5),
    "resnet": ({"depth": 8, "norm": "batch"}, 2, 4),
}


def made(arch, width):
    options, *_ = ARCHITECTURES[arch]

    def build():
        return get_model(arch, input_shape=SHAPE, classes=5, width=width, **options).double()

    model = build().eval()
    return model, trace(model, torch.zeros(2, *SHAPE, dtype=torch.float64)), initial_state(build, width, torch.float64)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_computes_the_same_function(arch):
    _, few, many = ARCHITECTURES[arch]
    (small, narrow, state), (large, wide, _) = made(arch, few), made(arch, many)
    found = widened(narrow.spec, wide.spec, state)
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in large.state_dict().items()}
    x = torch.randn(5, *SHAPE, dtype=torch.float64)
    expected = functional_call(small, state, (x,))
    assert torch.allclose(functional_call(large, found, (x,)), expected, atol=1e-12)
    assert expected.abs().max() > 1e-3


def test_a_network_that_hides_in_a_wide_one_is_found(arch="mlp"):
    """Matched to the wide network, every unit of the narrow one finds itself."""
    (_, narrow, state), (_, wide, noise) = made(arch, 4), made(arch, 7)
    hidden = widened(narrow.spec, wide.spec, state)
    draws = torch.Generator().manual_seed(3)
    order = {group: torch.randperm(size, generator=draws) for group, size in wide.spec.groups.items()}
    a = {n: t + 0.01 * noise[n] for n, t in apply_permutation(wide.spec, order, hidden).items()}
    match = weight_matching(Task(wide, a, hidden, torch.zeros(2, *SHAPE, dtype=torch.float64)), restarts=20)
    moved = apply_permutation(wide.spec, match.permutation, hidden)
    assert all(torch.allclose(moved[n], t, atol=0.02) for n, t in a.items())


def test_an_equal_width_changes_nothing():
    _, traced, state = made("cnn", 2)
    assert all(torch.equal(t, state[n]) for n, t in widened(traced.spec, traced.spec, state).items())


def test_layer_norm_is_another_function():
    """Units share its statistics; whoever widens must compare."""
    options = {"input_shape": SHAPE, "classes": 5, "norm": "layer"}
    small, large = (get_model("mlp", width=width, **options).double() for width in (4, 7))
    x = torch.randn(3, *SHAPE, dtype=torch.float64)
    found = widened(trace(small, x).spec, trace(large, x).spec, small.state_dict())
    assert not torch.allclose(functional_call(large, found, (x,)), small(x), atol=1e-3)


def test_refuses_what_is_not_wider_or_of_another_kind():
    (_, few, state), (_, more, other) = made("mlp", 4), made("mlp", 7)
    with pytest.raises(ValueError, match="at least as wide"):
        widened(more.spec, few.spec, other)
    _, cnn, _ = made("cnn", 2)
    with pytest.raises(ValueError, match="one architecture"):
        widened(few.spec, cnn.spec, state)
