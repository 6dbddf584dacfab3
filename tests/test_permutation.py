"""Permutations are a group, and applying them is its action on networks."""

from __future__ import annotations

import json
from collections import Counter

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
    in_blocks,
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


# Units in blocks

BLOCKED = PermutationSpec(
    groups={"query": 6, "value": 4, "query blocks": 2, "up": 3},
    axes={
        "query.weight": (Group("query", 6), Fixed(5)),
        "value.weight": (Group("value", 4), Fixed(5)),
        "up.weight": (Group("up", 3), Fixed(5)),
        "temperature": (Group("query blocks", 2),),
    },
    parameters=("query.weight", "value.weight", "up.weight", "temperature"),
    blocks={"query": "query blocks", "value": "query blocks"},
)


def blocked(seed: int) -> Permutation:
    return random_permutation(BLOCKED, torch.Generator().manual_seed(seed))


@given(SEEDS, SEEDS)
def test_blocks_stay_blocks(a: int, b: int) -> None:
    p, q = blocked(a), blocked(b)
    assert list(p) == list(BLOCKED.groups)
    for each in (identity(BLOCKED), p, compose(q, p), invert(p), invert(compose(p, q))):
        validate(BLOCKED, each)
    assert equal(compose(invert(p), p), identity(BLOCKED))
    theta = {name: torch.rand([axis.size for axis in axes]) for name, axes in BLOCKED.axes.items()}
    twice = apply_permutation(BLOCKED, q, apply_permutation(BLOCKED, p, theta))
    assert equal(twice, apply_permutation(BLOCKED, compose(q, p), theta))


def test_every_order_of_blocks_and_units_occurs_equally_often() -> None:
    """2 orders of the blocks, and 2 of the units in each: 8, which a shared generator draws one after the other."""
    spec = PermutationSpec(
        groups={"units": 4, "blocks": 2},
        axes={"w": (Group("units", 4),)},
        parameters=("w",),
        blocks={"units": "blocks"},
    )
    draws = torch.Generator().manual_seed(0)
    drawn = [random_permutation(spec, draws) for _ in range(1600)]
    counts = Counter((*p["blocks"].tolist(), *p["units"].tolist()) for p in drawn)
    expected = {
        (i, j, *(2 * i + k for k in first), *(2 * j + k for k in second))
        for i, j in ((0, 1), (1, 0))
        for first in ((0, 1), (1, 0))
        for second in ((0, 1), (1, 0))
    }
    assert set(counts) == expected
    # 200 each; six standard deviations of a count are 79
    assert max(abs(count - 200) for count in counts.values()) < 79


def test_in_blocks() -> None:
    index = in_blocks(torch.tensor([1, 0]), [torch.tensor([2, 0, 1]), torch.tensor([0, 2, 1])])
    assert index.tolist() == [5, 3, 4, 0, 2, 1]


@pytest.mark.parametrize(
    ("bad", "group"),
    [
        ({"query": torch.tensor([0, 1, 3, 2, 4, 5])}, "query"),  # a unit changes its block
        ({"query": torch.tensor([3, 4, 5, 0, 1, 2])}, "query"),  # blocks change places, and say they do not
        ({"query blocks": torch.tensor([1, 0])}, "query"),  # the same the other way round
        ({"query": torch.tensor([3, 5, 4, 0, 1, 2]), "query blocks": torch.tensor([1, 0])}, "value"),
        (
            {
                "query": torch.tensor([3, 5, 4, 0, 1, 2]),
                "value": torch.tensor([1, 0, 3, 2]),
                "query blocks": torch.tensor([1, 0]),
            },
            "value",
        ),
    ],
)
def test_validate_refuses_broken_blocks(bad: dict[str, Tensor], group: str) -> None:
    sentence = f"^the index of '{group}' must keep blocks together and move them as 'query blocks' does\\.$"
    with pytest.raises(ValueError, match=sentence):
        validate(BLOCKED, bad)


def test_validate_accepts_blocks() -> None:
    validate(BLOCKED, {"query": torch.tensor([2, 1, 0, 3, 5, 4])})
    validate(BLOCKED, {"up": torch.tensor([2, 1, 0])})
    reversed_blocks = torch.tensor([1, 0])
    whole = {"query blocks": reversed_blocks, "query": torch.arange(6).view(2, 3).flip(0).reshape(-1)}
    validate(BLOCKED, {**whole, "value": torch.tensor([3, 2, 0, 1])})


@given(SEEDS)
def test_json_keeps_blocks(seed: int) -> None:
    again = PermutationSpec.from_json(json.loads(json.dumps(BLOCKED.to_json())))
    assert again == BLOCKED and again.blocks == BLOCKED.blocks and again.together() == BLOCKED.together()
    assert equal(random_permutation(again, torch.Generator().manual_seed(seed)), blocked(seed))


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_of_the_units_moves(share):
    spec = PermutationSpec(
        groups={"a": 100, "one": 1, "heads": 4, "units": 40},
        axes={"w": (Group("a", 100), Group("units", 40)), "h": (Group("heads", 4), Group("one", 1))},
        parameters=("w", "h"),
        blocks={"units": "heads"},
    )
    still = []
    for seed in range(20):
        drawn = random_permutation(spec, torch.Generator().manual_seed(seed), share)
        validate(spec, drawn)
        still.append(group_agreement(drawn, identity(spec)))
        again = random_permutation(spec, torch.Generator().manual_seed(seed), share)
        assert all(torch.equal(again[name], order) for name, order in drawn.items())
    assert min(found["a"] for found in still) >= 1 - share - 1e-9
    assert max(found["a"] for found in still) < 1 and min(found["heads"] for found in still) < 1
