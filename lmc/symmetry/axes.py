"""What one axis of a tensor is, said as a term over permutable groups.

An axis of a network's tensors is either left alone (`Fixed`), permuted as a whole (`Group`), a row-major
product of axes (`Product`: a flatten, or heads), or a concatenation of axes (`Sum`: a cat, or fused
projections). Terms are immutable; `Unifier` is the bookkeeping that finds out, while a model's graph is
read, which axes must move together.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property


class SymmetryError(ValueError):
    """A symmetry that cannot be derived, or a spec that does not hold for its model."""


@dataclass(frozen=True)
class Fixed:
    """An axis of `size` entries that never moves."""

    size: int


@dataclass(frozen=True)
class Group:
    """An axis whose `size` entries are the units of the group `name`."""

    name: str
    size: int


@dataclass(frozen=True)
class Product:
    """Several axes flattened row-major into one; `Product((Group("conv", 8), Fixed(16)))` is a flatten."""

    parts: tuple[Axis, ...]

    @cached_property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(part.size for part in self.parts)


@dataclass(frozen=True)
class Sum:
    """Several axes laid one after the other, as `torch.cat` does."""

    parts: tuple[Axis, ...]

    @cached_property
    def size(self) -> int:
        """The number of entries."""
        return sum(part.size for part in self.parts)


Axis = Fixed | Group | Product | Sum


def product(parts: Iterable[Axis]) -> Axis:
    """The product of axes in normal form: no size-1 factors, nothing nested, neighbouring `Fixed` merged."""
    flat: list[Axis] = []
    for part in parts:
        whole = product(part.parts) if isinstance(part, Product) else part
        for factor in whole.parts if isinstance(whole, Product) else (whole,):
            if factor.size == 1:
                continue
            if isinstance(factor, Fixed) and flat and isinstance(flat[-1], Fixed):
                factor = Fixed(flat.pop().size * factor.size)
            flat.append(factor)
    if not flat:
        return Fixed(1)
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


def concatenation(parts: Iterable[Axis]) -> Axis:
    """The sum of axes in normal form: no empty parts, nothing nested, neighbouring `Fixed` merged."""
    flat: list[Axis] = []
    for part in parts:
        whole = concatenation(part.parts) if isinstance(part, Sum) else part
        for piece in whole.parts if isinstance(whole, Sum) else (whole,):
            if piece.size == 0:
                continue
            if isinstance(piece, Fixed) and flat and isinstance(flat[-1], Fixed):
                piece = Fixed(flat.pop().size + piece.size)
            flat.append(piece)
    if not flat:
        return Fixed(0)
    return flat[0] if len(flat) == 1 else Sum(tuple(flat))


def groups_in(axis: Axis) -> Iterator[Group]:
    """The groups of a term from left to right, with repetitions."""
    if isinstance(axis, Group):
        yield axis
    elif isinstance(axis, Product | Sum):
        for part in axis.parts:
            yield from groups_in(part)


def spans(axis: Axis) -> list[tuple[int, int, tuple[Axis, ...]]]:
    """Cut an axis into runs `(start, stop, factors)`; every factor is a `Group` or a `Fixed`.

    Raises:
        SymmetryError: a concatenation lies inside a moving product, so no run of entries is a plain product.
    """
    if isinstance(axis, Product):
        axis = product(axis.parts)
    if isinstance(axis, Fixed | Group):
        return [(0, axis.size, (axis,))]
    runs: list[tuple[int, int, tuple[Axis, ...]]] = []
    if isinstance(axis, Sum):
        start = 0
        for part in axis.parts:
            runs += [(start + a, start + b, factors) for a, b, factors in spans(part)]
            start += part.size
        return runs
    if not any(isinstance(part, Sum) for part in axis.parts):
        return [(0, axis.size, axis.parts)]
    head, rest = axis.parts[0], axis.parts[1:]
    if isinstance(head, Fixed):
        return spans(Sum((product(rest),) * head.size))
    if isinstance(head, Sum):
        return spans(Sum(tuple(product((part, *rest)) for part in head.parts)))
    raise SymmetryError(f"the units of {head} move around a concatenation, which no slice can follow.")


class Unifier:
    """Union-find over axis terms: atoms are `Group`s with made-up names that may be bound to other terms."""

    def __init__(self) -> None:
        self._bound: dict[str, Axis] = {}
        self._count = 0

    def fresh(self, size: int) -> Axis:
        """A new atom about which nothing is known; an axis of at most one entry cannot move."""
        if size <= 1:
            return Fixed(size)
        self._count += 1
        return Group(f"?{self._count}", size)

    def resolve(self, axis: Axis) -> Axis:
        """The term as it is known by now, in normal form."""
        if isinstance(axis, Group):
            if axis.name not in self._bound:
                return axis
            self._bound[axis.name] = found = self.resolve(self._bound[axis.name])
            return found
        if isinstance(axis, Product):
            return product(self.resolve(part) for part in axis.parts)
        if isinstance(axis, Sum):
            return concatenation(self.resolve(part) for part in axis.parts)
        return axis

    def fix(self, *axes: Axis) -> None:
        """Forbid every movement along the axes."""
        for axis in axes:
            for atom in groups_in(self.resolve(axis)):
                self._bound[atom.name] = Fixed(atom.size)

    def unify(self, a: Axis, b: Axis) -> None:
        """Make two axes move together; where no common term exists, both stay fixed.

        Raises:
            SymmetryError: the axes differ in size.
        """
        a, b = self.resolve(a), self.resolve(b)
        if a.size != b.size:
            raise SymmetryError(f"an axis of {a.size} entries cannot move with one of {b.size}.")
        if a == b:
            return
        if isinstance(a, Fixed) or isinstance(b, Fixed):
            self.fix(a, b)
        elif isinstance(a, Group):
            self._bound[a.name] = b
        elif isinstance(b, Group):
            self._bound[b.name] = a
        elif isinstance(a, Product) and isinstance(b, Product):
            self._unify_products(a.parts, b.parts)
        else:
            self._unify_sums(self._addends(a), self._addends(b))

    def _addends(self, axis: Axis) -> tuple[Axis, ...]:
        """The parts of a sum; a product is a sum of copies once its leading factor is fixed."""
        if isinstance(axis, Sum):
            return axis.parts
        assert isinstance(axis, Product)
        self.fix(axis.parts[0])
        head = self.resolve(axis.parts[0])
        return (product(axis.parts[1:]),) * head.size

    def _unify_products(self, a: Sequence[Axis], b: Sequence[Axis]) -> None:
        """Match factors from the left; a larger factor is split when its size allows it."""
        left, right = deque(a), deque(b)
        while left and right:
            x, y = self._pop_factor(left), self._pop_factor(right)
            if x.size < y.size:
                left, right, x, y = right, left, y, x
            # x is now the larger one
            if x.size == y.size:
                self.unify(x, y)
            elif (parts := self._split(x, y.size)) is not None:
                left.extendleft(reversed(parts))
                right.appendleft(y)
            else:
                self._unify_gathered(x, y, left, right)

    def _unify_gathered(self, x: Axis, y: Axis, left: deque[Axis], right: deque[Axis]) -> None:
        """Collect factors on both sides until the sizes agree, then unify the sums or fix what was met."""
        xs, ys = [x], [y]
        while (width := math.prod(p.size for p in xs)) != (other := math.prod(p.size for p in ys)):
            side, taken = (left, xs) if width < other else (right, ys)
            taken.append(self._pop_factor(side))
        if len(xs) == 1 and isinstance(xs[0], Sum):
            self.unify(xs[0], product(ys))
        else:
            self.fix(*xs, *ys)

    def _pop_factor(self, parts: deque[Axis]) -> Axis:
        """The next single factor, looked up now because earlier steps may have bound it."""
        factor = self.resolve(parts.popleft())
        if isinstance(factor, Product):
            parts.extendleft(reversed(factor.parts[1:]))
            return factor.parts[0]
        return factor

    def _split(self, axis: Axis, lead: int) -> tuple[Axis, Axis] | None:
        """Write an axis as a product with a leading factor of size `lead`, or None when it has none."""
        if axis.size % lead or not isinstance(axis, Fixed | Group):
            return None
        rest = axis.size // lead
        if isinstance(axis, Fixed):
            return Fixed(lead), Fixed(rest)
        parts = self.fresh(lead), self.fresh(rest)
        self._bound[axis.name] = Product(parts)
        return parts

    def _unify_sums(self, a: Sequence[Axis], b: Sequence[Axis]) -> None:
        """Match addends from the left; a larger one is cut, or fixed when it cannot be cut."""
        left, right = deque(a), deque(b)
        while left and right:
            x, y = self._pop_addend(left), self._pop_addend(right)
            if x.size < y.size:
                left, right, x, y = right, left, y, x
            if x.size == y.size:
                self.unify(x, y)
            else:
                left.extendleft(reversed(self.cut(x, y.size)))
                right.appendleft(y)

    def _pop_addend(self, parts: deque[Axis]) -> Axis:
        addend = self.resolve(parts.popleft())
        if isinstance(addend, Sum):
            parts.extendleft(reversed(addend.parts[1:]))
            return addend.parts[0]
        return addend

    def cut(self, axis: Axis, at: int) -> tuple[Axis, Axis]:
        """Write an axis as a sum of its first `at` entries and the rest, fixing what stands in the way."""
        axis = self.resolve(axis)
        if isinstance(axis, Group):
            halves = self.fresh(at), self.fresh(axis.size - at)
            self._bound[axis.name] = Sum(halves)
            return halves
        if isinstance(axis, Sum):
            return self._cut_sum(axis, at)
        if isinstance(axis, Product):
            head, rest = axis.parts[0], product(axis.parts[1:])
            if isinstance(head, Fixed) and at % rest.size == 0:
                first = at // rest.size
                return product((Fixed(first), rest)), product((Fixed(head.size - first), rest))
            self.fix(axis)
        return Fixed(at), Fixed(axis.size - at)

    def part(self, axis: Axis, start: int, length: int) -> Axis:
        """The entries `start` to `start + length` of an axis, cut from it."""
        if start:
            axis = self.cut(axis, start)[1]
        return self.cut(axis, length)[0] if length < axis.size else axis

    def _cut_sum(self, axis: Sum, at: int) -> tuple[Axis, Axis]:
        before: list[Axis] = []
        after = list(axis.parts)
        while after and at >= after[0].size:
            at -= after[0].size
            before.append(after.pop(0))
        if at:
            first, second = self.cut(after.pop(0), at)
            before.append(first)
            after.insert(0, second)
        return concatenation(before), concatenation(after)
