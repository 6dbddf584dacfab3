"""Both networks answer XOR right, and no order of B's units connects them to A: all by brute force."""

import doctest
import itertools

import numpy as np
import pytest

import lmc.counterexample
from lmc.counterexample import (
    LAMS,
    POINTS,
    TRUTH,
    A,
    B,
    SmallNetwork,
    errors,
    inner_product,
    lowest_peak,
    matched,
    mixed,
    orders,
)

STEPS = [(0.0, 0.0), (0.14, 0.25), (0.22, 0.5), (0.79, 0.25), (0.87, 0.0)]
"""λ from which on the error has this value, up to the next."""


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(lmc.counterexample).failed == 0


@pytest.mark.parametrize("network", [A, B])
def test_both_answer_all_four_points_right(network):
    assert network.answers(POINTS).tolist() == TRUTH.tolist() == [x != y for x, y in POINTS.astype(int).tolist()]
    assert network.outputs(POINTS).tolist() == [-0.5, 0.5, 0.5, -0.5]


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_every_order_goes_wrong_on_the_way(order):
    found = errors(A, B, order)
    expected = [[value for start, value in STEPS if lam >= start - 1e-9][-1] for lam in LAMS]
    assert found.tolist() == expected
    assert found[0] == found[-1] == 0 and found.max() == 0.5


def test_all_orders_are_tried():
    assert orders(B) == list(itertools.permutations(range(2)))
    assert lowest_peak(A, B) == min(errors(A, B, order).max() for order in itertools.permutations(range(2))) == 0.5


def test_no_answer_hangs_on_rounding():
    nearest = min(np.abs(mixed(A, B.permuted(order), lam).outputs(POINTS)).min() for order in orders(B) for lam in LAMS)
    assert nearest > 1e-3


def test_an_order_moves_units_and_changes_no_answer():
    rng = np.random.default_rng(0)
    points = rng.uniform(-2, 2, (200, 2))
    network = SmallNetwork(rng.normal(size=(4, 3)), rng.normal(size=4), 0.3)
    for order in orders(network):
        moved = network.permuted(order)
        assert np.allclose(moved.outputs(points), network.outputs(points), atol=1e-12)
        assert moved.incoming[0].tolist() == network.incoming[order[0]].tolist()


@pytest.mark.parametrize("name", orders(A))
def test_other_names_for_the_units_of_both_change_nothing(name):
    """Units of A called otherwise, and B's as well: the same curves, belonging to other orders."""
    curves = {errors(A, B, order).tobytes() for order in orders(B)}
    assert {errors(A.permuted(name), B, order).tobytes() for order in orders(B)} == curves
    assert {errors(A, B.permuted(name), order).tobytes() for order in orders(B)} == curves
    for order in orders(B):
        renamed = [order[unit] for unit in name]
        assert errors(A.permuted(name), B, renamed).tolist() == errors(A, B, order).tolist()
        assert inner_product(A.permuted(name), B.permuted(renamed)) == inner_product(A, B.permuted(order))


def test_from_b_to_a_is_the_same_way_back():
    for order in orders(B):
        back = [mixed(B.permuted(order), A, lam) for lam in LAMS]
        wrong = [float(np.mean(network.answers(POINTS) != TRUTH)) for network in back]
        assert wrong == errors(A, B, order)[::-1].tolist()


def test_weight_matching_has_nothing_to_choose_by():
    by_hand = [1 * 1 + (-1) * 1 + (-1) * 1 + 1 * 1 + 1 * 1 + 1 * (-2)] * 2
    assert [inner_product(A, B.permuted(order)) for order in orders(B)] == by_hand == [-1, -1]
    assert matched(A, B) == orders(B)
    assert matched(A, A) == [(0, 1)] and lowest_peak(A, A) == 0


def test_orders_that_lose_a_unit_and_misshapen_weights_are_refused():
    with pytest.raises(ValueError, match="names each of 2 units once"):
        B.permuted((0, 0))
    with pytest.raises(ValueError, match="two weights and a bias"):
        SmallNetwork(np.zeros((2, 2)), np.zeros(2), 0.0)
    with pytest.raises(ValueError, match="read-only"):
        A.incoming[0, 0] = 3.0
