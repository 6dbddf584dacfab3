"""Terms and the union-find over them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmc.symmetry.axes import (
    Axis,
    Fixed,
    Group,
    Product,
    Sum,
    SymmetryError,
    Unifier,
    concatenation,
    groups_in,
    product,
    spans,
)

A, B = Group("a", 4), Group("b", 6)
TERMS = st.recursive(
    st.one_of(
        st.integers(1, 4).map(Fixed),
        st.integers(2, 4).map(lambda size: Group(f"g{size}", size)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: Product(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: Sum(tuple(parts))),
    ),
    max_leaves=6,
)


def test_sizes() -> None:
    assert Product((A, Fixed(3))).size == 12
    assert Sum((A, B, Fixed(1))).size == 11


def test_normal_forms() -> None:
    assert product([A, Fixed(1)]) == A
    assert product([Fixed(2), Fixed(3), A]) == Product((Fixed(6), A))
    assert product([Product((A, Product((B, Fixed(2))))), Fixed(2)]) == Product((A, B, Fixed(4)))
    assert product([]) == Fixed(1)
    assert concatenation([Fixed(2), Sum((Fixed(3), A))]) == Sum((Fixed(5), A))
    assert concatenation([A, Fixed(0)]) == A


@given(TERMS)
def test_normal_form_keeps_size_and_groups(term: Axis) -> None:
    normal = Unifier().resolve(term)
    assert normal.size == term.size and list(groups_in(normal)) == list(groups_in(term))


@given(TERMS)
def test_spans_cover_an_axis_once(term: Axis) -> None:
    try:
        runs = spans(term)
    except SymmetryError:
        return
    assert [a for a, _, _ in runs] == [0, *(b for _, b, _ in runs)][:-1]
    assert runs[-1][1] == term.size
    for start, stop, factors in runs:
        assert product(factors).size == stop - start
        assert all(isinstance(factor, Fixed | Group) for factor in factors)


def test_spans_unfold_a_fixed_factor_around_a_sum() -> None:
    assert spans(Product((Fixed(2), Sum((A, B))))) == [
        (0, 4, (A,)),
        (4, 10, (B,)),
        (10, 14, (A,)),
        (14, 20, (B,)),
    ]
    with pytest.raises(SymmetryError, match="concatenation"):
        spans(Product((A, Sum((A, B)))))


def test_unification_is_transitive_and_fixed_spreads() -> None:
    u = Unifier()
    a, b, c = (u.fresh(8) for _ in range(3))
    u.unify(a, b)
    u.unify(b, c)
    assert u.resolve(a) == u.resolve(b) == u.resolve(c)
    u.unify(c, Fixed(8))
    assert u.resolve(a) == Fixed(8)


def test_different_sizes_cannot_be_unified() -> None:
    u = Unifier()
    with pytest.raises(SymmetryError, match="8 entries cannot move with one of 9"):
        u.unify(u.fresh(8), u.fresh(9))


def test_flatten_and_linear() -> None:
    u = Unifier()
    channel, weight = u.fresh(8), u.fresh(8 * 49)
    u.unify(product([channel, Fixed(7), Fixed(7)]), weight)
    assert u.resolve(weight) == Product((u.resolve(channel), Fixed(49)))


def test_an_atom_is_split_on_demand() -> None:
    u = Unifier()
    units, heads, inner = u.fresh(12), u.fresh(3), u.fresh(4)
    u.unify(units, product([heads, inner]))
    assert u.resolve(units) == Product((u.resolve(heads), u.resolve(inner)))
    u.unify(heads, Fixed(3))
    assert u.resolve(units) == Product((Fixed(3), u.resolve(inner)))


def test_the_right_side_is_split_too() -> None:
    u = Unifier()
    a, b, c = u.fresh(6), u.fresh(2), u.fresh(3)
    u.unify(product([a, c]), product([b, u.fresh(3), u.fresh(3)]))
    assert isinstance(u.resolve(a), Product) and u.resolve(a).parts[0] == u.resolve(b)


def test_factors_without_a_common_refinement_are_fixed_and_the_rest_is_not() -> None:
    u = Unifier()
    a, b, c, d, e, f = (u.fresh(size) for size in (6, 4, 5, 8, 3, 5))
    u.unify(product([a, b, c]), product([d, e, f]))
    assert all(isinstance(u.resolve(axis), Fixed) for axis in (a, b, d, e))
    assert u.resolve(c) == u.resolve(f) and isinstance(u.resolve(c), Group)


def test_sums_are_matched_and_cut() -> None:
    u = Unifier()
    whole, a, b = u.fresh(7), u.fresh(3), u.fresh(4)
    u.unify(whole, concatenation([a, b]))
    assert u.resolve(whole) == Sum((u.resolve(a), u.resolve(b)))
    first, second = u.cut(whole, 5)
    assert first.size == 5 and second.size == 2
    assert u.resolve(whole) == concatenation([u.resolve(first), u.resolve(second)])


def test_a_sum_of_equal_parts_meets_a_product() -> None:
    u = Unifier()
    parts = [u.fresh(4) for _ in range(3)]
    copies, inner = u.fresh(3), u.fresh(4)
    u.unify(concatenation(parts), product([copies, inner]))
    assert u.resolve(copies) == Fixed(3)
    assert {u.resolve(part) for part in parts} == {u.resolve(inner)}


def test_cutting_through_a_product_fixes_it() -> None:
    u = Unifier()
    heads, inner = u.fresh(3), u.fresh(4)
    assert u.cut(product([heads, inner]), 4) == (Fixed(4), Fixed(8))
    assert u.resolve(heads) == Fixed(3) and u.resolve(inner) == Fixed(4)


def test_parts_of_an_axis() -> None:
    u = Unifier()
    axis = u.fresh(9)
    assert u.part(axis, 0, 9) == axis and isinstance(u.resolve(axis), Group), "nothing was cut"
    middle = u.part(axis, 2, 4)
    assert [part.size for part in u.resolve(axis).parts] == [2, 4, 3]
    assert u.resolve(axis).parts[1] == u.resolve(middle) == u.resolve(u.part(axis, 2, 4))
    whole = product([Fixed(3), u.fresh(4)])
    assert u.part(whole, 4, 4) == whole.parts[1]


@given(TERMS, st.data())
def test_unifying_makes_terms_equal(term: Axis, data: st.DataObject) -> None:
    u = Unifier()
    atoms: dict[str, Axis] = {}

    def alive(axis: Axis) -> Axis:
        if isinstance(axis, Group):
            return atoms.setdefault(axis.name, u.fresh(axis.size))
        if isinstance(axis, Product | Sum):
            return type(axis)(tuple(map(alive, axis.parts)))
        return axis

    left = u.resolve(alive(term))
    other = data.draw(TERMS.filter(lambda found: found.size == term.size) | st.just(u.fresh(term.size)))
    u.unify(left, right := u.resolve(alive(other)))
    # Fixed parts merge differently in nested terms; where the two differ in form they must be fixed.
    a, b = u.resolve(left), u.resolve(right)
    assert [g.name for g in groups_in(a)] == [g.name for g in groups_in(b)] or _same_movement(a, b)


def _same_movement(a: Axis, b: Axis) -> bool:
    """Compare terms by what they do to positions under random permutations of their atoms."""
    import torch

    from lmc.symmetry.spec import PermutationSpec

    atoms = {g.name: g.size for term in (a, b) for g in groups_in(term)}
    spec = PermutationSpec(groups=atoms, axes={}, parameters=())
    permutation = {name: torch.arange(size).roll(1) for name, size in atoms.items()}
    indices = [spec.index(term, permutation) for term in (a, b)]
    still = torch.arange(a.size)
    left, right = (still if index is None else index for index in indices)
    return torch.equal(left, right)
