"""A network small enough to read: two inputs, three hidden units, one output.

All weights are multiples of a half, so that sums of them are exact and the output stays the same to the
last digit whatever the order of the hidden units.

>>> toy = ToyNetwork()
>>> toy.forward((1.0, 2.0))
(array([2.5, 0. , 1. ]), 3.0)
>>> toy.permuted((2, 0, 1)).forward((1.0, 2.0))
(array([1. , 2.5, 0. ]), 3.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

UNITS = 3
IDENTITY = (0, 1, 2)


def _frozen(values: npt.ArrayLike) -> Array:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class ToyNetwork:
    """`output = outgoing · relu(incoming · x)`; row j of `incoming` and entry j of `outgoing` belong to unit j."""

    incoming: Array = field(default_factory=lambda: _frozen([[1.5, 0.5], [-1.0, 0.5], [2.0, -0.5]]))
    outgoing: Array = field(default_factory=lambda: _frozen([1.0, -1.5, 0.5]))

    def __post_init__(self) -> None:
        object.__setattr__(self, "incoming", _frozen(self.incoming))
        object.__setattr__(self, "outgoing", _frozen(self.outgoing))
        if self.incoming.shape != (UNITS, 2) or self.outgoing.shape != (UNITS,):
            raise ValueError("a toy network has two inputs, three hidden units and one output")

    def permuted(self, order: Sequence[int]) -> ToyNetwork:
        """The same network with unit `order[place]` at each place: its weights in and out move with it."""
        index = list(check_order(order))
        return ToyNetwork(self.incoming[index], self.outgoing[index])

    def forward(self, x: Sequence[float]) -> tuple[Array, float]:
        """The values of the hidden units and of the output for the input `x`."""
        hidden = np.maximum(self.incoming @ np.asarray(x, dtype=np.float64), 0.0)
        return hidden, float(self.outgoing @ hidden)


def check_order(order: Sequence[int]) -> tuple[int, ...]:
    """`order` if it names each of the three units once, else a ValueError."""
    if sorted(order) != list(IDENTITY):
        raise ValueError(f"an order names each of the units 0, 1 and 2 once, not {tuple(order)}")
    return tuple(int(unit) for unit in order)


def swapped(order: Sequence[int], first: int, second: int) -> tuple[int, ...]:
    """`order` with the units at two places exchanged.

    >>> swapped((0, 1, 2), 0, 2)
    (2, 1, 0)
    """
    new = list(check_order(order))
    new[first], new[second] = new[second], new[first]
    return tuple(new)
