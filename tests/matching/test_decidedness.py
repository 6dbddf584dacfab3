"""Entropies of matchings: NumPy's numbers, what is decided and what is open, and what may change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import entropy

from lmc.matching.base import Task
from lmc.matching.decidedness import entropies, in_balance
from lmc.matching.weight import weight_matching
from lmc.permutation import apply_permutation, compose, identity, invert, random_permutation
from lmc.symmetry import Fixed, Group, PermutationSpec, trace
from models import get_model


def written_out(task, permutation):
    """The entropies of an MLP with NumPy and SciPy."""
    a = {n: t.double().numpy() for n, t in task.a.items()}
    b = {n: t.double().numpy() for n, t in apply_permutation(task.spec, permutation, task.b).items()}
    found = {}
    for k, group in enumerate(task.spec.groups):
        following = f"layers.{k + 1}.weight" if k + 1 < len(task.spec.groups) else "head.weight"
        one, other = (
            np.concatenate([s[f"layers.{k}.weight"], s[f"layers.{k}.bias"][:, None], s[following].T], 1) for s in (a, b)
        )
        lengths = np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
        logs = np.sqrt(one.shape[1]) * one @ other.T / lengths
        for _ in range(2000):
            logs = logs - logsumexp(logs, axis=1, keepdims=True)
            logs = logs - logsumexp(logs, axis=0, keepdims=True)
        found[group] = float(np.mean(entropy(np.exp(logs), axis=1)) / np.log(len(logs)))
    return found


@pytest.fixture(scope="module")
def networks(family):
    return family(16)


@pytest.fixture(scope="module")
def task(networks):
    return networks.task(*networks.trained((0, 1), epochs=5))


def test_the_numbers_are_numpy_s(task):
    for permutation in (identity(task.spec), weight_matching(task).permutation):
        found = entropies(task, permutation)
        assert list(found) == list(task.spec.groups)
        assert found == pytest.approx(written_out(task, permutation), abs=1e-5)


def test_the_soft_permutation_is_in_balance():
    scores = 3 * torch.randn(20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = in_balance(scores)
    assert (matrix.sum(0) - 1).abs().max() < 1e-12 and (matrix.sum(1) - 1).abs().max() <= 1e-6
    ratios = (matrix.log() - scores).numpy()  # a number for every row and one for every column are all that changed
    assert np.abs(ratios - ratios[:1] - ratios[:, :1] + ratios[0, 0]).max() < 1e-9
    hard = in_balance(2000 * torch.eye(20, dtype=torch.float64)[torch.randperm(20)])
    assert torch.isfinite(hard).all() and torch.isin(hard, torch.tensor([0.0, 1.0], dtype=torch.float64)).all()


# Decided and open


def test_a_network_and_itself_are_decided(family):
    networks = family(96)
    a, b = networks.start(0), networks.start(1)
    own, other = (entropies(networks.task(a, state), identity(networks.spec)) for state in (a, b))
    assert max(own.values()) < 0.05
    assert all(0.8 < value < 1 for value in other.values())


def test_a_planted_permutation_is_decided_under_any_order(networks):
    (a,) = networks.trained((0,), epochs=5)
    planted, b = networks.permute(3, a)
    own = entropies(networks.task(a, a), identity(networks.spec))
    assert entropies(networks.task(a, b), invert(planted)) == pytest.approx(own, abs=1e-9)
    held = {**invert(planted), "layers.1": torch.arange(16)}  # a group's own order does not matter to itself
    assert entropies(networks.task(a, b), held)["layers.1"] == pytest.approx(own["layers.1"], abs=1e-6)
    assert entropies(networks.task(a, b), held)["layers.0"] > own["layers.0"] + 0.1


def test_matched_networks_are_more_decided(task):
    before, after = (entropies(task, p) for p in (identity(task.spec), weight_matching(task).permutation))
    assert np.mean(list(after.values())) < np.mean(list(before.values())) - 0.02


@pytest.fixture
def unusual(networks):
    """`unusual(a, b)`: the task of states with a group of one unit, and two blocks of two units."""
    tensors = {"one": (Group("alone", 1), Fixed(3)), "blocks": (Group("blocks", 2), Fixed(5))}
    tensors |= {"units": (Group("units", 4), Fixed(4)), "none": (Fixed(2),)}
    sizes = {"alone": 1, "blocks": 2, "units": 4}
    spec = PermutationSpec(groups=sizes, axes=tensors, parameters=tuple(tensors), blocks={"units": "blocks"})
    return lambda a, b: Task(replace(networks.traced, spec=spec), a, b, torch.zeros(1))


def test_one_unit_is_decided_and_zeros_are_open(unusual):
    """Of blocks, only what they have of their own is seen."""
    drawn = torch.Generator().manual_seed(0)
    sizes = {"one": (1, 3), "blocks": (2, 5), "units": (4, 4), "none": (2,)}
    a = {name: torch.randn(size, generator=drawn) for name, size in sizes.items()}
    zeros = {name: torch.zeros_like(tensor) for name, tensor in a.items()}
    for one, other in ((a, zeros), (zeros, a), (zeros, zeros)):
        found = entropies(unusual(one, other), identity(unusual(a, a).spec))
        assert found == {"alone": 0.0, "blocks": pytest.approx(1.0, abs=1e-12)}
    own = entropies(unusual(a, a), identity(unusual(a, a).spec))
    assert own["alone"] == 0.0 and 0 < own["blocks"] < 0.9


def test_dead_units_are_open_and_leave_the_others_decided(family):
    networks = family(96)
    a = networks.start(0)
    dead = {name: tensor.clone() for name, tensor in a.items()}
    for name, rows in (("layers.1.weight", 0), ("layers.1.bias", 0), ("layers.2.weight", 1)):
        dead[name].movedim(rows, 0)[:48] = 0
    whole, half = (entropies(networks.task(s, s), identity(networks.spec))["layers.1"] for s in (a, dead))
    assert whole < 0.05
    assert half == pytest.approx(np.log(48) / np.log(96) / 2, abs=0.05), "half of them are open among themselves"


# What changes nothing


def test_a_common_permutation_changes_nothing(networks, task):
    drawn = random_permutation(task.spec, torch.Generator().manual_seed(1))
    match = weight_matching(task).permutation
    a, b = (apply_permutation(task.spec, drawn, state) for state in (task.a, task.b))
    moved = compose(drawn, compose(match, invert(drawn)))
    assert entropies(networks.task(a, b), moved) == pytest.approx(entropies(task, match), abs=1e-9)


def test_the_scale_of_b_changes_nothing(networks, task):
    large = {name: 1000 * tensor for name, tensor in task.b.items()}
    expected = entropies(task, identity(task.spec))
    assert entropies(networks.task(task.a, large), identity(task.spec)) == pytest.approx(expected, abs=1e-6)
    assert expected.keys() == task.spec.groups.keys()


def test_units_in_blocks_are_left_out():
    torch.manual_seed(0)
    vit = get_model("vit", input_shape=(3, 16, 16), classes=4, width=16, norm="layer", depth=1)
    traced = trace(vit, torch.zeros(2, 3, 16, 16))
    found = entropies(Task(traced, vit.state_dict(), vit.state_dict(), torch.zeros(1)), identity(traced.spec))
    blocks = set(traced.spec.blocks.values())
    assert blocks and found.keys() == traced.spec.groups.keys() - traced.spec.blocks.keys() - blocks
    assert all(0 <= value < 0.6 for value in found.values())
