"""Weight matching, tested on planted permutations, brute force and the definition of a fixed point."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from lmc.errors import Stopped
from lmc.matching import Task, ascent, assignment, no_matching, random_matching, weight, weight_matching
from lmc.matching.visits import Mode
from lmc.matching.weight import ascend
from lmc.permutation import agreement, apply_permutation, compose, identity, invert, random_permutation, validate
from lmc.seeds import generator
from lmc.symmetry import Group, PermutationSpec

SEEDS = range(20)


def equal(p, q):
    return p.keys() == q.keys() and all(torch.equal(p[g], q[g]) for g in p)


def gains(task, permutation):
    """What the best reordering of each group alone would gain, written for an MLP in float64 with NumPy."""
    a = {n: t.double().numpy() for n, t in task.a.items()}
    b = {n: t.double().numpy() for n, t in apply_permutation(task.spec, permutation, task.b).items()}
    layers = sorted({n.split(".")[1] for n in a if n.startswith("layers.")}, key=int)
    for i, layer in enumerate(layers):
        following = f"layers.{int(layer) + 1}.weight" if i + 1 < len(layers) else "head.weight"
        scores = a[f"layers.{layer}.weight"] @ b[f"layers.{layer}.weight"].T
        scores += np.outer(a[f"layers.{layer}.bias"], b[f"layers.{layer}.bias"])
        scores += a[following].T @ b[following]
        for kind in ("weight", "bias"):
            if f"norms.{layer}.{kind}" in a:
                scores += np.outer(a[f"norms.{layer}.{kind}"], b[f"norms.{layer}.{kind}"])
        rows, columns = linear_sum_assignment(scores, maximize=True)
        yield float(scores[rows, columns].sum() - np.trace(scores))


def norms(task):
    return sum(float(task.a[n].double().norm() * task.b[n].double().norm()) for n in task.a)


# Planted permutations


@pytest.mark.parametrize("width", [64, 128])
def test_recovers_what_was_planted_in_fresh_networks(family, width):
    networks = family(width)
    for seed in SEEDS:
        a = networks.start(seed)
        planted, b = networks.permute(seed + 100, a)
        task = networks.task(a, b)
        match = weight_matching(task, seed=seed)
        assert equal(match.permutation, invert(planted)), f"seed {seed}"
        assert match.objective >= task.objective(invert(planted)) - 1e-9
        assert all(torch.equal(t, a[n]) for n, t in apply_permutation(task.spec, match.permutation, b).items())


@pytest.mark.parametrize("options", [{}, {"norm": "layer"}, {"activation": "tanh"}], ids=["relu", "layer", "tanh"])
@pytest.mark.parametrize("width", [64, 128])
def test_recovers_what_was_planted_in_trained_networks(family, width, options):
    networks = family(width, **options)
    for a in networks.trained((0, 1, 2), epochs=5):
        for seed in range(7):
            planted, b = networks.permute(seed, a)
            task = networks.task(a, b)
            match = weight_matching(task, seed=seed)
            assert match.objective >= task.objective(invert(planted)) - 1e-6
            if equal(match.permutation, invert(planted)):
                continue
            # only units that are the same on both sides, as dead ones may be, can be told apart by no one
            moved = apply_permutation(task.spec, match.permutation, b)
            assert all(torch.allclose(t, a[n], atol=1e-6) for n, t in moved.items())


def test_the_planted_test_can_fail(family):
    networks = family(64)
    planted, _ = networks.permute(1, networks.start(0))
    match = weight_matching(networks.task(networks.start(0), networks.start(1)))
    assert not equal(match.permutation, invert(planted))


# The objective


@pytest.fixture(scope="module")
def pair(family):
    networks = family(48)
    return networks.task(*networks.trained((0, 1)))


def test_the_objective_is_the_inner_product_of_what_can_move(pair):
    _, b = None, apply_permutation(pair.spec, random_matching(pair, seed=3).permutation, pair.b)
    names = [n for n in pair.a if n != "head.bias"]
    expected = sum(float((pair.a[n].double() * b[n].double()).sum()) for n in names)
    assert random_matching(pair, seed=3).objective == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("restarts", [1, 5])
def test_history_never_falls_and_ends_at_the_objective(pair, restarts):
    match = weight_matching(pair, restarts=restarts)
    assert len(match.history) > 4
    assert all(later > earlier for earlier, later in itertools.pairwise(match.history))
    assert match.history[-1] == pytest.approx(pair.objective(match.permutation), rel=1e-6)
    assert match.objective == pair.objective(match.permutation)
    if restarts == 1:
        assert match.history[0] == pytest.approx(no_matching(pair).objective, rel=1e-12)
    validate(pair.spec, match.permutation)


def test_history_is_exact_in_float64(family):
    networks = family(24, dtype=torch.float64)
    task = networks.task(networks.start(0), networks.start(1))
    match = weight_matching(task)
    assert match.history[-1] == pytest.approx(match.objective, rel=1e-13)


def test_ends_where_no_group_alone_can_gain(pair, family):
    tasks = [pair]
    for options in ({}, {"norm": "layer"}, {"depth": 1}, {"depth": 5}, {"dtype": torch.float64}):
        networks = family(20, **options)
        tasks += [networks.task(networks.start(s), networks.start(s + 1)) for s in range(3)]
    for task in tasks:
        match = weight_matching(task, seed=2)
        eps = torch.finfo(task.a["head.weight"].dtype).eps
        assert max(gains(task, match.permutation)) <= 20 * eps * norms(task)
        assert max(gains(task, identity(task.spec))) > 1e-3 * norms(task), "the start was no fixed point"


def test_finds_its_optimum_again_from_there(pair):
    match = weight_matching(pair)
    again = weight_matching(
        type(pair)(pair.traced, pair.a, apply_permutation(pair.spec, match.permutation, pair.b), pair.inputs)
    )
    assert equal(again.permutation, identity(pair.spec)) and len(again.history) == 1


# Brute force


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(2, 4), seeds=st.tuples(st.integers(0, 999), st.integers(0, 999)))
def test_never_beats_brute_force_and_reaches_it_with_restarts(family, width, seeds):
    networks = family(width, depth=2, dtype=torch.float64)
    task = networks.task(networks.start(seeds[0]), networks.start(seeds[1]))
    orders = [torch.tensor(p) for p in itertools.permutations(range(width))]
    groups = list(task.spec.groups)
    best = max(task.objective(dict(zip(groups, choice, strict=True))) for choice in itertools.product(orders, repeat=2))
    once, often = weight_matching(task).objective, weight_matching(task, restarts=40).objective
    assert once <= best + 1e-9
    assert often == pytest.approx(best, abs=1e-9)


# Seeds and restarts


def test_the_same_seed_gives_the_same_match(pair):
    first, second = weight_matching(pair, seed=4, restarts=3), weight_matching(pair, seed=4, restarts=3)
    assert equal(first.permutation, second.permutation) and first.history == second.history
    others = {weight_matching(pair, seed=s).objective for s in range(6)}
    assert len(others) > 1, "the seed decides the order of groups"


def test_restarts_are_never_worse(pair):
    found = [weight_matching(pair, seed=1, restarts=r).objective for r in (1, 2, 4, 8, 16)]
    assert all(more >= fewer for fewer, more in itertools.pairwise(found))
    assert found[-1] > found[0]


def test_leaves_its_inputs_and_the_global_generators_alone(pair):
    before = {n: t.clone() for n, t in pair.b.items()}
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    weight_matching(pair, restarts=2)
    assert all(torch.equal(pair.b[n], t) for n, t in before.items())
    assert torch.equal(torch.get_rng_state(), torch_state) and (np.random.get_state()[1] == numpy_state).all()


# Controls


def test_none_moves_nothing_and_random_moves_at_random(pair):
    assert equal(no_matching(pair).permutation, identity(pair.spec))
    drawn = random_matching(pair, seed=1)
    validate(pair.spec, drawn.permutation)
    assert equal(drawn.permutation, random_matching(pair, seed=1).permutation)
    assert not equal(drawn.permutation, random_matching(pair, seed=2).permutation)
    assert not equal(drawn.permutation, identity(pair.spec))


def test_random_is_a_control(pair):
    """By symmetry a random order is no better than none, and both are far from a match."""
    found, start = weight_matching(pair).objective, no_matching(pair).objective
    drawn = np.array([random_matching(pair, seed=s).objective for s in range(40)])
    assert drawn.max() < start + 0.5 * (found - start)
    assert abs(drawn.mean() - start) < 5 * drawn.std()


def test_a_match_is_relative_to_the_order_of_b(pair):
    """Matching π(B) finds as good an alignment as matching B, from many starts."""
    pi = random_permutation(pair.spec, torch.Generator().manual_seed(0))
    shuffled = type(pair)(pair.traced, pair.a, apply_permutation(pair.spec, pi, pair.b), pair.inputs)
    match = weight_matching(shuffled, restarts=10)
    assert pair.objective(compose(match.permutation, pi)) == pytest.approx(match.objective, rel=1e-9)
    assert match.objective == pytest.approx(weight_matching(pair, restarts=10).objective, rel=0.02)


# Starts side by side


def test_starts_that_run_together_find_what_each_finds_alone(family):
    networks = family(12, dtype=torch.float64)
    task = networks.task(networks.start(0), networks.start(1))
    alone = []
    for k in range(6):  # five go in the order of the first of them
        draws = {place: generator("weight_matching", 3, place) for place in (k, k // weight.COHORT * weight.COHORT)}
        begins = {p: random_permutation(task.spec, draw) if p else identity(task.spec) for p, draw in draws.items()}
        alone.append(ascend(task, begins[k], draws[k // weight.COHORT * weight.COHORT]))
    for count in (1, 2, 6):
        together = weight_matching(task, seed=3, restarts=count)
        best = max(alone[:count], key=task.objective)
        assert equal(together.permutation, best) and together.objective == task.objective(best)
    assert len(set(map(task.objective, alone))) > 1


# Large groups: similarities are updated, and assignments look for likely partners first


@pytest.fixture
def counted_as_large(monkeypatch):
    monkeypatch.setattr(ascent, "LARGE", 16)
    monkeypatch.setattr(assignment, "LIKELY", 12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("restarts", [1, 6])
def test_large_groups_end_where_dense_sweeps_gain_nothing(family, counted_as_large, dtype, restarts):
    networks, reached, plain = family(40, dtype=dtype), [], []
    for seed in range(5):
        task = networks.task(networks.start(2 * seed), networks.start(2 * seed + 1))
        match = weight_matching(task, restarts=restarts)
        validate(task.spec, match.permutation)
        assert max(gains(task, match.permutation)) <= 8 * torch.finfo(dtype).eps * norms(task)
        assert all(later > earlier for earlier, later in itertools.pairwise(match.history))
        assert match.history[-1] == pytest.approx(match.objective, rel=1e-6)
        reached.append(match.objective)
        with pytest.MonkeyPatch.context() as small:
            small.setattr(ascent, "LARGE", 1000)
            plain.append(weight_matching(task, restarts=restarts).objective)
    assert np.mean(reached) > 0.98 * np.mean(plain)


def test_large_groups_recover_what_was_planted(family, counted_as_large):
    networks = family(40)
    for seed in range(5):
        a = networks.start(seed)
        planted, b = networks.permute(seed + 100, a)
        task = networks.task(a, b)
        assert equal(weight_matching(task, seed=seed).permutation, invert(planted))


def test_without_lap_scipy_finds_as_much(family, counted_as_large, monkeypatch):
    networks = family(40)
    task = networks.task(networks.start(0), networks.start(1))
    before = weight_matching(task).objective
    monkeypatch.setattr(assignment, "lapjvh", None)
    monkeypatch.setattr(assignment, "lapmod", None)
    match = weight_matching(task)
    assert match.objective > 0.8 * before
    assert max(gains(task, match.permutation)) <= 8 * torch.finfo(torch.float32).eps * norms(task)


# Kernels, orders, warm starts, progress


def test_cosine_is_the_inner_product_of_units_of_length_one(family):
    """Every tensor once for each axis along which units lie, written out with NumPy; it never falls."""
    networks = family(10, depth=2, dtype=torch.float64)
    task = networks.task(*networks.trained((0, 1)))
    match = weight_matching(task, kernel="cosine", seed=1)
    a = {n: t.numpy() for n, t in task.a.items()}
    b = {n: t.numpy() for n, t in apply_permutation(task.spec, match.permutation, task.b).items()}

    def cosines(x, y):
        return float(((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)).sum())

    expected = 0.0
    for name, axes in (("layers.0", [0]), ("layers.1", [0, 1]), ("head", [1])):
        for axis in axes:
            expected += cosines(np.moveaxis(a[f"{name}.weight"], axis, 0), np.moveaxis(b[f"{name}.weight"], axis, 0))
        if axes[0] == 0:
            expected += float(np.sign(a[f"{name}.bias"] * b[f"{name}.bias"]).sum())
    assert match.history[-1] == pytest.approx(expected, rel=1e-10)
    assert all(later > earlier for earlier, later in itertools.pairwise(match.history))
    assert match.objective == task.objective(match.permutation)
    scaled = {n: 3.0 * t for n, t in task.b.items()}
    again = weight_matching(type(task)(task.traced, task.a, scaled, task.inputs), kernel="cosine", seed=1)
    assert equal(again.permutation, match.permutation)


def test_cosine_does_not_let_large_units_decide(family):
    """A planted permutation stays found when each unit of B has a scale of its own, which ReLU passes on."""
    networks = family(32, dtype=torch.float64)
    found = {"dot": 0, "cosine": 0}
    for seed in range(5):
        a = networks.start(seed)
        scaled = dict(a)
        draws = torch.Generator().manual_seed(seed)
        for layer, following in (("layers.0", "layers.1"), ("layers.1", "layers.2")):
            scale = torch.exp(1.5 * torch.randn(32, generator=draws, dtype=torch.float64))
            scaled[f"{layer}.weight"] = scaled[f"{layer}.weight"] * scale[:, None]
            scaled[f"{layer}.bias"] = scaled[f"{layer}.bias"] * scale
            scaled[f"{following}.weight"] = scaled[f"{following}.weight"] / scale
        planted, b = networks.permute(seed, scaled)
        task = networks.task(a, b)
        for kernel in found:
            match = weight_matching(task, kernel=kernel)
            agreed = agreement(match.permutation, invert(planted))
            found[kernel] += agreed / 5
    assert found["cosine"] > 0.95 > found["dot"] + 0.1


@pytest.mark.parametrize("order", ["forward", "backward"])
def test_groups_come_in_the_order_of_the_network_or_its_reverse(pair, order):
    match = weight_matching(pair, order=order)
    groups = list(pair.spec.groups)
    first = [step.group for step in match.steps[1:4]]
    assert first == (groups if order == "forward" else groups[::-1])
    assert match.steps[0].group is None and {step.group for step in match.steps[1:]} <= set(groups)
    assert match.history == weight_matching(pair, order=order, seed=5).history, "no draws"


def test_steps_tell_what_each_group_gained_and_when(pair):
    seen = []
    match = weight_matching(pair, watch=seen.append)
    assert seen == match.steps and len(seen) > 4
    assert all(earlier.seconds <= later.seconds for earlier, later in itertools.pairwise(seen))


def test_starts_where_it_is_told_to(pair):
    match = weight_matching(pair)
    warm = weight_matching(pair, start=match.permutation)
    assert equal(warm.permutation, match.permutation) and len(warm.history) == 1
    drawn = random_matching(pair, seed=1).permutation
    assert weight_matching(pair, start=drawn).history[0] == pytest.approx(pair.objective(drawn), rel=1e-12)


def test_reports_and_can_be_stopped(pair):
    shares = []
    weight_matching(pair, restarts=3, report=lambda share, text: shares.append(share))
    assert shares and all(0 <= share <= 1 for share in shares)

    def stop(share, text):
        raise Stopped

    with pytest.raises(Stopped):
        weight_matching(pair, report=stop)


def test_many_large_starts_report_and_can_be_stopped(family, counted_as_large):
    networks = family(40)
    task = networks.task(networks.start(0), networks.start(1))
    shares = []
    weight_matching(task, restarts=6, report=lambda share, text: shares.append(share))
    assert shares == sorted(shares) and 0 < shares[-1] <= 1
    threads = torch.get_num_threads()

    def stop(share, text):
        raise Stopped

    with pytest.raises(Stopped):
        weight_matching(task, restarts=6, report=stop)
    assert torch.get_num_threads() == threads


def test_starts_that_come_to_the_same_end_are_finished_once(family, counted_as_large, monkeypatch):
    networks, finished = family(40), []
    a = networks.start(0)
    _, b = networks.permute(1, a)
    run = ascent.Ascent.run

    def counted(self, climbs, ranks, report, *, mode=Mode.WHOLE):
        finished.extend(climbs if mode is Mode.EXACT else ())
        run(self, climbs, ranks, report, mode=mode)

    monkeypatch.setattr(ascent.Ascent, "run", counted)
    weight_matching(networks.task(a, b), restarts=6)
    assert len(finished) == 1


@pytest.mark.parametrize("options", [{"kernel": "linear"}, {"order": "sideways"}])
def test_refuses_what_it_does_not_know(pair, options):
    with pytest.raises(ValueError, match="choose one of"):
        weight_matching(pair, **options)


# Partial matching: groups that keep their order


@pytest.mark.parametrize("held", [["layers.0"], ["layers.1"], ["layers.0", "layers.2"]])
def test_groups_that_are_held_keep_their_order(family, held):
    networks = family(16, dtype=torch.float64)
    a = networks.start(0)
    planted, _ = networks.permute(1, a)
    kept = {g: order if g not in held else torch.arange(16) for g, order in planted.items()}
    task = networks.task(a, apply_permutation(networks.spec, kept, a))
    partial = type(task)(networks.traced.holding(held), task.a, task.b, task.inputs)
    match = weight_matching(partial, restarts=20)
    assert not set(match.permutation) & set(held)
    moved = apply_permutation(networks.spec, match.permutation, task.b)
    assert all(torch.equal(moved[n], t) for n, t in a.items())
    assert partial.objective(match.permutation) <= networks.task(a, task.b).objective(match.permutation)
    with pytest.raises(KeyError):
        networks.traced.holding(["layers.9"])


def test_a_group_that_no_parameter_has_stays(family):
    """Its units are in a buffer alone, so there is nothing to match them by."""
    networks = family(6)
    spec = networks.spec
    axes = {**spec.axes, "seen": (Group("buffer", 3),)}
    more = PermutationSpec({**spec.groups, "buffer": 3}, axes, spec.parameters)
    states = [{**networks.start(seed), "seen": torch.arange(3.0)} for seed in (0, 1)]
    traced = dataclasses.replace(networks.traced, spec=more)
    match = weight_matching(Task(traced, *states, networks.data.train_x), restarts=3)
    validate(more, match.permutation)
    assert match.objective >= weight_matching(networks.task(networks.start(0), networks.start(1))).objective - 1e-6
