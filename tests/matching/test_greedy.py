"""One greedy pass through the layers is not enough: weight matching goes back and forth (Git Re-Basin, A.7.2)."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.func import functional_call

from lmc.matching.assignment import assign
from lmc.matching.base import Task
from lmc.matching.brute_force import brute_force
from lmc.matching.weight import weight_matching
from lmc.permutation import apply_permutation, identity
from lmc.symmetry import trace

SLIGHT = 0.01  # what the units that nothing listens to differ by
X = torch.linspace(0, 2, 9, dtype=torch.float64)[:, None]


def network(depth: int, used: int) -> nn.Sequential:
    """x → x for x ≥ 0, in a chain of one unit a layer, the one in place `used`; nothing listens to the other.

    All units of the first layer take in nearly the same, whether they are used or not.
    """
    sizes = [1, *[2] * depth, 1]
    layers = [nn.Linear(before, after, bias=False) for before, after in itertools.pairwise(sizes)]
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1].double()
    first, *between, last = (layer.weight.requires_grad_(False) for layer in layers)
    first.copy_(torch.tensor([[1.0], [1.0 + SLIGHT]]))
    for weight in between:
        weight.zero_()
        weight[used, used] = 1.0
        weight[1 - used, 1 - used] = SLIGHT
    last.zero_()
    last[0, used] = 1 / first[used, 0]
    return model


def task_of(depth: int) -> tuple[nn.Module, Task]:
    a, b = network(depth, 0), network(depth, 1)
    return a, Task(trace(a, X[:2]), dict(a.state_dict()), dict(b.state_dict()), X)


def greedy(task: Task) -> dict[str, torch.Tensor]:
    """Every layer matched once, in order, by its incoming weights."""
    found = identity(task.spec)
    for k, group in enumerate(task.spec.groups):
        name = f"{2 * k}.weight"
        found[group] = assign(task.a[name] @ apply_permutation(task.spec, found, task.b)[name].T)[0]
    return found


def midpoint(model: nn.Module, task: Task, permutation: dict[str, torch.Tensor]) -> torch.Tensor:
    b = apply_permutation(task.spec, permutation, task.b)
    return functional_call(model, {name: (tensor + b[name]) / 2 for name, tensor in task.a.items()}, (X,))


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_both_networks_are_the_identity(depth: int) -> None:
    model, task = task_of(depth)
    assert list(task.spec.groups.values()) == [2] * depth
    for state in (task.a, task.b):
        assert torch.allclose(functional_call(model, state, (X,)), X, atol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_greedy_pass_halves_at_every_layer_but_the_first(depth: int) -> None:
    model, task = task_of(depth)
    found = greedy(task)
    assert all(torch.equal(order, torch.arange(2)) for order in found.values()), "near ties mislead it"
    assert torch.allclose(midpoint(model, task, found), 0.5 ** (depth - 1) * X, rtol=0.05)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_weight_matching_finds_the_chain(depth: int) -> None:
    """From whichever layer it starts: the last one tells it, and the news travels back."""
    model, task = task_of(depth)
    best = brute_force(task)
    for seed in range(5):
        match = weight_matching(task, seed=seed)
        assert torch.allclose(midpoint(model, task, match.permutation), X, atol=0.01)
        assert match.objective == pytest.approx(best.objective, rel=1e-12)
        assert match.objective > task.objective(greedy(task)) + 1
        assert torch.equal(torch.stack(list(match.permutation.values())), torch.tensor([[1, 0]] * depth))
