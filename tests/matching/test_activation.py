"""Activation matching: planted permutations, NumPy's correlation, dead units, batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

import lmc.matching.activation as module
from lmc.matching import Task, activation_matching, random_matching, unit_similarity
from lmc.permutation import apply_permutation, identity, invert, validate


def values(model, state, x):
    """Post-activation values of every hidden layer, read with hooks: group index → `[N, units]`."""
    model.load_state_dict(state)
    found, hook = [], None
    hook = model.activation.register_forward_hook(lambda m, i, out: found.append(out.detach().clone()))
    with torch.no_grad():
        model.eval()(x)
    hook.remove()
    return found


@pytest.fixture(scope="module")
def networks(family):
    return family(24)


@pytest.fixture(scope="module")
def task(networks):
    return networks.task(*networks.trained((0, 1)))


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("kernel", ["pearson", "dot"])
def test_recovers_what_was_planted(family, width, kernel):
    networks = family(width)
    states = [*networks.trained((0,), epochs=3), networks.start(1), networks.start(2)]
    for seed in range(20 if kernel == "pearson" else 5):
        a = states[seed % 3]
        planted, b = networks.permute(seed, a)
        task = networks.task(a, b)
        match = activation_matching(task, kernel=kernel)
        for group, similarity in task.correlation.items():
            order, truth = match.permutation[group], invert(planted)[group]
            rows = torch.arange(len(order))
            same = (order == truth) | (similarity[rows, order] >= similarity[rows, truth] - 1e-9)
            if kernel == "pearson":
                assert same.all() and (order == truth).float().mean() > 0.5, f"seed {seed}, {group}"
        if kernel == "dot":
            scores = unit_similarity(task, "dot")
            for group, matrix in scores.items():
                total = matrix[torch.arange(width), match.permutation[group]].sum()
                assert total >= matrix[torch.arange(width), invert(planted)[group]].sum() - 1e-6


def test_correlation_is_numpy_s(networks, task):
    model, x = networks.build(), networks.data.train_x
    of_a, of_b = values(model, task.a, x), values(model, task.b, x)
    assert len(task.correlation) == 3
    for (_, found), a, b in zip(task.correlation.items(), of_a, of_b, strict=True):
        units = a.shape[1]
        alive = (a.std(0) > 0)[:, None] & (b.std(0) > 0)[None]
        with np.errstate(invalid="ignore", divide="ignore"):
            expected = np.corrcoef(a.double().numpy().T, b.double().numpy().T)[:units, units:]
        assert found.dtype == torch.float64
        assert np.abs(found.numpy() - expected)[alive.numpy()].max() < 1e-5
        assert alive.float().mean() > 0.5


def test_dot_is_the_mean_product(networks, task):
    model, x = networks.build(), networks.data.train_x
    for a, b, found in zip(
        values(model, task.a, x), values(model, task.b, x), unit_similarity(task, "dot").values(), strict=True
    ):
        assert torch.allclose(found, a.double().T @ b.double() / len(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel", ["pearson", "dot"])
def test_takes_the_best_assignment_of_every_group(task, kernel):
    match = activation_matching(task, kernel=kernel)
    validate(task.spec, match.permutation)
    for group, similarity in unit_similarity(task, kernel).items():
        rows, columns = linear_sum_assignment(-similarity.numpy())
        chosen = similarity[torch.arange(len(rows)), match.permutation[group]].sum()
        assert float(chosen) == pytest.approx(float(similarity[rows, columns].sum()), abs=1e-9)
        assert float(chosen) > float(similarity.diagonal().sum())
    assert match.objective == task.objective(match.permutation)


def test_dead_units_correlate_with_nothing(networks, task):
    dead = {n: t.clone() for n, t in task.b.items()}
    dead["layers.1.weight"][[3, 5]] = 0
    dead["layers.1.bias"][3], dead["layers.1.bias"][5] = -100.0, 7.0  # never on; always on, with one value
    found = Task(task.traced, task.a, dead, task.inputs)
    group = list(found.correlation)[1]
    assert all(torch.isfinite(matrix).all() for matrix in found.correlation.values())
    assert (found.correlation[group][:, [3, 5]] == 0).all()
    assert found.correlation[group][:, 4].abs().max() > 0.1
    validate(task.spec, activation_matching(found).permutation)
    both = Task(task.traced, dead, dead, task.inputs)
    assert torch.equal(activation_matching(both).permutation[group], identity(task.spec)[group]) or (
        both.correlation[group][3].abs().max() == 0
    )


def test_correlation_lies_in_minus_one_to_one_and_is_one_with_itself(networks, task):
    own = Task(task.traced, task.a, task.a, task.inputs)
    for group, matrix in own.correlation.items():
        assert matrix.abs().max() <= 1 + 1e-9, group
        diagonal = matrix.diagonal()
        assert ((diagonal - 1).abs() < 1e-9)[diagonal != 0].all()


@pytest.mark.parametrize("images", [1, 7, 100, 10_000])
def test_the_batch_size_changes_nothing(task, monkeypatch, images):
    few = Task(task.traced, task.a, task.b, task.inputs[:200])
    before = few.correlation
    monkeypatch.setattr(module, "IMAGES", images)
    after = unit_similarity(few, "pearson")
    assert max(float((after[g] - before[g]).abs().max()) for g in before) < 1e-5


def test_nearly_constant_units_far_from_zero_keep_their_correlation(networks, task):
    """Large offsets with small variation: one-pass sums around zero would lose them."""
    state = {n: t.clone() for n, t in task.b.items()}
    state["layers.0.bias"] += 300.0
    found = Task(task.traced, state, state, task.inputs).correlation
    first = next(iter(found.values()))
    assert (first.diagonal() - 1).abs().max() < 1e-6


def test_beats_a_random_order_in_the_weights_too(task):
    drawn = max(random_matching(task, seed=s).objective for s in range(20))
    assert activation_matching(task).objective > 2 * abs(drawn)


def test_aligned_networks_are_more_alike(task):
    permutation = activation_matching(task).permutation
    moved = Task(task.traced, task.a, apply_permutation(task.spec, permutation, task.b), task.inputs)
    for group, matrix in moved.correlation.items():
        assert matrix.diagonal().mean() > task.correlation[group].diagonal().mean() + 0.2
