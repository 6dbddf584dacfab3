"""Sinkhorn matching: the iterations written out, assignments at low temperature, planted permutations, brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from lmc import Stopped
from lmc.matching import Task, no_matching, random_matching, sinkhorn, weight_matching
from lmc.matching.assignment import assign, assign_together
from lmc.matching.judge import Judge
from lmc.matching.sinkhorn import LOSSES, Scores, doubly_stochastic, softly_permuted
from lmc.permutation import apply_permutation, identity, invert, random_permutation, validate
from lmc.simplex import centroid
from lmc.symmetry import max_logit_difference, trace
from lmc.symmetry.check import TOLERANCE
from models import get_model
from tests.matching.tasks import labelled, misleading

SHAPE = (3, 16, 16)


def held(task, permutation):
    judge = Judge(task.traced, task.inputs, task.labels)
    return judge.held([task.a, apply_permutation(task.spec, permutation, task.b)], centroid(2))


def distance(task, permutation):
    moved = apply_permutation(task.spec, permutation, task.b)
    return sum(float((task.a[n].double() - moved[n].double()).square().sum()) for n in moved if n != "head.bias")


@pytest.fixture(scope="module")
def narrow(family):
    networks = family(8)
    return labelled(networks, *networks.trained((0, 1), epochs=30))


KINDS = [("mlp", "none", 12), ("cnn", "batch", 8), ("resnet", "group", 8), ("vit", "layer", 16)]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0])
def kind(request):
    """A model and a task of two, on images without meaning."""
    name, norm, width = request.param
    models = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = get_model(
            name, input_shape=SHAPE, classes=4, width=width, norm=norm, **({"depth": 8} if name == "resnet" else {})
        ).double()
        for parameter in model.parameters():
            parameter.requires_grad_(False).add_(0.1 * torch.randn_like(parameter))
        models.append(model)
    images = torch.randn(64, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    states = [{name: tensor.clone() for name, tensor in model.state_dict().items()} for model in models]
    return models[0], Task(trace(models[0], images[:2]), *states, images, torch.arange(64) % 4)


# Soft permutations


def test_the_iterations_are_those_of_sinkhorn():
    scores = np.random.default_rng(0).normal(size=(6, 6))
    expected = np.exp(scores / 0.7)
    for _ in range(20):
        expected /= expected.sum(1, keepdims=True)
        expected /= expected.sum(0, keepdims=True)
    found = doubly_stochastic(torch.tensor(scores), 0.7)
    assert found.numpy() == pytest.approx(expected, rel=1e-12)
    assert found.sum(1).numpy() == pytest.approx(np.ones(6), abs=1e-6)


@pytest.mark.parametrize("units", [5, 40])
def test_at_low_temperature_they_tend_to_the_assignment(units):
    scores = torch.randn(3, units, units, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    goals = torch.stack([torch.eye(units, dtype=torch.float64)[assign(table)[0]] for table in scores])
    soft = [doubly_stochastic(scores, temperature, 3000) for temperature in (1, 0.1, 0.02, 0.004)]
    away = [float((matrices - goals).abs().max()) for matrices in soft]
    assert all(later < earlier for earlier, later in itertools.pairwise(away))
    assert away[-1] < (0.01 if units == 5 else 0.1) < 0.3 < away[0]
    orders = [assign(table)[0] for table in soft[-1]]
    assert torch.equal(torch.stack([torch.eye(units, dtype=torch.float64)[order] for order in orders]), goals)
    assert torch.isfinite(doubly_stochastic(scores, 1e-6)).all(), "log space neither overflows nor divides by zero"


def test_at_permutations_soft_is_hard(kind):
    _, task = kind
    for seed in range(3):
        drawn = random_permutation(task.spec, torch.Generator().manual_seed(seed))
        soft = {g: torch.eye(len(order), dtype=torch.float64)[order] for g, order in drawn.items()}
        own = {name: task.b[name] for name in task.spec.parameters}
        hard = apply_permutation(task.spec, drawn, own)
        assert all(torch.allclose(t, hard[n], atol=1e-12) for n, t in softly_permuted(task.spec, soft, own).items())


def test_units_stay_in_their_blocks_softly(kind):
    """Soft permutations of all groups are doubly stochastic; a block's units share its place as the blocks do."""
    _, task = kind
    scores = Scores(task.spec, task.a[task.spec.parameters[0]])
    draws = torch.Generator().manual_seed(0)
    for values in scores.values.values():
        values.data.copy_(torch.randn(values.shape, dtype=values.dtype, generator=draws))
    soft = {name: matrix.detach() for name, matrix in scores.soft(0.5).items()}
    for name, matrix in soft.items():
        assert matrix.shape == (task.spec.groups[name],) * 2
        assert float(matrix.min()) >= 0 and torch.allclose(matrix.sum(0), torch.ones(len(matrix)).double())
        assert torch.allclose(matrix.sum(1), torch.ones(len(matrix)).double(), atol=1e-2)
    for name, blocks in task.spec.blocks.items():
        count = task.spec.groups[blocks]
        together = soft[name].unflatten(0, (count, -1)).unflatten(2, (count, -1)).sum((1, 3))
        assert torch.allclose(together / together.sum(0), soft[blocks], atol=1e-12)
    sharp = {name: matrix.detach() for name, matrix in scores.soft(0.001).items()}
    for groups in task.spec.together():
        orders, _ = assign_together(task.spec, groups, sharp)
        validate(task.spec, {**identity(task.spec), **orders})


def test_softly_permuted_is_differentiated_rightly(family):
    networks = family(3, depth=2, dtype=torch.float64)
    own = {name: tensor for name, tensor in networks.start(0).items() if name != "head.bias"}

    def of(*matrices):
        soft = dict(zip(networks.spec.groups, matrices, strict=True))
        return tuple(softly_permuted(networks.spec, soft, own).values())

    drawn = torch.rand(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(of, tuple(drawn.unbind()))


# Planted permutations


@pytest.mark.parametrize("loss", ["l2", "midpoint"])
def test_recovers_what_was_planted(family, loss):
    networks = family(12, dtype=torch.float64)
    for seed, a in enumerate(networks.trained((0, 1, 2), epochs=10)):
        planted, b = networks.permute(seed, a)
        task = labelled(networks, a, b)
        match = sinkhorn(task, loss=loss, steps=200)
        if loss == "l2":
            assert distance(task, match.permutation) <= 1e-9 < distance(task, identity(task.spec)), f"seed {seed}"
        else:
            goal, start = held(task, invert(planted)), held(task, identity(task.spec))
            assert match.history[-1] < goal + 0.1 * (start - goal), f"seed {seed}"


def test_finds_what_weights_hide():
    for task, planted in misleading(3):
        goal, misled = held(task, invert(planted)), held(task, weight_matching(task).permutation)
        match = sinkhorn(task)
        assert misled > goal + 0.1 and match.history[-1] < (goal + misled) / 2


# Brute force


@pytest.mark.parametrize("loss", ["l2", "midpoint"])
def test_never_beats_brute_force_and_comes_close_to_it(family, loss):
    orders = [torch.tensor(p) for p in itertools.permutations(range(3))]
    networks = family(3, depth=2)
    places = []
    for seeds in ((0, 1), (2, 3), (4, 5)):
        task = labelled(networks, *networks.trained(seeds, epochs=5))
        choices = [dict(zip(task.spec.groups, both, strict=True)) for both in itertools.product(orders, repeat=2)]
        every = sorted((held if loss == "midpoint" else distance)(task, choice) for choice in choices)
        found = sinkhorn(task, loss=loss, steps=100).history[-1]
        assert len(every) == 36 and found >= every[0] - 1e-6
        places.append(int(np.searchsorted(every, found - 1e-6)))
    assert min(places) == 0 and np.mean(places) <= 4


# What every match keeps


@pytest.mark.parametrize("loss", LOSSES)
def test_never_worse_than_its_start(narrow, loss):
    match = sinkhorn(narrow, loss=loss, steps=45)
    validate(narrow.spec, match.permutation)
    assert len(match.history) == 46
    assert all(later <= earlier for earlier, later in itertools.pairwise(match.history))
    assert match.history[-1] < match.history[0]
    assert match.objective == narrow.objective(match.permutation)
    if loss == "l2":
        assert match.history[0] == pytest.approx(distance(narrow, identity(narrow.spec)), rel=1e-6)
        assert match.history[-1] == pytest.approx(distance(narrow, match.permutation), rel=1e-6)
    if loss == "midpoint":
        assert match.history[0] == pytest.approx(held(narrow, identity(narrow.spec)), rel=1e-6)
        assert match.history[-1] == pytest.approx(held(narrow, match.permutation), rel=1e-6)
    none = sinkhorn(narrow, loss=loss, steps=0)
    assert none.history == match.history[:1] and none.objective == no_matching(narrow).objective


def test_every_loss_is_good_at_its_own(narrow):
    near, middle = (sinkhorn(narrow, loss=loss, steps=150) for loss in ("l2", "midpoint"))
    assert near.objective > middle.objective and near.objective > 0.9 * weight_matching(narrow).objective
    assert near.objective > max(random_matching(narrow, seed=s).objective for s in range(20))
    assert held(narrow, middle.permutation) < min(
        held(narrow, p) for p in (near.permutation, weight_matching(narrow).permutation)
    )


@pytest.mark.parametrize("loss", ["l2", "midpoint"])
def test_every_kind_of_network(kind, loss):
    """Blocks keep together, functions stay."""
    model, task = kind
    match = sinkhorn(task, loss=loss, steps=11)
    validate(task.spec, match.permutation)
    assert max_logit_difference(model, task.spec, match.permutation, task.b, inputs=task.inputs) <= TOLERANCE
    assert match.history[-1] <= match.history[0]
    if loss == "l2":
        assert match.objective > no_matching(task).objective


@pytest.mark.parametrize("loss", LOSSES)
def test_seeds_and_inputs(narrow, loss):
    before = {n: t.clone() for n, t in narrow.b.items()}
    drawn = torch.get_rng_state()
    first, second, other = (sinkhorn(narrow, loss=loss, seed=s, steps=30) for s in (1, 1, 2))
    assert all(torch.equal(first.permutation[g], second.permutation[g]) for g in first.permutation)
    assert first.history == second.history and (first.history == other.history) == (loss == "l2")
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(narrow.b[n], t) and not narrow.b[n].requires_grad for n, t in before.items())


def test_tells_how_far_it_is_and_can_be_stopped(narrow):
    heard = []
    sinkhorn(narrow, steps=5, report=lambda share, text: heard.append((share, text)))
    shares = [share for share, _ in heard]
    assert len(shares) == 5 and shares == sorted(shares) and shares[0] == 0 and shares[-1] < 1
    assert "step 3 of 5" in heard[2][1] and "loss" in heard[2][1]

    def stop(share, text):
        raise Stopped

    with pytest.raises(Stopped):
        sinkhorn(narrow, steps=5, report=stop)


def test_what_cannot_be_is_said(narrow):
    with pytest.raises(ValueError, match="'L1'.*l2, midpoint, random"):
        sinkhorn(narrow, loss="L1")
    without = Task(narrow.traced, narrow.a, narrow.b, narrow.inputs)
    with pytest.raises(ValueError, match="labels"):
        sinkhorn(without)
    assert sinkhorn(without, loss="l2", steps=10).objective


def test_networks_without_units_to_move_stay_as_they_are():
    model = nn.Linear(5, 3)
    task = Task(trace(model, torch.zeros(2, 5)), model.state_dict(), model.state_dict(), torch.zeros(2, 5))
    assert sinkhorn(task, loss="l2").permutation == {}
