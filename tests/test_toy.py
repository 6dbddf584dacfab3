"""Reordering hidden units moves weights and keeps the output, to the last digit."""

import itertools

import numpy as np
import pytest

from lmc.charts.toy import number, toy_edges, toy_nodes
from lmc.toy import ToyNetwork, check_order, swapped

ORDERS = list(itertools.permutations(range(3)))
INPUTS = [(1.0, 2.0), (0.0, 0.0), (-1.5, 0.5), (3.0, -2.0)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("x", INPUTS)
def test_output_stays_and_hidden_values_move(order: tuple[int, ...], x: tuple[float, float]) -> None:
    hidden, output = ToyNetwork().forward(x)
    moved, same = ToyNetwork().permuted(order).forward(x)
    assert same == output
    assert moved.tolist() == hidden[list(order)].tolist()


@pytest.mark.parametrize("order", ORDERS)
def test_weights_move_with_their_unit(order: tuple[int, ...]) -> None:
    toy, moved = ToyNetwork(), ToyNetwork().permuted(order)
    for place, unit in enumerate(order):
        assert moved.incoming[place].tolist() == toy.incoming[unit].tolist()
        assert moved.outgoing[place] == toy.outgoing[unit]


def test_all_units_differ_and_one_output_by_hand() -> None:
    hidden, output = ToyNetwork().forward((1.0, 2.0))
    assert hidden.tolist() == [2.5, 0.0, 1.0]
    assert output == 3.0
    assert len(set(map(tuple, ToyNetwork().incoming))) == 3


def test_swapping_twice_returns() -> None:
    assert swapped((0, 1, 2), 0, 2) == (2, 1, 0)
    assert swapped(swapped((1, 2, 0), 0, 1), 0, 1) == (1, 2, 0)


@pytest.mark.parametrize("order", [(0, 1), (0, 0, 1), (0, 1, 3)])
def test_orders_that_lose_a_unit_are_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="each of the units 0, 1 and 2 once"):
        check_order(order)


def test_weights_cannot_be_changed_or_misshapen() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ToyNetwork().incoming[0, 0] = 3.0
    with pytest.raises(ValueError, match="two inputs"):
        ToyNetwork(np.zeros((2, 2)))


@pytest.mark.parametrize("order", ORDERS)
def test_picture_shows_weights_where_they_are(order: tuple[int, ...]) -> None:
    toy = ToyNetwork()
    edges = toy_edges(toy, order).set_index("name")["weight"]
    assert edges["Input 2 to unit 1"] == toy.incoming[0, 1]
    assert edges["Unit 3 to output"] == toy.outgoing[2]
    nodes = toy_nodes(toy, (1.0, 2.0), order)
    assert nodes["name"].tolist()[2:5] == [f"Unit {unit + 1}" for unit in order]
    assert nodes.set_index("name")["text"]["Output"] == "3"


def test_weight_labels_do_not_overlap() -> None:
    places = toy_edges(ToyNetwork(), (0, 1, 2))[["label_x", "label_y"]].to_numpy()
    apart = [np.abs(a - b) for a, b in itertools.combinations(places, 2)]
    assert all(d[0] > 0.1 or d[1] > 0.2 for d in apart)


def test_numbers_are_written_with_a_minus_sign() -> None:
    assert [number(v) for v in (1.5, -0.5, 2.0)] == ["1.5", "−0.5", "2"]
