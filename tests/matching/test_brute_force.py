"""Every permutation there is, and the methods against the best of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lmc.matching.base import Task
from lmc.matching.brute_force import brute_force, every_permutation
from lmc.matching.controls import no_matching
from lmc.matching.judge import Judge
from lmc.matching.sinkhorn import sinkhorn
from lmc.matching.straight_through import straight_through
from lmc.matching.weight import weight_matching
from lmc.permutation import apply_permutation, identity, validate
from lmc.simplex import centroid
from lmc.symmetry import Fixed, Group, PermutationSpec, max_logit_difference, trace
from lmc.symmetry.check import TOLERANCE
from tests.matching.tasks import labelled


def spec_of(groups, blocks):
    axes = {name: (Group(name, size), Fixed(2)) for name, size in groups.items()}
    return PermutationSpec(groups=groups, axes=axes, parameters=tuple(axes), blocks=blocks)


SPECS = [
    ({}, {}, 1),
    ({"one": 1}, {}, 1),
    ({"up": 4, "down": 3}, {}, 24 * 6),
    ({"up": 2, "middle": 3, "down": 2}, {}, 2 * 6 * 2),
    ({"heads": 2, "query": 4}, {"query": "heads"}, 2 * 2**2),
    ({"query": 6, "value": 4, "heads": 2, "up": 3}, {"query": "heads", "value": "heads"}, 2 * 6**2 * 2**2 * 6),
    ({"groups": 3, "channels": 6}, {"channels": "groups"}, 6 * 2**3),
]


@pytest.mark.parametrize(("groups", "blocks", "count"), SPECS)
def test_there_are_as_many_as_factorials_say(groups, blocks, count):
    spec = spec_of(groups, blocks)
    found = list(every_permutation(spec))
    assert len(found) == count
    assert len({tuple(tuple(p[g].tolist()) for g in groups) for p in found}) == count, "no two are the same"
    assert all(list(p) == list(groups) for p in found)
    assert all(torch.equal(found[0][g], order) for g, order in identity(spec).items())
    for permutation in found:
        validate(spec, permutation)


@pytest.fixture
def grouped():
    """A model with two groups of two channels, and a task of two such networks."""
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(5, 4), nn.GroupNorm(2, 4), nn.ReLU(), nn.Linear(4, 3)).double() for _ in "ab"]
    inputs = torch.randn(64, 5, dtype=torch.float64)
    return models[0], Task(trace(models[0], inputs[:2]), *(model.state_dict() for model in models), inputs)


def test_every_one_is_a_symmetry(grouped):
    model, task = grouped
    found = list(every_permutation(task.spec))
    assert len(found) == 2 * 2**2
    for permutation in found:
        assert max_logit_difference(model, task.spec, permutation, task.b, inputs=task.inputs) <= TOLERANCE


def test_the_best_of_blocks_is_what_weight_matching_finds(grouped):
    _, task = grouped
    best = brute_force(task)
    assert weight_matching(task, restarts=20).objective == pytest.approx(best.objective, abs=1e-9)
    assert best.objective == max(map(task.objective, every_permutation(task.spec)))
    assert best.objective > no_matching(task).objective


# The objective


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize("epochs", [0, 10])
def test_weight_matching_never_beats_it_and_reaches_it_with_restarts(family, width, epochs):
    networks = family(width, depth=2, dtype=torch.float64)
    states = networks.trained(range(4), epochs) if epochs else [networks.start(seed) for seed in range(4)]
    for a, b in ((0, 1), (2, 3)):
        task = networks.task(states[a], states[b])
        best = brute_force(task)
        assert best.objective == task.objective(best.permutation)
        assert all(weight_matching(task, seed=seed).objective <= best.objective + 1e-9 for seed in range(5))
        assert weight_matching(task, restarts=40).objective == pytest.approx(best.objective, abs=1e-9)


def test_finds_what_was_planted(family):
    networks = family(4, depth=2, dtype=torch.float64)
    (a,) = networks.trained((0,), epochs=10)
    _, b = networks.permute(1, a)
    assert not all(torch.equal(b[name], tensor) for name, tensor in a.items())
    moved = apply_permutation(networks.spec, brute_force(networks.task(a, b)).permutation, b)
    assert all(torch.equal(moved[name], tensor) for name, tensor in a.items())


# Other values


def test_no_method_beats_the_lowest_loss_there_is(family):
    networks = family(3, depth=2)
    task = labelled(networks, *networks.trained((0, 1), epochs=10))
    judge = Judge(task.traced, task.inputs, task.labels)

    def loss(permutation):
        return judge.held([task.a, apply_permutation(task.spec, permutation, task.b)], centroid(2))

    best = brute_force(task, lambda permutation: -loss(permutation))
    lowest = loss(best.permutation)
    assert lowest == min(map(loss, every_permutation(task.spec))) < loss(identity(task.spec))
    assert best.objective == task.objective(best.permutation) < brute_force(task).objective
    for method in (straight_through, sinkhorn):
        found = method(task, steps=50)
        assert lowest - 1e-6 <= loss(found.permutation) == pytest.approx(found.history[-1], rel=1e-6)


def test_the_first_of_equals_is_taken(family):
    networks = family(3, depth=2)
    found = brute_force(networks.task(networks.start(0), networks.start(1)), lambda permutation: 1.0)
    assert all(torch.equal(found.permutation[g], order) for g, order in identity(networks.spec).items())


def test_too_many_are_refused(family):
    networks = family(8)
    assert math.factorial(8) ** 3 > 200_000
    with pytest.raises(ValueError, match=r"layers.0 \(8\), layers.1 \(8\), layers.2 \(8\) have more than 200,000.*4"):
        brute_force(networks.task(networks.start(0), networks.start(1)))
    spec = spec_of({"heads": 4, "query": 16}, {"query": "heads"})  # 4! · 4!⁴
    with pytest.raises(ValueError, match="too many"):
        brute_force(Task(type("Traced", (), {"spec": spec}), {}, {}, torch.zeros(1)))
