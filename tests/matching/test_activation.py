"""Activation matching: planted permutations, NumPy's correlation, dead units, batches."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

import lmc.matching.activation as module
from lmc.matching.activation import activation_matching, unit_similarity
from lmc.matching.base import Task
from lmc.matching.controls import random_matching
from lmc.permutation import apply_permutation, identity, invert, random_permutation, validate
from lmc.symmetry import trace
from models import get_model


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


# One pass over the images


def answers(units: int, pixels: int, images: int = 61) -> tuple[Task, list[np.ndarray]]:
    """A task whose networks give these float32 answers, and the answers `[images * pixels, units]` of both.

    Units are far from 0, some are never on, and one of A has a single answer.
    """
    rng = np.random.default_rng(units)
    values = [np.maximum(rng.normal(size=(images, pixels, units)) + rng.normal(size=units), 0) for _ in "ab"]
    values[1] += 0.5 * values[0]
    values[0][..., 0] = 7.0
    values[1][..., 1:3] = 0.0
    values[1] = 50 + values[1] * 10.0 ** rng.integers(-2, 3, units)
    states = [{"answers": torch.tensor(v, dtype=torch.float32)} for v in values]

    def activations(state, places, which):
        return {"units": state["answers"][places.long()].flatten(0, 1)}

    traced = SimpleNamespace(spec=SimpleNamespace(groups={"units": units}, blocks={}), activations=activations)
    task = Task(traced, *states, torch.arange(images, dtype=torch.float32))
    return task, [state["answers"].flatten(0, 1).double().numpy() for state in states]


@pytest.mark.parametrize(("units", "pixels"), [(5, 1), (5, 49), (40, 9)])
@pytest.mark.parametrize("images", [2, 3, 20, 60, 61])
def test_sums_are_exact_for_any_batches(units, pixels, images, monkeypatch):
    """Also where the last batch is one image."""
    task, (of_a, of_b) = answers(units, pixels)
    monkeypatch.setattr(module, "IMAGES", images)
    monkeypatch.setattr(module, "CHUNK", 3 * images * units)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.corrcoef(of_a.T, of_b.T)[:units, units:]
    dead = (np.ptp(of_a, 0) == 0)[:, None] | (np.ptp(of_b, 0) == 0)[None]
    found = unit_similarity(task, "pearson")["units"].numpy()
    assert np.abs(found - np.where(dead, 0.0, expected)).max() < 1e-10
    assert dead.any() and (found[dead] == 0).all() and np.abs(found[~dead]).max() > 0.05
    assert unit_similarity(task, "dot")["units"].numpy() == pytest.approx(of_a.T @ of_b / len(of_a), rel=1e-12)


def test_a_unit_that_changes_by_rounding_is_constant():
    task, _ = answers(5, 9)
    ulps = torch.randint(-1, 2, task.b["answers"][..., 3].shape, generator=torch.Generator().manual_seed(0))
    task.b["answers"][..., 3] = 7.0 * (1 + ulps * torch.finfo(torch.float32).eps)
    assert (unit_similarity(task, "pearson")["units"][:, 3] == 0).all()


def test_the_scale_of_activations_does_not_matter_to_the_correlation():
    task, _ = answers(5, 9)
    small = Task(task.traced, {"answers": task.a["answers"] * 2.0**-60}, task.b, task.inputs)
    assert torch.allclose(small.correlation["units"], task.correlation["units"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layers", ["last", "all"])
def test_real_networks_in_any_batches(dtype, layers, monkeypatch):
    """In float32 the networks themselves round differently in other batches."""
    shape = (3, 8, 8)
    models = [get_model("cnn", input_shape=shape, classes=4, width=4, norm="batch").to(dtype) for _ in "ab"]
    images = torch.randn(21, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    task = Task(trace(models[0], images[:2]), *(model.state_dict() for model in models), images)
    for kernel in ("pearson", "dot"):
        monkeypatch.setattr(module, "IMAGES", 1000)
        whole = unit_similarity(task, kernel, layers)
        for size in (2, 5, 20):
            monkeypatch.setattr(module, "IMAGES", size)
            parts = unit_similarity(task, kernel, layers)
            away = max(float((parts[group] - whole[group]).abs().max()) for group in whole)
            assert away < (1e-5 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("kernel", ["pearson", "dot"])
def test_one_image(networks, task, kernel):
    """One sample correlates with nothing, and no unit is preferred."""
    one = Task(task.traced, task.a, task.b, task.inputs[:1])
    match = activation_matching(one, kernel=kernel)
    validate(task.spec, match.permutation)
    assert all(torch.isfinite(matrix).all() for matrix in unit_similarity(one, kernel).values())
    if kernel == "pearson":
        assert all((matrix == 0).all() for matrix in one.correlation.values())
        assert all(torch.equal(match.permutation[g], order) for g, order in identity(task.spec).items())


def test_dead_units_of_both_networks_are_left_to_each_other(family):
    networks = family(24, dtype=torch.float64)
    (a,) = networks.trained((0,))
    gone = [2, 3, 11]
    a["layers.1.weight"][gone] = 0
    a["layers.1.bias"][gone] = torch.tensor([-1.0, 0.0, 5.0], dtype=torch.float64)  # one of them is always on
    planted, b = networks.permute(4, a)
    task = networks.task(a, b)
    order, truth = activation_matching(task).permutation["layers.1"], invert(planted)["layers.1"]
    dead = (task.correlation["layers.1"] == 0).all(1)
    assert dead[gone].all() and not dead.all()
    assert torch.equal(order[~dead], truth[~dead])
    assert set(order[dead].tolist()) == set(truth[dead].tolist())


# All layers that carry a group


class Residual(nn.Module):
    """A stream that three nonlinearities carry, and a hidden layer inside each of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, 5), nn.Linear(5, 3)
        self.up = nn.ModuleList(nn.Linear(5, 4) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(4, 5) for _ in range(2))
        self.stream, self.inside = nn.ReLU(), nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stream(self.stem(x))
        for up, down in zip(self.up, self.down, strict=True):
            x = self.stream(x + down(self.inside(up(x))))
        return self.head(x)


@pytest.fixture(scope="module")
def residual():
    """A model, and a task of two."""
    torch.manual_seed(3)
    a, b = Residual().double(), Residual().double()
    inputs = torch.randn(50, 6, dtype=torch.float64)
    return a, Task(trace(a, inputs[:2]), *({n: t.clone() for n, t in m.state_dict().items()} for m in (a, b)), inputs)


def test_all_layers_are_joined_as_samples(residual, monkeypatch):
    """With hooks: the mean that Pearson's correlation takes off is that of all layers together."""
    model, task = residual
    monkeypatch.setattr(module, "IMAGES", 7)
    joined = []
    for state in (task.a, task.b):
        model.load_state_dict(state)
        found = []
        hook = model.stream.register_forward_hook(lambda module, args, out, found=found: found.append(out.detach()))
        model(task.inputs)
        hook.remove()
        joined.append(torch.cat(found).numpy())
    assert len(joined[0]) == 3 * 50
    of_a, of_b = joined
    (stream,) = (group for group, size in task.spec.groups.items() if size == 5)
    correlation, dot = (unit_similarity(task, kernel, "all")[stream].numpy() for kernel in ("pearson", "dot"))
    assert correlation == pytest.approx(np.corrcoef(of_a.T, of_b.T)[:5, 5:], abs=1e-10)
    assert dot == pytest.approx(of_a.T @ of_b / 150, abs=1e-10)
    last = unit_similarity(task, "pearson")[stream].numpy()
    assert last == pytest.approx(np.corrcoef(of_a[100:].T, of_b[100:].T)[:5, 5:], abs=1e-10)
    assert np.abs(last - correlation).max() > 0.01


def test_groups_with_one_layer_are_as_they_were(residual):
    _, task = residual
    last, every = (unit_similarity(task, "pearson", layers) for layers in ("last", "all"))
    inside = [group for group, size in task.spec.groups.items() if size == 4]
    assert len(inside) == 2 and all(torch.equal(last[group], every[group]) for group in inside)


@pytest.mark.parametrize("layers", ["last", "all"])
@pytest.mark.parametrize("kernel", ["pearson", "dot"])
def test_takes_the_best_assignment_of_any_similarity(residual, kernel, layers):
    _, task = residual
    match = activation_matching(task, kernel=kernel, layers=layers)
    for group, similarity in unit_similarity(task, kernel, layers).items():
        chosen = similarity[torch.arange(len(similarity)), match.permutation[group]].sum()
        rows, columns = linear_sum_assignment(-similarity.numpy())
        assert float(chosen) == pytest.approx(float(similarity[rows, columns].sum()), abs=1e-9)
    assert match.objective == task.objective(match.permutation)


@pytest.mark.parametrize("layers", ["last", "all"])
def test_residual_networks_are_given_back(layers):
    torch.manual_seed(0)
    model = get_model("resnet", input_shape=(3, 8, 8), classes=4, width=8, depth=8, norm="batch").double()
    images = torch.randn(64, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    traced, a = trace(model, images[:2]), model.state_dict()
    planted = random_permutation(traced.spec, torch.Generator().manual_seed(2))
    task = Task(traced, a, apply_permutation(traced.spec, planted, a), images)
    moved = apply_permutation(traced.spec, activation_matching(task, layers=layers).permutation, task.b)
    assert all(torch.equal(moved[name], tensor) for name, tensor in a.items())


def test_unknown_names_are_refused(task):
    with pytest.raises(ValueError, match="kernel 'cosine'.*pearson, dot"):
        activation_matching(task, kernel="cosine")
    with pytest.raises(ValueError, match="layers 'first'.*last, all"):
        activation_matching(task, layers="first")
