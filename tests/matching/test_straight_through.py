"""Straight-through matching: planted permutations, brute force, an estimator written out, and what it may not touch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from lmc import Stopped
from lmc.matching import ManyTask, Task, straight_through, straight_through_many, weight_matching
from lmc.matching.base import Course
from lmc.matching.judge import Judge
from lmc.matching.straight_through import RATE, Descent
from lmc.permutation import apply_permutation, compose, identity, invert, random_permutation, validate
from lmc.simplex import centroid, combine
from lmc.stacking import cross_entropy, unstack
from lmc.symmetry import max_logit_difference, trace
from lmc.symmetry.check import TOLERANCE
from models import get_model
from tests.matching.tasks import labelled, misleading

SHAPE = (3, 16, 16)
STEPS = 40
MIDDLE = centroid(2)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def equal(p, q):
    return p.keys() == q.keys() and all(torch.equal(p[g], q[g]) for g in p)


def held(task, permutation, weights=MIDDLE):
    judge = Judge(task.traced, task.inputs, task.labels)
    return judge.held([task.a, apply_permutation(task.spec, permutation, task.b)], weights)


@pytest.fixture(scope="module")
def narrow(family):
    networks = family(8)
    return labelled(networks, *networks.trained((0, 1), epochs=30))


@pytest.fixture(scope="module")
def three(family):
    networks = family(8)
    return ManyTask(networks.traced, networks.trained((0, 1, 2), 30), networks.data.train_x, networks.data.train_y)


@pytest.fixture(scope="module", params=[("cnn", "batch", 8), ("resnet", "group", 8), ("vit", "layer", 16)])
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


# The loss


def test_a_quarter_of_every_class_is_held_back(narrow):
    judge = Judge(narrow.traced, narrow.inputs, narrow.labels)
    both = torch.cat([judge._x, judge._held_x])
    assert len(both) == len(narrow.inputs) and torch.equal(
        both.flatten(1).double().sum(0), narrow.inputs[torch.cat([*_places(judge, narrow)])].flatten(1).double().sum(0)
    )
    shares = torch.bincount(judge._held_y) / torch.bincount(narrow.labels)
    assert shares.min() > 0.23 and shares.max() < 0.27
    assert set(judge._y[:50].tolist()) == set(range(10)), "classes are mixed"


def _places(judge, task):
    rows = {tuple(image.flatten().tolist()): i for i, image in enumerate(task.inputs)}
    return (torch.tensor([rows[tuple(i.flatten().tolist())] for i in images]) for images in (judge._x, judge._held_x))


def test_the_held_loss_is_that_of_the_model_itself(kind):
    """Written with the module: BatchNorm's statistics are those of what is not held back, in one batch."""
    model, task = kind
    judge = Judge(task.traced, task.inputs, task.labels)
    middle = unstack(combine([task.a, task.b], MIDDLE), 0)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(middle)
    norms = [module for module in model.modules() if isinstance(module, BATCH_NORMS)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        model(judge._x)
        expected = cross_entropy(model.eval()(judge._held_x), judge._held_y).mean()
    model.load_state_dict(state)
    assert judge.held([task.a, task.b], MIDDLE) == pytest.approx(float(expected), rel=1e-10)
    if norms:
        assert held(task, identity(task.spec)) != pytest.approx(
            float(cross_entropy(model(judge._held_x), judge._held_y).mean()), rel=1e-3
        )


def test_the_gradient_is_that_of_differences_and_changes_nothing(kind):
    _, task = kind
    judge = Judge(task.traced, task.inputs, task.labels)
    state = {name: tensor.clone() for name, tensor in task.a.items()}
    before = {name: tensor.clone() for name, tensor in state.items()}
    batch = judge.draw(torch.Generator().manual_seed(0))
    names = list(task.spec.parameters)
    gradients = judge.gradient(state, names, batch)
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())
    way = [torch.randn(g.shape, dtype=g.dtype, generator=torch.Generator().manual_seed(1)) for g in gradients]
    step = 1e-8  # few units of ReLU change sides
    ahead, behind = (
        _batch_loss(judge, {**state, **{n: state[n] + sign * step * w for n, w in zip(names, way, strict=True)}}, batch)
        for sign in (1, -1)
    )
    slope = sum(float((g * w).sum()) for g, w in zip(gradients, way, strict=True))
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-4)


def _batch_loss(judge, state, batch):
    """The loss with BatchNorm on the statistics of the batch."""
    model = judge.model
    model.load_state_dict(state)
    for module in model.eval().modules():
        module.train(isinstance(module, BATCH_NORMS))
    with torch.no_grad():
        loss = float(cross_entropy(model(batch[0]), batch[1]).mean())
    model.eval()
    return loss


def test_without_labels_it_says_so(narrow):
    with pytest.raises(ValueError, match="labels"):
        straight_through(Task(narrow.traced, narrow.a, narrow.b, narrow.inputs))


# The estimator


def test_a_step_is_the_estimator_written_out(family):
    """Autograd through θ̃ + (π(B) − θ̃) without a gradient of the bracket, with Adam on tensors at their scale."""
    networks = family(6, depth=2, dtype=torch.float64)
    task = labelled(networks, networks.start(0), networks.start(1))
    judge = Judge(task.traced, task.inputs, task.labels)
    start = weight_matching(task).permutation
    seen = []

    class Recorded(Descent):
        def _projected(self, place, point, draws):
            seen.append(point)
            return self.now[place]

    Recorded(judge, [task.a, task.b], [start], MIDDLE, Course()).run(
        lambda: MIDDLE[0], 3, torch.Generator().manual_seed(5), lambda *_: None
    )
    draws = torch.Generator().manual_seed(5)
    fixed = apply_permutation(task.spec, start, task.b)
    free = {name: task.a[name].clone().requires_grad_() for name in task.a}
    scale = {name: tensor.detach().square().mean().sqrt().item() for name, tensor in free.items()}
    optimizer = torch.optim.Adam([{"params": [free[n]], "lr": RATE * scale[n], "eps": 1e-8 / scale[n]} for n in free])
    model = networks.build().double()
    for point in seen:
        x, y = judge.draw(draws)
        through = {name: free[name] + (fixed[name] - free[name]).detach() for name in free}
        middle = {name: (task.a[name] + tensor) / 2 for name, tensor in through.items()}
        optimizer.zero_grad()
        cross_entropy(torch.func.functional_call(model, middle, (x,)), y).mean().backward()
        optimizer.step()
        assert all(torch.allclose(point[n], free[n].detach(), rtol=1e-9, atol=1e-12) for n in point)
    assert len(seen) == 3 and not torch.equal(seen[-1]["head.weight"], task.a["head.weight"])


def test_recovers_what_was_planted(family):
    networks = family(24, dtype=torch.float64)
    for seed, a in enumerate(networks.trained((0, 1, 2), epochs=3)):
        planted, b = networks.permute(seed, a)
        task = labelled(networks, a, b)
        match = straight_through(task, steps=10, seed=seed)
        moved = apply_permutation(task.spec, match.permutation, b)
        assert all(torch.allclose(moved[n], t, atol=1e-12) for n, t in a.items()), f"seed {seed}"
        assert match.history[-1] == pytest.approx(held(task, invert(planted)), rel=1e-9)


def test_finds_what_weights_hide():
    ratios = []
    for task, planted in misleading(4):
        goal, match = held(task, invert(planted)), straight_through(task)
        assert match.history[0] > goal + 0.1, "weights mislead"
        ratios.append((match.history[-1] - goal) / (match.history[0] - goal))
    assert np.mean(ratios) < 0.9 and sum(ratio < 1 for ratio in ratios) >= 3


# Brute force


def test_never_beats_brute_force_and_comes_closer_than_its_start(family):
    orders = [torch.tensor(p) for p in itertools.permutations(range(3))]
    networks = family(3, depth=2)
    starts, ends = [], []
    for seeds in ((0, 1), (2, 3), (4, 5), (6, 7)):
        task = labelled(networks, *networks.trained(seeds, epochs=5))
        choices = [dict(zip(task.spec.groups, both, strict=True)) for both in itertools.product(orders, repeat=2)]
        every = sorted(held(task, choice) for choice in choices)
        match = straight_through(task, steps=100)
        assert len(every) == 36 and match.history[-1] >= every[0] - 1e-7
        for found, loss in ((starts, match.history[0]), (ends, match.history[-1])):
            found.append(int(np.searchsorted(every, loss - 1e-7)))
    assert min(ends) == 0 and np.mean(ends) < 0.7 * np.mean(starts)


# What every match keeps


def test_never_worse_than_its_start_on_held_images(narrow):
    for seed in range(3):
        start = weight_matching(narrow, seed=seed, restarts=2).permutation
        match = straight_through(narrow, seed=seed, restarts=2, steps=STEPS)
        validate(narrow.spec, match.permutation)
        assert match.history[0] == pytest.approx(held(narrow, start), rel=1e-9)
        assert len(match.history) == STEPS + 1
        assert all(later <= earlier for earlier, later in itertools.pairwise(match.history))
        assert match.history[-1] == pytest.approx(held(narrow, match.permutation), rel=1e-9)
        assert match.objective == narrow.objective(match.permutation)
    none = straight_through(narrow, steps=0)
    assert equal(none.permutation, weight_matching(narrow).permutation) and len(none.history) == 1


def test_lower_than_weight_matching_on_narrow_networks(family):
    """As published (Git Re-Basin, section 4)."""
    networks = family(8)
    states = networks.trained(range(6), epochs=30)
    matches = [straight_through(labelled(networks, *states[k : k + 2]), steps=150) for k in (0, 2, 4)]
    assert np.mean([match.history[0] - match.history[-1] for match in matches]) > 0.03


def test_every_kind_of_network(kind):
    model, task = kind
    match = straight_through(task, steps=4)
    validate(task.spec, match.permutation)
    assert max_logit_difference(model, task.spec, match.permutation, task.b, inputs=task.inputs) <= TOLERANCE
    assert match.history[-1] == pytest.approx(held(task, match.permutation), rel=1e-9)


def test_seeds_and_inputs(narrow):
    before = {n: t.clone() for n, t in narrow.b.items()}
    drawn = torch.get_rng_state()
    first, second, other = (straight_through(narrow, seed=s, steps=STEPS) for s in (1, 1, 2))
    assert equal(first.permutation, second.permutation) and first.history == second.history != other.history
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(narrow.b[n], t) for n, t in before.items())


def test_tells_how_far_it_is_and_can_be_stopped(narrow):
    heard = []
    straight_through(narrow, steps=5, report=lambda share, text: heard.append((share, text)))
    assert all(share == 0 for share, text in heard if not text.startswith("step"))
    heard = [(share, text) for share, text in heard if text.startswith("step")]
    shares = [share for share, _ in heard]
    assert len(shares) == 5 and shares == sorted(shares) and shares[0] == 0 and shares[-1] < 1
    assert "step 3 of 5" in heard[2][1] and "loss" in heard[2][1]

    def stop(share, text):
        if share >= 0.4:
            raise Stopped

    with pytest.raises(Stopped):
        straight_through(narrow, steps=5, report=stop)


@pytest.mark.parametrize("shape", [(5,)])
def test_networks_without_units_to_move_stay_as_they_are(shape):
    model, images = nn.Linear(5, 3), torch.randn(40, *shape)
    task = Task(trace(model, images[:2]), model.state_dict(), model.state_dict(), images, torch.arange(40) % 3)
    assert straight_through(task).permutation == {}


# Several at once


def test_copies_of_one_network_are_aligned(family):
    networks = family(24, dtype=torch.float64)
    (state,) = networks.trained((0,), epochs=3)
    drawn = [random_permutation(networks.spec, torch.Generator().manual_seed(k)) for k in range(4)]
    states = [apply_permutation(networks.spec, p, state) for p in drawn]
    task = ManyTask(networks.traced, states, networks.data.train_x, networks.data.train_y)
    match = straight_through_many(task, steps=5)
    first, *others = task.permuted(match.permutations)
    assert all(torch.allclose(other[n], first[n], atol=1e-12) for other in others for n in first)


def test_several_are_never_worse_than_matched_to_the_first(three):
    match = straight_through_many(three, steps=STEPS, seed=3)
    assert len(match.permutations) == 3 and equal(match.permutations[0], identity(three.spec))
    for permutation in match.permutations:
        validate(three.spec, permutation)
    none = straight_through_many(three, steps=0, seed=3)
    for j in (1, 2):
        assert equal(none.permutations[j], weight_matching(three.pair(0, j), seed=3).permutation)
    assert match.history[0] == none.history[0] > match.history[-1]
    assert all(later <= earlier for earlier, later in itertools.pairwise(match.history))
    assert match.objective == three.objective(match.permutations)
    again = straight_through_many(three, steps=STEPS, seed=3)
    assert again.history == match.history and all(map(equal, again.permutations, match.permutations))
    between = compose(invert(match.permutations[1]), match.permutations[2])
    validate(three.spec, between)


def test_a_network_moves_by_its_weight_in_the_mixture(three):
    """With all weight on two networks the third has no gradient, and Adam does not move it."""
    judge = Judge(three.traced, three.inputs, three.labels)
    start = [weight_matching(three.pair(0, j)).permutation for j in (1, 2)]
    seen = []

    class Recorded(Descent):
        def _projected(self, place, point, draws):
            seen.append((place, point))
            return self.now[place]

    Recorded(judge, three.states, start, centroid(3), Course()).run(
        lambda: np.array([0.5, 0.5, 0.0]), 2, torch.Generator().manual_seed(0), lambda *_: None
    )
    for place, point in seen:
        away = max(float((point[n] - three.states[0][n]).abs().max()) for n in point)
        assert (away > 1e-3) if place == 0 else (away < 1e-6)


def test_several_can_be_stopped(three):
    def stop(share, text):
        raise Stopped

    with pytest.raises(Stopped):
        straight_through_many(three, steps=5, report=stop)
