"""Specs as data: indices, pieces, JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from symmetry_networks import Attention, Fused, Perceptron, Tokens

from lmc.permutation import apply_permutation, random_permutation
from lmc.symmetry import Fixed, Group, PermutationSpec, Product, Sum, SymmetryError, check_spec, trace
from models import get_model

C, D = Group("conv", 3), Group("dense", 4)
SPEC = PermutationSpec(
    groups={"conv": 3, "dense": 4},
    axes={
        "conv.weight": (C, Fixed(1), Fixed(2), Fixed(2)),
        "dense.weight": (D, Product((C, Fixed(5)))),
        "fused.weight": (Sum((D, Product((Fixed(2), C)), Fixed(1))), Sum((C, Fixed(2), D))),
        "count": (),
    },
    parameters=("conv.weight", "dense.weight", "fused.weight"),
)


def shape(name: str) -> list[int]:
    return [axis.size for axis in SPEC.axes[name]]


def test_index_of_a_product_is_row_major() -> None:
    index = SPEC.index(Product((C, Fixed(2))), {"conv": torch.tensor([2, 0, 1])})
    assert index.tolist() == [4, 5, 0, 1, 2, 3]


def test_index_of_a_sum_moves_inside_the_parts() -> None:
    index = SPEC.index(Sum((Fixed(2), C)), {"conv": torch.tensor([2, 0, 1])})
    assert index.tolist() == [0, 1, 4, 2, 3]


def test_index_is_none_where_nothing_moves() -> None:
    assert SPEC.index(Fixed(3), {"conv": torch.tensor([2, 0, 1])}) is None
    assert SPEC.index(D, {"conv": torch.tensor([2, 0, 1])}) is None


@pytest.mark.parametrize("name", SPEC.axes)
def test_pieces_cover_a_tensor_exactly_once(name: str) -> None:
    tensor = torch.arange(torch.Size(shape(name)).numel(), dtype=torch.float64).reshape(shape(name))
    rebuilt = torch.full_like(tensor, -1)
    for piece in SPEC.pieces(name):
        assert (rebuilt[piece.slices] == -1).all()
        rebuilt[piece.slices] = piece.take(tensor).reshape(tensor[piece.slices].shape)
    assert torch.equal(rebuilt, tensor)


@given(st.integers(0, 10_000))
def test_permuting_piece_by_piece_is_permuting_the_tensor(seed: int) -> None:
    permutation = random_permutation(SPEC, torch.Generator().manual_seed(seed))
    for name in SPEC.axes:
        tensor = torch.rand(shape(name), generator=torch.Generator().manual_seed(seed))
        expected = apply_permutation(SPEC, permutation, {name: tensor})[name]
        for piece in SPEC.pieces(name):
            block = piece.take(tensor)
            for dim, group in enumerate(piece.groups):
                if group is not None:
                    block = block.index_select(dim, permutation[group])
            assert torch.equal(block, piece.take(expected))


def test_pieces_of_products_and_sums() -> None:
    (piece,) = SPEC.pieces("dense.weight")
    assert piece.shape == (4, 3, 5) and piece.groups == ("dense", "conv", None)
    assert len(SPEC.pieces("fused.weight")) == 9
    assert SPEC.pieces("count")[0].shape == ()


def test_json_round_trip() -> None:
    traced = [trace(Perceptron(2, norm=True), torch.zeros(2, 1, 8, 8)).spec]
    traced.append(trace(Fused(), torch.zeros(2, 1, 8, 8)).spec)
    traced.append(trace(Tokens(Attention()), torch.zeros(2, 3, 16, 16)).spec)
    assert traced[-1].blocks
    for spec in (SPEC, *traced):
        text = json.dumps(spec.to_json(), sort_keys=True)
        again = PermutationSpec.from_json(json.loads(text))
        assert again == spec and again.parameters == spec.parameters
        p, q = (random_permutation(s, torch.Generator().manual_seed(1)) for s in (spec, again))
        assert all(torch.equal(p[name], q[name]) for name in p)


@pytest.mark.parametrize("data", [{}, {"groups": [], "axes": {}, "parameters": []}, {"groups": 3}])
def test_json_that_is_not_a_spec(data: dict[str, object]) -> None:
    with pytest.raises(SymmetryError, match="not a permutation spec"):
        PermutationSpec.from_json(data)


def test_inconsistent_specs_are_refused() -> None:
    with pytest.raises(SymmetryError, match="'w' moves with 4 units of 'dense'"):
        PermutationSpec(groups={"dense": 5}, axes={"w": (D,)}, parameters=("w",))
    with pytest.raises(SymmetryError, match="'b' has no axes"):
        PermutationSpec(groups={"dense": 4}, axes={"w": (D,)}, parameters=("b",))


def test_groups_that_move_together() -> None:
    """Blocks first, then the groups whose units lie in them, and nothing twice."""
    groups = {"query": 6, "up": 3, "value": 4, "heads": 2, "norm": 4, "norm blocks": 2}
    blocks = {"query": "heads", "value": "heads", "norm": "norm blocks"}
    spec = PermutationSpec(groups=groups, axes={}, parameters=(), blocks=blocks)
    assert sorted(spec.together()) == [("heads", "query", "value"), ("norm blocks", "norm"), ("up",)]
    with pytest.raises(SymmetryError, match="'up' and 'heads' do not divide into blocks"):
        PermutationSpec(groups=groups, axes={}, parameters=(), blocks={"up": "heads"})


def test_importing_the_spec_does_not_import_the_exporter() -> None:
    code = "import sys, lmc.symmetry.spec; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Groups that are held


def test_groups_that_are_held_are_fixed_axes():
    spec = PermutationSpec(
        groups={"a": 3, "b": 2, "heads": 2, "units": 8},
        axes={
            "w": (Group("a", 3), Product((Group("b", 2), Fixed(4)))),
            "v": (Sum((Group("a", 3), Group("b", 2))), Group("units", 8)),
            "h": (Group("heads", 2),),
        },
        parameters=("w", "v", "h"),
        blocks={"units": "heads"},
    )
    held = spec.holding(["b"])
    assert held.groups == {"a": 3, "heads": 2, "units": 8} and held.blocks == {"units": "heads"}
    assert held.axes["w"] == (Group("a", 3), Fixed(8))
    assert held.axes["v"] == (Sum((Group("a", 3), Fixed(2))), Group("units", 8))
    assert held.parameters == spec.parameters and spec.groups.keys() == {"a", "b", "heads", "units"}
    for name in ("heads", "units"):  # they move together, so they are held together
        assert spec.holding([name]).groups == {"a": 3, "b": 2} and not spec.holding([name]).blocks
    assert spec.holding([]) == spec
    with pytest.raises(KeyError, match="c"):
        spec.holding(["a", "c"])


def test_what_is_left_are_symmetries_of_the_model():
    model = get_model("vit", input_shape=(1, 8, 8), classes=3, width=8, depth=2, norm="layer")
    inputs = torch.randn(4, 1, 8, 8)
    traced = trace(model, inputs)
    for name in traced.spec.groups:
        left = traced.holding([name])
        assert name not in left.spec.groups
        check_spec(model, left.spec, inputs, torch.Generator().manual_seed(0))
        assert left.activations(model.state_dict(), inputs).keys() <= left.spec.groups.keys()
