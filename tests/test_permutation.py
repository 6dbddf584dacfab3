"""Permutations are a group, and applying them is its action on networks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lmc.permutation import (
    Permutation,
    agreement,
    apply_permutation,
    compose,
    group_agreement,
    identity,
    invert,
    moved,
    random_permutation,
    validate,
)
from lmc.symmetry import Fixed, Group, PermutationSpec, Product, check_spec, max_logit_difference

C, D = Group("conv", 6), Group("dense", 7)
SPEC = PermutationSpec(
    groups={"conv": 6, "dense": 7},
    axes={
        "conv.weight": (C, Fixed(1), Fixed(3), Fixed(3)),
        "conv.bias": (C,),
        "dense.weight": (D, Product((C, Fixed(36)))),
        "dense.bias": (D,),
        "head.weight": (Fixed(10), D),
        "head.bias": (Fixed(10),),
    },
    parameters=("conv.weight", "conv.bias", "dense.weight", "dense.bias", "head.weight", "head.bias"),
)
SEEDS = st.integers(0, 100_000)


class Convolutional(nn.Module):
    """Convolution, flatten, two linear layers: the spec above, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense, self.head = nn.Conv2d(1, 6, 3), nn.Linear(6 * 36, 7), nn.Linear(7, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.dense(torch.relu(self.conv(x)).flatten(1))))


def draw(seed: int) -> Permutation:
    return random_permutation(SPEC, torch.Generator().manual_seed(seed))


def state(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return Convolutional().state_dict()


def equal(p: dict[str, Tensor], q: dict[str, Tensor]) -> bool:
    return p.keys() == q.keys() and all(torch.equal(p[name], q[name]) for name in p)


@given(SEEDS, SEEDS, SEEDS)
def test_composition_is_associative(a: int, b: int, c: int) -> None:
    p, q, r = draw(a), draw(b), draw(c)
    assert equal(compose(r, compose(q, p)), compose(compose(r, q), p))


@given(SEEDS)
def test_identity_and_inverse(seed: int) -> None:
    p, e = draw(seed), identity(SPEC)
    assert equal(compose(p, e), p) and equal(compose(e, p), p)
    assert equal(compose(invert(p), p), e) and equal(compose(p, invert(p)), e)
    assert equal(invert(invert(p)), p)


@given(SEEDS, SEEDS)
def test_the_inverse_of_a_composition(a: int, b: int) -> None:
    p, q = draw(a), draw(b)
    assert equal(invert(compose(q, p)), compose(invert(p), invert(q)))


@given(SEEDS, SEEDS)
def test_applying_twice_is_applying_the_composition(a: int, b: int) -> None:
    p, q, theta = draw(a), draw(b), state()
    twice = apply_permutation(SPEC, q, apply_permutation(SPEC, p, theta))
    assert equal(twice, apply_permutation(SPEC, compose(q, p), theta))
    assert equal(apply_permutation(SPEC, invert(p), apply_permutation(SPEC, p, theta)), theta)


def test_rows_are_taken() -> None:
    theta, p = state(), draw(3)
    permuted = apply_permutation(SPEC, p, theta)
    assert torch.equal(permuted["conv.bias"], theta["conv.bias"][p["conv"]])
    assert torch.equal(permuted["head.weight"], theta["head.weight"][:, p["dense"]])


def test_a_flattened_channel_axis_keeps_the_function() -> None:
    model, inputs = Convolutional(), torch.randn(64, 1, 8, 8)
    check_spec(model, SPEC, inputs, torch.Generator().manual_seed(0))
    assert max_logit_difference(model, SPEC, draw(5), inputs=inputs) <= 1e-10


def test_the_weights_really_move() -> None:
    theta = state()
    permuted = apply_permutation(SPEC, draw(1), theta)
    distance = sum(float((permuted[n] - theta[n]).square().sum()) for n in theta)
    norm = sum(float(t.square().sum()) for t in theta.values())
    assert distance > norm / 2


def test_the_input_is_untouched_and_what_does_not_move_is_passed_through() -> None:
    theta = state()
    before = {name: tensor.clone() for name, tensor in theta.items()}
    permuted = apply_permutation(SPEC, {"dense": draw(1)["dense"]}, theta)
    assert equal(before, theta)
    assert permuted["head.bias"] is theta["head.bias"] and permuted["conv.weight"] is theta["conv.weight"]
    assert permuted["dense.bias"].data_ptr() != theta["dense.bias"].data_ptr()


def test_a_missing_group_is_the_identity() -> None:
    p = {"dense": draw(2)["dense"]}
    full = {**identity(SPEC), **p}
    assert equal(apply_permutation(SPEC, p, state()), apply_permutation(SPEC, full, state()))
    assert equal(compose(p, {"conv": draw(3)["conv"]}), {"conv": draw(3)["conv"], **p})
    assert agreement(p, full) == 1.0


def test_stacked_states_under_vmap() -> None:
    states, permutations = [state(s) for s in range(3)], [draw(s) for s in range(3)]
    stacked = {n: torch.stack([s[n] for s in states]) for n in states[0]}
    indices = {n: torch.stack([p[n] for p in permutations]) for n in SPEC.groups}
    together = torch.func.vmap(lambda p, s: apply_permutation(SPEC, p, s))(indices, stacked)
    for place in range(3):
        alone = apply_permutation(SPEC, permutations[place], states[place])
        assert equal({n: t[place] for n, t in together.items()}, alone)


def test_agreement_counts_units() -> None:
    p, q = identity(SPEC), identity(SPEC)
    q["dense"] = torch.tensor([1, 0, 2, 3, 4, 5, 6])
    assert group_agreement(p, q) == {"conv": 1.0, "dense": 5 / 7}
    assert agreement(p, q) == 11 / 13
    assert moved(q) == {"conv": 0.0, "dense": pytest.approx(2 / 7)}
    assert agreement({}, {}) == 1.0
    with pytest.raises(ValueError, match="'dense' has 7 units in one and 3"):
        agreement(p, {"dense": torch.arange(3)})


@given(SEEDS, SEEDS)
def test_agreement_is_symmetric_and_invariant(a: int, b: int) -> None:
    p, q = draw(a), draw(b)
    assert agreement(p, q) == agreement(q, p) == agreement(invert(p), invert(q))
    assert agreement(p, p) == 1.0


def test_random_permutations_follow_their_seed() -> None:
    assert equal(draw(1), draw(1)) and not equal(draw(1), draw(2))


def test_validate_accepts_permutations() -> None:
    validate(SPEC, draw(1))
    validate(SPEC, {})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"nowhere": torch.arange(3)}, "moves 'nowhere'; the groups are conv, dense"),
        ({"dense": torch.zeros(7, dtype=torch.long)}, "each of 0 … 6 exactly once"),
        ({"dense": torch.arange(6)}, "each of 0 … 6 exactly once"),
        ({"dense": torch.arange(7.0)}, "torch.int64, not torch.float32"),
        ({"dense": torch.eye(7, dtype=torch.long)}, "with 2 axes"),
    ],
)
def test_validate_says_what_is_wrong(bad: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(SPEC, bad)


def test_apply_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="no tensor 'other'"):
        apply_permutation(SPEC, {}, {"other": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"'head.bias' has shape \[3\], but the spec says \[10\]"):
        apply_permutation(SPEC, {}, {"head.bias": torch.zeros(3)})
    with pytest.raises(ValueError, match="moves 'nowhere'"):
        apply_permutation(SPEC, {"nowhere": torch.arange(3)}, state())
