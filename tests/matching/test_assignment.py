"""Assignment of units in blocks, against every order that there is."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmc.matching.assignment import assign, assign_all, assign_among_likely, assign_together, likely_from
from lmc.permutation import Permutation, identity, in_blocks, random_permutation, validate
from lmc.symmetry import Fixed, Group, PermutationSpec


def spec_of(blocks: int, *sizes: int) -> PermutationSpec:
    """Groups `a`, `b`, … with `sizes` units in each of some `blocks`."""
    inside = {name: blocks * size for name, size in zip("abc", sizes, strict=False)}
    groups = {"blocks": blocks, **inside}
    return PermutationSpec(
        groups=groups,
        axes={name: (Group(name, size), Fixed(4)) for name, size in groups.items()},
        parameters=tuple(groups),
        blocks=dict.fromkeys(inside, "blocks"),
    )


def everything(spec: PermutationSpec) -> list[Permutation]:
    """Every permutation of blocks and of the units in each, written out."""
    count = spec.groups["blocks"]
    orders = {name: list(itertools.permutations(range(spec.groups[name] // count))) for name in spec.blocks}
    found = []
    for blocks in itertools.permutations(range(count)):
        choices = [list(itertools.product(orders[name], repeat=count)) for name in spec.blocks]
        for chosen in itertools.product(*choices):
            units = {
                name: in_blocks(torch.tensor(blocks), [torch.tensor(order) for order in each])
                for name, each in zip(spec.blocks, chosen, strict=True)
            }
            found.append({"blocks": torch.tensor(blocks), **units})
    return found


def total(scores: dict[str, Tensor], permutation: Permutation) -> float:
    return sum(float(table[torch.arange(len(table)), permutation[name]].sum()) for name, table in scores.items())


def scores_for(spec: PermutationSpec, seed: int, own: bool) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    names = [name for name in spec.groups if own or name != "blocks"]
    sizes = (spec.groups[name] for name in names)
    return {n: torch.randn(s, s, generator=draws, dtype=torch.float64) for n, s in zip(names, sizes, strict=True)}


def test_there_are_as_many_orders_as_the_wreath_product_has() -> None:
    found = everything(spec_of(2, 3, 2))
    assert len(found) == 2 * 6**2 * 2**2
    assert len({tuple(torch.cat(list(p.values())).tolist()) for p in found}) == len(found)
    for permutation in found:
        validate(spec_of(2, 3, 2), permutation)


@pytest.mark.parametrize("own", [False, True], ids=["units alone", "scores of blocks too"])
@pytest.mark.parametrize("sizes", [(2, 2), (2, 3, 2), (2, 3, 3), (3, 2), (3, 2, 2), (2, 1), (1, 3)])
def test_nothing_is_better_than_what_is_found(sizes: tuple[int, ...], own: bool) -> None:
    spec = spec_of(*sizes)
    (groups,) = spec.together()
    choices = everything(spec)
    seen = set()
    for seed in range(10):
        scores = scores_for(spec, seed, own)
        found, value = assign_together(spec, groups, scores)
        assert found.keys() == spec.groups.keys()
        validate(spec, found)
        assert value == pytest.approx(total(scores, found), abs=1e-12)
        assert value == pytest.approx(max(total(scores, choice) for choice in choices), abs=1e-12)
        seen.add(tuple(torch.cat(list(found.values())).tolist()))
    assert len(seen) > 1, "the scores decide"


def test_scores_of_blocks_can_decide() -> None:
    spec = spec_of(2, 2)
    scores = {"a": torch.eye(4), "blocks": torch.tensor([[0.0, 9.0], [9.0, 0.0]])}
    assert assign_together(spec, ("blocks", "a"), scores)[0]["blocks"].tolist() == [1, 0]
    assert assign_together(spec, ("blocks", "a"), {"a": scores["a"]})[0]["blocks"].tolist() == [0, 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_finds_what_was_planted(seed: int, blocks: int, sizes: list[int]) -> None:
    spec = spec_of(blocks, *sizes)
    planted = random_permutation(spec, torch.Generator().manual_seed(seed))
    scores = {name: torch.eye(size)[planted[name]] for name, size in spec.groups.items()}
    found, value = assign_together(spec, spec.together()[0], scores)
    assert all(torch.equal(found[name], planted[name]) for name in planted)
    assert value == sum(spec.groups.values())


def test_a_group_alone_is_one_assignment() -> None:
    spec = PermutationSpec(groups={"up": 5}, axes={}, parameters=())
    scores = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    found, value = assign_together(spec, ("up",), {"up": scores})
    order, expected = assign(scores)
    assert torch.equal(found["up"], order) and value == expected
    best = max(sum(float(scores[i, j]) for i, j in enumerate(p)) for p in itertools.permutations(range(5)))
    assert value == pytest.approx(best, abs=1e-6)


def test_equal_scores_move_nothing() -> None:
    spec = spec_of(3, 4)
    scores = {"a": torch.zeros(12, 12)}
    found, value = assign_together(spec, ("blocks", "a"), scores)
    assert value == 0 and all(torch.equal(found[name], order) for name, order in identity(spec).items())
    assert torch.equal(scores["a"], torch.zeros(12, 12))


# Among likely partners


def test_is_never_worse_than_the_order_that_there_is():
    draws = torch.Generator().manual_seed(0)
    for size in (1, 5, 60, 200):
        scores = torch.randn(size, size, generator=draws)
        now = torch.randperm(size, generator=draws)
        order = assign_among_likely(scores, now, likely_from(scores))
        assert torch.equal(order.sort().values, torch.arange(size))
        rows = torch.arange(size)
        best, _ = assign(scores)
        reached, before, most = (float(scores[rows, places].double().sum()) for places in (order, now, best))
        assert before <= reached <= most + 1e-6
        assert reached > 0.99 * most


def test_equal_scores_and_outliers_are_no_trouble():
    for scores in (torch.zeros(100, 100), torch.full((100, 100), -3.0), torch.eye(100) * 1e6):
        now = torch.arange(100).flip(0)
        order = assign_among_likely(scores, now, likely_from(scores))
        assert torch.equal(order.sort().values, torch.arange(100))
    assert torch.equal(order, torch.arange(100))


@pytest.mark.parametrize("scale", [1e-30, 1e9, 1e30])
def test_the_scale_of_scores_does_not_matter(scale):
    scores = torch.randn(90, 90, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.equal(assign(scores)[0], assign(scores * scale)[0])
    now = torch.arange(90)
    assert torch.equal(
        assign_among_likely(scores, now, likely_from(scores)),
        assign_among_likely(scores * scale, now, likely_from(scores * scale)),
    )


def test_several_problems_are_solved_as_each_alone():
    scores = torch.randn(7, 20, 20, generator=torch.Generator().manual_seed(1))
    for one, order in zip(scores, assign_all(scores), strict=True):
        assert torch.equal(order, assign(one)[0])
    with pytest.raises(ValueError, match="diverge"):
        assign_all(scores / 0)
