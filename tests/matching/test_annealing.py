"""Simulated annealing: brute force, one swap at a time, what it may not touch, and networks of every kind."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

import lmc.matching.annealing as module
from lmc import Stopped
from lmc.matching.annealing import Chain, moves_of, simulated_annealing
from lmc.matching.base import Task
from lmc.matching.brute_force import brute_force, every_permutation
from lmc.matching.judge import Judge
from lmc.matching.weight import weight_matching
from lmc.permutation import apply_permutation, identity, invert, validate
from lmc.simplex import centroid, combine
from lmc.stacking import cross_entropy, unstack
from lmc.symmetry import max_logit_difference, trace
from lmc.symmetry.check import TOLERANCE
from models import get_model
from tests.matching.tasks import labelled, misleading

SHAPE = (3, 16, 16)
MIDDLE = centroid(2)


def equal(p, q):
    return p.keys() == q.keys() and all(torch.equal(p[g], q[g]) for g in p)


def held(task, permutation):
    judge = Judge(task.traced, task.inputs, task.labels)
    return judge.held([task.a, apply_permutation(task.spec, permutation, task.b)], MIDDLE)


def searched(task, permutation, images):
    """The loss at the midpoint, written with the module; BatchNorm normalises by the images."""
    middle = unstack(combine([task.a, apply_permutation(task.spec, permutation, task.b)], MIDDLE), 0)
    model = copy.deepcopy(task.traced.model).to(task.inputs.dtype)
    for norm in model.eval().modules():
        norm.train(isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.training)
    with torch.no_grad():
        loss = cross_entropy(functional_call(model, middle, (images[0],)), images[1]).mean()
    return float(loss)


def chain(task, seed=0, steps=200):
    return Chain(task, Judge(task.traced, task.inputs, task.labels), seed, steps)


def double(task):
    a, b = ({name: tensor.double() for name, tensor in state.items()} for state in (task.a, task.b))
    return Task(task.traced, a, b, task.inputs.double(), task.labels)


@pytest.fixture(scope="module")
def narrow(family):
    networks = family(8)
    return labelled(networks, *networks.trained((0, 1), epochs=30))


KINDS = {
    "mlp": ("mlp", {"width": 6, "norm": "batch"}),
    "cnn": ("cnn", {"width": 4, "norm": "batch"}),
    "resnet": ("resnet", {"width": 8, "norm": "group", "depth": 8}),
    "vit": ("vit", {"width": 16, "norm": "layer", "depth": 1}),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    """A model and a task of two, on images without meaning."""
    name, options = KINDS[request.param]
    models = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = get_model(name, input_shape=SHAPE, classes=4, **options).double()
        for parameter in model.parameters():
            parameter.requires_grad_(False).add_(0.1 * torch.randn_like(parameter))
        models.append(model)
    images = torch.randn(64, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    states = [{name: tensor.clone() for name, tensor in model.state_dict().items()} for model in models]
    return models[0], Task(trace(models[0], images[:2]), *states, images, torch.arange(64) % 4)


# Swaps


def test_swaps_are_permutations_of_one_swap(kind):
    """Numbers in a row after a swap are those that the permuted network has."""
    model, task = kind
    names = [name for name in task.spec.parameters if any(any(p.groups) for p in task.spec.pieces(name))]
    moves = moves_of(task.spec, names, torch.device("cpu"))
    assert {name for move in moves for name in move.groups} == set(task.spec.groups)
    for move in moves:
        for first, second in ((0.0, 0.0), (0.3, 0.7), (1 - 1e-12, 1 - 1e-12)):
            i, j = move.places(first, second)
            assert i != j and 0 <= min(i, j) and max(i, j) < move.count and i // move.block == j // move.block
            permutation = move.permuted(identity(task.spec), i, j)
            validate(task.spec, permutation)
            assert equal(move.permuted(permutation, i, j), identity(task.spec))
            moved = sum(int((order != torch.arange(len(order))).sum()) for order in permutation.values())
            assert moved == sum(2 * task.spec.groups[name] // move.count for name in move.groups)
            row = torch.cat([task.b[name].flatten() for name in names])
            move.swap(row, i, j)
            expected = apply_permutation(task.spec, permutation, task.b)
            assert torch.equal(row, torch.cat([expected[name].flatten() for name in names]))
    assert max_logit_difference(model, task.spec, permutation, task.b, inputs=task.inputs) <= TOLERANCE


def test_all_swaps_are_drawn_alike(family):
    spec = family(5).spec
    (move, *_) = moves_of(spec, ["layers.0.weight"], torch.device("cpu"))
    drawn = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)).tolist()
    counts = np.zeros((5, 5))
    for first, second in drawn:
        counts[move.places(first, second)] += 1
    assert counts.trace() == 0 and counts[~np.eye(5, dtype=bool)].min() > 150


# The chain


def test_the_loss_is_that_of_the_midpoint(kind):
    _, task = kind
    found = chain(task)
    for _ in found.run(0, 30):
        pass
    assert not equal(found.permutation, identity(task.spec))
    assert found.loss == pytest.approx(searched(task, found.permutation, found.images), rel=1e-9)


def test_swaps_are_accepted_as_metropolis_does(narrow):
    """Written out, one swap after another, each network permuted and each loss measured as a whole."""
    task = double(narrow)
    found, steps = chain(task, seed=3), 60
    for _ in found.run(0, steps):
        pass
    permutation, images = identity(task.spec), found.images
    loss = searched(task, permutation, images)
    changes = []
    for step in range(16):
        move, i, j = found._drawn(step)
        changes.append(abs(searched(task, move.permuted(permutation, i, j), images) - loss))
    accepted = 0
    for step in range(steps):
        temperature = np.mean(changes) * 0.5 * 0.004 ** (step / 199)
        move, i, j = found._drawn(step)
        trial = move.permuted(permutation, i, j)
        rise = searched(task, trial, images) - loss
        if float(found._rises[step]) >= rise / temperature:
            permutation, loss, accepted = trial, loss + rise, accepted + 1
    assert equal(found.permutation, permutation) and 5 < accepted < steps - 5
    assert np.exp(-found._rises.numpy()).mean() == pytest.approx(0.5, abs=0.1), "e^-x is uniform"


def test_how_many_are_tried_at_once_changes_nothing(narrow, monkeypatch):
    task = double(narrow)
    together = simulated_annealing(task, steps=300)
    monkeypatch.setattr(module, "MOST", 1)
    alone = simulated_annealing(task, steps=300)
    assert equal(together.permutation, alone.permutation)
    assert together.history == pytest.approx(alone.history, rel=1e-12)
    assert len(set(together.history)) > 2


# Brute force


def test_reaches_the_lowest_loss_there_is(family):
    reached = []
    for width, seeds in ((3, (0, 1)), (3, (2, 3)), (3, (4, 5)), (4, (0, 1))):
        networks = family(width, depth=2)
        task = labelled(networks, *networks.trained(seeds, epochs=10))
        images = chain(task).images
        best = brute_force(task, lambda p, task=task, images=images: -searched(task, p, images)).permutation
        match = simulated_annealing(task, steps=1000)
        reached.append(match.history[-1] <= held(task, best) + 1e-6)
        if width == 3:
            assert match.history[-1] >= min(held(task, p) for p in every_permutation(task.spec)) - 1e-6
    assert sum(reached) >= len(reached) - 1


def test_finds_what_weights_hide():
    ratios = []
    for task, planted in misleading(3):
        goal, misled = held(task, invert(planted)), held(task, weight_matching(task).permutation)
        match = simulated_annealing(task, steps=3000)
        assert misled > goal + 0.1
        ratios.append((match.history[-1] - goal) / (misled - goal))
    assert np.mean(ratios) < 0.5


# What every match keeps


def test_lower_than_the_start_and_than_weight_matching_on_narrow_networks(narrow):
    match = simulated_annealing(narrow, steps=2050)
    validate(narrow.spec, match.permutation)
    assert len(match.history) == 1 + 21
    assert all(later <= earlier for earlier, later in itertools.pairwise(match.history))
    assert match.history[0] == pytest.approx(held(narrow, identity(narrow.spec)), rel=1e-6)
    assert match.history[-1] == pytest.approx(held(narrow, match.permutation), rel=1e-6)
    assert match.history[-1] < 0.7 * match.history[0]
    assert match.history[-1] < held(narrow, weight_matching(narrow, restarts=5).permutation)
    assert match.objective == narrow.objective(match.permutation)


def test_never_worse_than_the_start(family):
    """Where there is nothing to gain, with a network and itself, it stays."""
    networks = family(8)
    (a,) = networks.trained((0,), epochs=30)
    task = labelled(networks, a, a)
    match = simulated_annealing(task, steps=200)
    assert match.history[-1] <= match.history[0] and held(task, match.permutation) <= held(task, identity(task.spec))
    few = [simulated_annealing(task, steps=steps) for steps in (0, 1)]
    assert [len(found.history) for found in few] == [1, 2] and equal(few[0].permutation, identity(task.spec))


def test_every_kind_of_network(kind):
    """Blocks keep together, functions stay."""
    model, task = kind
    match = simulated_annealing(task, steps=101)
    validate(task.spec, match.permutation)
    assert max_logit_difference(model, task.spec, match.permutation, task.b, inputs=task.inputs) <= TOLERANCE
    assert len(match.history) == 3 and match.history[-1] <= match.history[0]
    assert match.history[-1] == pytest.approx(held(task, match.permutation), rel=1e-9)


def test_groups_that_are_held_stay(narrow):
    traced = narrow.traced.holding(["layers.1"])
    match = simulated_annealing(Task(traced, narrow.a, narrow.b, narrow.inputs, narrow.labels), steps=300)
    assert match.permutation.keys() == {"layers.0", "layers.2"} and match.history[-1] < match.history[0]


def test_seeds_and_inputs(narrow):
    before = {n: t.clone() for n, t in narrow.b.items()}
    drawn = torch.get_rng_state()
    first = simulated_annealing(narrow, seed=1, steps=300)
    torch.manual_seed(5)
    second, other = (simulated_annealing(narrow, seed=s, steps=300) for s in (1, 2))
    torch.set_rng_state(drawn)
    assert equal(first.permutation, second.permutation)
    assert first.history == second.history != other.history
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(narrow.b[n], t) for n, t in before.items())


def test_tells_how_far_it_is_and_can_be_stopped(narrow):
    heard, seen = [], []
    match = simulated_annealing(
        narrow, steps=250, report=lambda share, text: heard.append((share, text)), watch=seen.append
    )
    shares = [share for share, _ in heard]
    assert len(shares) > 250 / module.MOST and shares == sorted(shares) and shares[0] == 0 and shares[-1] < 1
    assert "of 250" in heard[-1][1] and "loss" in heard[-1][1]
    assert seen == match.steps and len(seen) == 4

    def stop(share, text):
        if share > 0.3:
            raise Stopped

    with pytest.raises(Stopped):
        simulated_annealing(narrow, steps=250, report=stop)


def test_what_cannot_be_is_said(narrow):
    with pytest.raises(ValueError, match="labels"):
        simulated_annealing(Task(narrow.traced, narrow.a, narrow.b, narrow.inputs))


def test_networks_without_units_to_move_stay_as_they_are():
    model, images = nn.Linear(5, 3), torch.randn(40, 5)
    task = Task(trace(model, images[:2]), model.state_dict(), model.state_dict(), images, torch.arange(40) % 3)
    match = simulated_annealing(task, steps=20)
    assert match.permutation == {} and len(match.history) == 1
