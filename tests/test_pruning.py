"""Magnitude pruning: exact counts, ties, masks that a network says by itself, and symmetry."""

import math

import pytest
import torch

from lmc.permutation import apply_permutation, random_permutation
from lmc.pruning import (
    density,
    everything,
    mask_of,
    masked,
    overlap,
    prunable,
    pruned_further,
    random_mask,
)
from lmc.symmetry import trace
from models import get_model

SHAPE = {"input_shape": (1, 8, 8), "classes": 10}


def network(arch="mlp", **options):
    torch.manual_seed(0)
    model = get_model(arch, **SHAPE, **{"width": 16, **options}).double()
    return model, {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def test_only_weights_of_layers_are_pruned_and_the_last_layer_by_choice():
    model, state = network(norm="layer")
    kept, all_of_them = prunable(model), prunable(model, "prune")
    weights = [name for name, tensor in state.items() if tensor.ndim > 1]
    assert all_of_them == weights and kept == weights[:-1]
    assert len(state[all_of_them[-1]]) == 10, "the layer that gives the logits"
    convolutions, _ = network("cnn", width=4)
    assert len(prunable(convolutions, "prune")) == len(prunable(convolutions)) + 1
    with pytest.raises(ValueError, match="'keep' or 'prune', not 'some'"):
        prunable(model, "some")


@pytest.mark.parametrize("arch", ["mlp", "cnn"])
@pytest.mark.parametrize("share", [0.2, 0.33])
def test_every_level_prunes_exactly_the_floor_of_the_share_and_the_smallest(arch, share):
    model, state = network(arch)
    names = prunable(model)
    mask = everything(state, names)
    remaining = sum(state[name].numel() for name in names)
    for _ in range(12):
        before = mask
        mask = pruned_further(state, mask, share)
        gone = math.floor(share * remaining)
        remaining -= gone
        assert sum(int(kept.sum()) for kept in mask.values()) == remaining
        removed = torch.cat([state[n][before[n] & ~mask[n]].abs() for n in names])
        left = torch.cat([state[n][mask[n]].abs() for n in names])
        assert len(removed) == gone and (gone == 0 or removed.max() <= left.min())
        assert all((before[n] | ~mask[n]).all() for n in names), "what was pruned stays so"
        state = {**state, **{n: state[n] + 0.1 * torch.randn_like(state[n]) * mask[n] for n in names}}
    assert density(mask) == remaining / sum(kept.numel() for kept in mask.values())


def test_of_equal_magnitudes_the_first_goes_first():
    state = {"a": torch.tensor([[1.0, -1.0, 2.0]]), "b": torch.tensor([[-1.0, 1.0]])}
    mask = pruned_further(state, everything(state, ["a", "b"]), 0.6)
    assert mask["a"].tolist() == [[False, False, True]] and mask["b"].tolist() == [[False, True]]


def test_a_pruned_network_says_what_was_pruned_even_if_a_kept_weight_is_zero():
    state = {"a": torch.tensor([[0.0, 3.0], [0.0, 5.0]]), "bias": torch.tensor([0.0])}
    mask = {"a": torch.tensor([[True, False], [False, True]])}
    found = masked(state, mask)
    assert torch.equal(mask_of(found, ["a"])["a"], mask["a"])
    assert found["a"][0, 0] == torch.finfo(torch.float32).tiny and found["a"][1, 1] == 5 and found["bias"] == 0
    assert state["a"][0, 0] == 0, "the state given is left alone"


@pytest.mark.parametrize("arch", ["mlp", "cnn"])
def test_pruning_a_permuted_network_permutes_the_mask(arch):
    model, state = network(arch)
    spec = trace(model, torch.zeros(2, *SHAPE["input_shape"], dtype=torch.float64)).spec
    order = random_permutation(spec, torch.Generator().manual_seed(3))
    names = prunable(model)
    ours = pruned_further(state, everything(state, names), 0.5)
    theirs = pruned_further(apply_permutation(spec, order, state), everything(state, names), 0.5)
    moved = apply_permutation(spec, order, ours)
    assert all(torch.equal(moved[name], theirs[name]) for name in names)
    assert not all(torch.equal(ours[name], theirs[name]) for name in names)


def test_a_random_mask_keeps_as_many_in_every_layer():
    state = {"a": torch.rand(40, 30), "b": torch.rand(20, 40)}
    mask = pruned_further(state, everything(state, ["a", "b"]), 0.7)
    drawn = random_mask(mask, torch.Generator().manual_seed(0))
    assert {n: int(kept.sum()) for n, kept in drawn.items()} == {n: int(kept.sum()) for n, kept in mask.items()}
    assert all(not torch.equal(drawn[n], mask[n]) for n in mask)


def test_overlap_and_its_level_by_chance():
    p = {"a": torch.tensor([[True, True, False, False]])}
    q = {"a": torch.tensor([[True, False, True, False]])}
    assert overlap(p, p)["a"][0] == 1.0
    assert overlap(p, q)["a"] == (pytest.approx(1 / 3), pytest.approx(0.25 / 0.75))
    draws = torch.Generator().manual_seed(0)
    wide = [{"a": torch.rand(500, 500, generator=draws) < share} for share in (0.3, 0.1)]
    found, chance = overlap(*wide)["a"]
    assert found == pytest.approx(chance, rel=0.05)
