"""Reshapes that wait: what a slice taken of the plan leaves free, and what asking for the axes binds."""

from __future__ import annotations

import pytest

from lmc.symmetry.axes import Fixed, Group, Product, Sum, SymmetryError, Unifier
from lmc.symmetry.reshaped import Reshaped


def waiting(u: Unifier, units: int = 12) -> tuple[Group, Reshaped]:
    """`[5, units]` as `[5, 3, 2, units / 6]`, as when queries, keys and values come from one layer."""
    axis = u.fresh(units)
    assert isinstance(axis, Group)
    return axis, Reshaped.of(u, (Fixed(5), axis), (5, 3, 2, units // 6))


def test_nothing_is_bound_before_somebody_asks() -> None:
    u = Unifier()
    axis, reshaped = waiting(u)
    reshaped.permuted([1, 0, 2, 3]).unsqueezed(0).squeezed([0])
    assert not reshaped.asked() and u.resolve(axis) == axis


def test_asking_makes_the_axis_a_product_once() -> None:
    u = Unifier()
    axis, reshaped = waiting(u)
    moved = reshaped.permuted([1, 2, 0, 3])
    first, second = moved.axes(), reshaped.axes()
    assert [a.size for a in first] == [3, 2, 5, 2] and first[0] == second[1]
    assert u.resolve(axis) == Product(tuple(map(u.resolve, second[1:])))
    assert moved.asked()


def test_slices_are_parts_of_a_sum() -> None:
    u = Unifier()
    axis, reshaped = waiting(u)
    parts = [reshaped.permuted([1, 0, 3, 2]).selected(0, index) for index in (2, 0, 1)]
    assert all(part is not None and [a.size for a in part.axes()] == [5, 2, 2] for part in parts)
    found = u.resolve(axis)
    assert isinstance(found, Sum) and len(set(found.parts)) == 3
    heads, inner = u.resolve(parts[0].axes()[2]), u.resolve(parts[0].axes()[1])
    assert found.parts[2] == Product((heads, inner)), "index 2 is the last part"


def test_a_slice_after_asking_or_of_an_inner_factor_is_refused() -> None:
    u = Unifier()
    _, reshaped = waiting(u)
    assert reshaped.selected(2, 0) is None and reshaped.selected(3, 0) is None
    reshaped.axes()
    assert reshaped.selected(1, 0) is None


def test_a_slice_does_not_fix_an_axis_that_is_a_product_already() -> None:
    u = Unifier()
    heads, inner = u.fresh(6), u.fresh(2)
    reshaped = Reshaped.of(u, (Fixed(5), Product((heads, inner))), (5, 3, 2, 2))
    assert reshaped.selected(1, 0) is None and u.resolve(heads) == heads


def test_axes_of_one_entry_come_and_go() -> None:
    u = Unifier()
    reshaped = Reshaped.of(u, (Fixed(5), u.fresh(6)), (5, 1, 2, 3))
    squeezed = reshaped.squeezed([0, 1])
    assert [a.size for a in squeezed.unsqueezed(3).axes()] == [5, 2, 3, 1]


def test_another_number_of_entries_is_refused() -> None:
    u = Unifier()
    with pytest.raises(SymmetryError, match="entries"):
        Reshaped.of(u, (Fixed(5), u.fresh(6)), (5, 7))
