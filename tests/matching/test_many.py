"""Matching many at once: planted permutations, brute force, cycles, objectives that never fall."""

from __future__ import annotations

import itertools

import pytest
import torch
from numpy.polynomial import Polynomial

from lmc.matching import ManyTask, cycle_consistent, match_to_first, merge_many, weight_matching
from lmc.matching.cycle_consistent import _highest, relax, rounded, soft_start
from lmc.permutation import apply_permutation, compose, identity, invert, random_permutation, validate
from lmc.symmetry import max_logit_difference, trace
from lmc.symmetry.check import TOLERANCE
from models import get_model

SHAPE = (3, 16, 16)
KINDS = [("mlp", "none", 12), ("cnn", "group", 8), ("resnet", "batch", 8), ("vit", "layer", 16)]


def to_first(task, *, seed=0, restarts=1):
    return match_to_first(task, lambda pair: weight_matching(pair, seed=seed, restarts=restarts))


METHODS = pytest.mark.parametrize("method", [to_first, merge_many, cycle_consistent])
AT_ONCE = pytest.mark.parametrize("method", [merge_many, cycle_consistent])


def pairs(task, permutations):
    """Σ over pairs of ⟨π_i(θ_i), π_j(θ_j)⟩, written by way of the objective of two."""
    return sum(
        task.pair(i, j).objective(compose(invert(permutations[i]), permutations[j]))
        for i, j in itertools.combinations(range(len(permutations)), 2)
    )


def unmoved(task):
    return [identity(task.spec) for _ in task.states]


def never_falls(history):
    slack = 1e-12 * max(map(abs, history))
    return all(later >= earlier - slack for earlier, later in itertools.pairwise(history))


def copies(traced, state, count, seed, inputs):
    """Copies of one network under random permutations, and the objective of their perfect alignment."""
    drawn = [random_permutation(traced.spec, torch.Generator().manual_seed(100 * seed + k)) for k in range(count)]
    task = ManyTask(traced, [apply_permutation(traced.spec, p, state) for p in drawn], inputs)
    goal = ManyTask(traced, [state] * count, inputs)
    return task, goal.objective(unmoved(goal))


def aligned(task, match, goal):
    """Whether the permuted networks are one and the same."""
    first, *others = task.permuted(match.permutations)
    same = all(float((other[n] - first[n]).abs().max()) <= 1e-12 for other in others for n in first)
    return same and match.objective >= goal * (1 - 1e-9)


@pytest.fixture(scope="module")
def trained(family):
    networks = family(32)
    return ManyTask(networks.traced, networks.trained((0, 1, 2)), networks.data.train_x)


@pytest.fixture(scope="module")
def fresh(family):
    """`fresh(width, count, …)` is a task of networks at initialisation, in float64."""

    def make(width, count=3, first=0, **options):
        networks = family(width, dtype=torch.float64, **options)
        return ManyTask(networks.traced, [networks.start(first + k) for k in range(count)], networks.data.train_x[:4])

    return make


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0])
def kind(request):
    """A model of each kind and a task of three, whose vectors differ as after training."""
    name, norm, width = request.param
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        model = get_model(name, input_shape=SHAPE, classes=10, width=width, norm=norm).double()
        for parameter in model.parameters():
            parameter.requires_grad_(False).add_(0.1 * torch.randn_like(parameter))
        models.append(model)
    images = torch.randn(4, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    traced = trace(models[0], images[:2])
    return models[0], ManyTask(traced, [model.state_dict() for model in models], images)


# The task


def test_the_objective_is_that_of_all_pairs(fresh):
    task = fresh(10, count=4)
    drawn = [random_permutation(task.spec, torch.Generator().manual_seed(k)) for k in range(4)]
    assert task.objective(drawn) == pytest.approx(pairs(task, drawn), rel=1e-12)
    common = random_permutation(task.spec, torch.Generator().manual_seed(9))
    assert task.objective([compose(common, p) for p in drawn]) == pytest.approx(task.objective(drawn), rel=1e-12)
    assert task.objective(unmoved(task)) != pytest.approx(task.objective(drawn), rel=1e-3)


def test_one_network_is_none_to_match(fresh):
    with pytest.raises(ValueError, match="two or more"):
        fresh(10, count=1)


@METHODS
def test_networks_without_units_to_move_stay_as_they_are(method):
    model = torch.nn.Linear(5, 3)
    task = ManyTask(trace(model, torch.zeros(2, 5)), [model.state_dict()] * 3, torch.zeros(2, 5))
    match = method(task)
    assert match.permutations == [{}, {}, {}] and match.objective == 0


def test_matching_to_the_first_is_matching_each_pair(trained):
    match = to_first(trained, seed=3)
    for j in (1, 2):
        alone = weight_matching(trained.pair(0, j), seed=3).permutation
        assert all(torch.equal(match.permutations[j][g], alone[g]) for g in alone)
    assert match.objective == trained.objective(match.permutations)


# Planted permutations


@METHODS
@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("width", [16, 64])
def test_copies_of_one_network_are_aligned(fresh, width, count, method):
    for seed in range(6):
        one = fresh(width, count=2, first=seed)
        task, goal = copies(one.traced, one.states[0], count, seed, one.inputs)
        assert task.objective(unmoved(task)) < 0.8 * goal, "there was something to find"
        assert aligned(task, method(task), goal), f"seed {seed}"


@METHODS
def test_copies_of_a_trained_network_are_aligned_in_float32(trained, method):
    task, goal = copies(trained.traced, trained.states[0], 3, 5, trained.inputs)
    first, *others = task.permuted(method(task).permutations)
    assert method(task).objective >= goal * (1 - 1e-6)
    assert all(float((other[n] - first[n]).abs().max()) <= 1e-5 for other in others for n in first)


@METHODS
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_copies_of_a_residual_network_are_aligned_with_restarts(method, norm):
    torch.manual_seed(0)
    model = get_model("resnet", input_shape=SHAPE, classes=10, width=4, norm=norm).double()
    task, goal = copies(trace(model, torch.zeros(2, *SHAPE).double()), model.state_dict(), 3, 1, torch.zeros(2, *SHAPE))
    assert any(aligned(task, method(task, restarts=restarts), goal) for restarts in (1, 4, 20))


@METHODS
def test_copies_of_every_kind_are_aligned_with_restarts(kind, method):
    _, task = kind
    task, goal = copies(task.traced, task.states[0], 3, 2, task.inputs)
    assert any(aligned(task, method(task, restarts=restarts), goal) for restarts in (1, 4, 20))


@AT_ONCE
def test_the_order_of_a_network_s_units_plays_no_part_for_copies(fresh, method):
    one = fresh(24, count=2)
    task, goal = copies(one.traced, one.states[0], 3, 4, one.inputs)
    for place in range(3):
        shuffled = list(task.states)
        drawn = random_permutation(task.spec, torch.Generator().manual_seed(70 + place))
        shuffled[place] = apply_permutation(task.spec, drawn, task.states[place])
        assert method(ManyTask(task.traced, shuffled, task.inputs)).objective == pytest.approx(goal, rel=1e-9)


def test_the_order_of_units_plays_no_part_for_any_networks(fresh):
    """The first start of the cycle-consistent method knows no order, so it finds the same alignment in any."""
    task = fresh(16)
    drawn = [random_permutation(task.spec, torch.Generator().manual_seed(k)) for k in range(3)]
    shuffled = ManyTask(task.traced, task.permuted(drawn), task.inputs)
    assert cycle_consistent(shuffled).objective == pytest.approx(cycle_consistent(task).objective, rel=1e-9)


# Brute force


@AT_ONCE
def test_never_beats_brute_force_and_reaches_it_with_restarts(fresh, method):
    orders = [torch.tensor(p) for p in itertools.permutations(range(3))]
    for first in (0, 10, 20):
        task = fresh(3, depth=2, first=first)
        choices = [dict(zip(task.spec.groups, both, strict=True)) for both in itertools.product(orders, repeat=2)]
        best = max(task.objective([unmoved(task)[0], p, q]) for p, q in itertools.product(choices, repeat=2))
        assert len(choices) == 36
        once, often = method(task, seed=first), method(task, seed=first, restarts=20)
        assert once.objective <= best + 1e-9 and often.objective == pytest.approx(best, abs=1e-9)


# What every match keeps


@METHODS
def test_every_kind_of_network(kind, method):
    """A valid permutation for every network, the first the identity; cycles close; functions stay; history climbs."""
    model, task = kind
    match = method(task, seed=1)
    places = range(len(task.states))
    assert len(match.permutations) == 3
    assert all(torch.equal(order, torch.arange(len(order))) for order in match.permutations[0].values())
    for state, permutation in zip(task.states, match.permutations, strict=True):
        validate(task.spec, permutation)
        assert permutation.keys() == task.spec.groups.keys()
        assert max_logit_difference(model, task.spec, permutation, state, inputs=task.inputs) <= TOLERANCE
    between = {
        (i, j): compose(invert(match.permutations[i]), match.permutations[j])
        for i, j in itertools.product(places, repeat=2)
    }
    for i, j, k in itertools.product(places, repeat=3):
        through = compose(between[i, j], between[j, k])
        assert all(torch.equal(through[g], between[i, k][g]) for g in through)
        home = compose(between[i, j], compose(between[j, k], between[k, i]))
        assert all(torch.equal(order, torch.arange(len(order))) for order in home.values())
    assert match.objective == task.objective(match.permutations) > task.objective(unmoved(task))
    if method is not to_first:
        assert never_falls(match.history)
        assert match.history[-1] == pytest.approx(match.objective, rel=1e-12)


@AT_ONCE
def test_the_objective_never_falls(trained, method):
    for seed in range(3):
        match = method(trained, seed=seed)
        assert never_falls(match.history)
        assert match.history[-1] == pytest.approx(match.objective, rel=1e-12)
    assert merge_many(trained).history[0] == pytest.approx(trained.objective(unmoved(trained)), rel=1e-12)


@AT_ONCE
def test_ends_where_no_network_alone_can_gain(fresh, method):
    """No swap of two units of any group of any network gains anything."""
    task = fresh(8)
    match = method(task)
    for place, (group, units) in itertools.product(range(3), task.spec.groups.items()):
        for i, j in itertools.combinations(range(units), 2):
            swap = torch.arange(units)
            swap[[i, j]] = swap[[j, i]]
            trial = list(match.permutations)
            trial[place] = compose({group: swap}, trial[place])
            assert task.objective(trial) <= match.objective + 1e-9


def test_together_is_better_than_one_after_the_other(trained):
    separate, mean, cycle = (method(trained).objective for method in (to_first, merge_many, cycle_consistent))
    assert trained.objective(unmoved(trained)) < separate < mean < cycle


@pytest.mark.parametrize("restarts", [1, 3])
def test_two_networks_do_at_least_as_well_as_weight_matching(fresh, restarts):
    for first in range(6):
        task = fresh(16, count=2, first=first)
        alone = weight_matching(task.pair(0, 1), seed=first, restarts=restarts)
        one = weight_matching(task.pair(0, 1), seed=first)
        found = [merge_many(task, seed=first, restarts=count).objective for count in (1, restarts)]
        assert found[1] >= found[0] >= one.objective - 1e-9
        assert to_first(task, seed=first, restarts=restarts).objective == pytest.approx(alone.objective, rel=1e-12)


@AT_ONCE
def test_seeds_restarts_and_inputs(trained, method):
    before = [{n: t.clone() for n, t in state.items()} for state in trained.states]
    drawn = torch.get_rng_state()
    first, second = (method(trained, seed=4, restarts=2) for _ in range(2))
    assert first.history == second.history
    for p, q in zip(first.permutations, second.permutations, strict=True):
        assert all(torch.equal(p[g], q[g]) for g in p)
    found = [method(trained, seed=1, restarts=restarts).objective for restarts in (1, 2, 4, 8)]
    assert all(more >= fewer for fewer, more in itertools.pairwise(found)) and found[-1] > found[0]
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(s[n], b[n]) for s, b in zip(trained.states, before, strict=True) for n in b)


# Soft permutations


def soft_objective(task, soft):
    """The objective of an MLP without norms under soft permutations, written out layer by layer."""
    moved, groups = [], list(task.spec.groups)
    for place, state in enumerate(task.states):
        before, tensors = None, []
        for layer, group in enumerate(groups):
            matrix = soft[group][place]
            weight = matrix @ state[f"layers.{layer}.weight"]
            tensors += [weight if before is None else weight @ before.T, matrix @ state[f"layers.{layer}.bias"]]
            before = matrix
        moved.append([*tensors, state["head.weight"] @ before.T])
    return sum(float((a * b).sum()) for x, y in itertools.combinations(moved, 2) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("start", range(3))
def test_the_relaxation_climbs_through_soft_permutations(fresh, start):
    task = fresh(10)
    begin = soft_start(task, start, 0, start)
    soft, history = relax(task, begin, start)
    assert history[0] == pytest.approx(soft_objective(task, begin), abs=1e-9)
    assert history[-1] == pytest.approx(soft_objective(task, soft), rel=1e-10)
    assert len(history) > 3 and never_falls(history) and history[-1] > history[0] + 1
    for matrices in (*begin.values(), *soft.values()):
        assert float(matrices.min()) >= 0
        for axis in (1, 2):
            assert torch.allclose(matrices.sum(axis), torch.ones(3, 10, dtype=torch.float64), atol=1e-12)


def test_every_step_follows_the_objective_of_any_network(kind):
    """At permutations the soft objective is the hard one; it never falls, blocks or not."""
    _, task = kind
    soft, history = relax(task, soft_start(task, 1, 0, 0), 1)
    assert never_falls(history)
    found = rounded(task.spec, soft)
    hard = {g: torch.stack([torch.eye(len(p[g]), dtype=torch.float64)[p[g]] for p in found]) for g in task.spec.groups}
    assert relax(task, hard)[1][0] == pytest.approx(task.objective(found), rel=1e-10)


def test_rounding_loses_nothing_that_polishing_does_not_regain(trained):
    soft, _ = relax(trained, soft_start(trained, 0, 0, 0), 0)
    match = cycle_consistent(trained)
    assert match.history[0] == pytest.approx(trained.objective(rounded(trained.spec, soft)), rel=1e-12)
    assert match.objective >= match.history[0] * (1 - 1e-12)


@pytest.mark.parametrize(
    ("coefficients", "place"),
    [([0, 1, -1], 0.5), ([0, 1], 1.0), ([0, -1], 0.0), ([1], 0.0), ([0, -1, 2], 1.0), ([0, 0, 3, -4], 0.5)],
)
def test_the_line_search_is_exact(coefficients, place):
    line = Polynomial([float(c) for c in coefficients])
    assert _highest(line) == pytest.approx(place)
    assert line(_highest(line)) >= max(line(t / 1000) for t in range(1001)) - 1e-12
