"""A reshape whose axes are worked out only when somebody asks for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lmc.symmetry.axes import Axis, Fixed, Product, SymmetryError, Unifier, product

Terms = tuple[Axis, ...]


@dataclass
class _Plan:
    """The entries of axes `inputs`, row-major, in `shape`; `axes` once they were asked for."""

    inputs: Terms
    shape: tuple[int, ...]
    axes: Terms | None = None


class Reshaped:
    """A tensor's entries in another shape, with the new axes in any order.

    Waiting keeps a freedom that one term for each axis cannot say. `[N, T, 3·h·d] → [N, T, 3, h, d]` and then a
    slice for each of query, key and value: asked for at once, the three would share one term for `d`. A slice
    taken of the plan instead cuts the long axis into a sum, and each part keeps units of its own.
    """

    def __init__(self, unifier: Unifier, plan: _Plan, order: tuple[int | None, ...]) -> None:
        self._unifier = unifier
        self._plan = plan
        self._order = order  # None: an axis of one entry that is not in the plan's shape

    @classmethod
    def of(cls, unifier: Unifier, inputs: Terms, shape: Sequence[int]) -> Reshaped:
        """The entries of a tensor with axes `inputs`, in `shape`.

        Raises:
            SymmetryError: the shape has another number of entries.
        """
        if math.prod(shape) != math.prod(axis.size for axis in inputs):
            raise SymmetryError(f"the shape {tuple(shape)} does not have as many entries as its input.")
        return cls(unifier, _Plan(inputs, tuple(shape)), tuple(range(len(shape))))

    def axes(self) -> Terms:
        """The terms of the axes: row-major, the products before and after are the same term."""
        plan = self._plan
        if plan.axes is None:
            plan.axes = tuple(self._unifier.fresh(size) for size in plan.shape)
            self._unifier.unify(product(plan.inputs), product(plan.axes))
        return tuple(Fixed(1) if dim is None else plan.axes[dim] for dim in self._order)

    def asked(self) -> bool:
        """Whether somebody has asked for the axes."""
        return self._plan.axes is not None

    def permuted(self, dims: Sequence[int]) -> Reshaped:
        """The axes in the order `dims`."""
        return Reshaped(self._unifier, self._plan, tuple(self._order[dim] for dim in dims))

    def squeezed(self, dims: Sequence[int]) -> Reshaped:
        """Without those of the axes `dims` that have one entry."""
        kept = (d for i, d in enumerate(self._order) if not (i in dims and (d is None or self._plan.shape[d] == 1)))
        return Reshaped(self._unifier, self._plan, tuple(kept))

    def unsqueezed(self, dim: int) -> Reshaped:
        """With a new axis of one entry at `dim`."""
        return Reshaped(self._unifier, self._plan, (*self._order[:dim], None, *self._order[dim:]))

    def selected(self, dim: int, index: int) -> Reshaped | None:
        """Entry `index` of the axis `dim`, which is gone; None where that is no part of one axis of the input."""
        plan, at = self._plan, self._order[dim]
        if at is None or plan.axes is not None:
            return None
        source = self._axis_led_by(at)
        if source is None:
            return None
        size = plan.inputs[source].size // plan.shape[at]
        part = self._unifier.part(plan.inputs[source], index * size, size)
        inputs = (*plan.inputs[:source], part, *plan.inputs[source + 1 :])
        order = tuple(d - (d > at) if d is not None else None for i, d in enumerate(self._order) if i != dim)
        return Reshaped(self._unifier, _Plan(inputs, (*plan.shape[:at], *plan.shape[at + 1 :])), order)

    def _axis_led_by(self, at: int) -> int | None:
        """The input axis whose leading factor the shape's axis `at` is, if parts can be cut from it for nothing."""
        before = math.prod(self._plan.shape[:at])
        for place, axis in enumerate(self._plan.inputs):
            if before == 1 and axis.size > 1:
                resolved = self._unifier.resolve(axis)
                led = resolved.size % self._plan.shape[at] == 0
                return place if led and not isinstance(resolved, Product) else None
            if before % axis.size:
                return None
            before //= axis.size
        return None
