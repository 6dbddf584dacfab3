"""Two small networks that both answer XOR right, and that no order of hidden units connects.

They solve it in different ways: A's units ask whether one input is larger than the other, B's count the inputs that are
on. An example of this kind stands in the appendix of Git Re-Basin (A.6). The networks here are ours, with two inputs,
two hidden units and one output, so every order can be tried.

>>> A.answers(POINTS).tolist() == B.answers(POINTS).tolist() == TRUTH.tolist()
True
>>> [float(errors(A, B, order, [0.5])[0]) for order in orders(B)]
[0.5, 0.5]
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Answers = npt.NDArray[np.int64]

POINTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TRUTH = np.array([0, 1, 1, 0])
"""XOR: 1 where exactly one input is 1."""
LAMS = np.linspace(0, 1, 101)
"""On this grid no output of a mixture of A and B is nearer to 0 than 0.001: rounding decides no answer."""


@dataclass(frozen=True, eq=False)
class SmallNetwork:
    """`output = outgoing · relu(incoming · (x, 1)) + bias`, and the answer is 1 if that is above 0, else 0.

    Row j of `incoming` holds the two weights and the bias of unit j, entry j of `outgoing` its weight to the output.
    """

    incoming: Array
    outgoing: Array
    bias: float

    def __post_init__(self) -> None:
        for name in ("incoming", "outgoing"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.incoming.shape != (len(self.outgoing), 3):
            raise ValueError("each hidden unit has two weights and a bias, and one weight to the output")

    def outputs(self, points: npt.ArrayLike) -> Array:
        """The output at each of the points `[N, 2]`."""
        x = np.asarray(points, dtype=np.float64)
        hidden = np.maximum(x @ self.incoming[:, :2].T + self.incoming[:, 2], 0.0)
        values: Array = hidden @ self.outgoing + self.bias
        return values

    def answers(self, points: npt.ArrayLike) -> Answers:
        """0 or 1 for each of the points."""
        return (self.outputs(points) > 0).astype(np.int64)

    def permuted(self, order: Sequence[int]) -> SmallNetwork:
        """The same network with unit `order[place]` at each place: its weights in and out move with it."""
        index = list(order)
        if sorted(index) != list(range(len(self.outgoing))):
            raise ValueError(f"an order names each of {len(self.outgoing)} units once, not {tuple(order)}")
        return SmallNetwork(self.incoming[index], self.outgoing[index], self.bias)


A = SmallNetwork(np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]]), np.array([1.0, 1.0]), -0.5)
B = SmallNetwork(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, -1.0]]), np.array([1.0, -2.0]), -0.5)


def orders(network: SmallNetwork) -> list[tuple[int, ...]]:
    """All orders of its units, as they are first.

    >>> orders(B)
    [(0, 1), (1, 0)]
    """
    return list(itertools.permutations(range(len(network.outgoing))))


def mixed(a: SmallNetwork, b: SmallNetwork, lam: float) -> SmallNetwork:
    """The network whose every weight is (1−λ) times that of `a` plus λ times that of `b`."""
    return SmallNetwork(
        (1 - lam) * a.incoming + lam * b.incoming,
        (1 - lam) * a.outgoing + lam * b.outgoing,
        (1 - lam) * a.bias + lam * b.bias,
    )


def errors(a: SmallNetwork, b: SmallNetwork, order: Sequence[int], lams: Sequence[float] | Array = LAMS) -> Array:
    """The share of the four points that is answered wrongly, at each λ on the segment to `b` in this order."""
    moved = b.permuted(order)
    return np.array([np.mean(mixed(a, moved, float(lam)).answers(POINTS) != TRUTH) for lam in lams])


def inner_product(a: SmallNetwork, b: SmallNetwork) -> float:
    """⟨θ_A, θ_B⟩ over all weights that an order can move; weight matching looks for the order that makes it largest."""
    return float(np.sum(a.incoming * b.incoming) + np.sum(a.outgoing * b.outgoing))


def matched(a: SmallNetwork, b: SmallNetwork) -> list[tuple[int, ...]]:
    """The orders of `b` that weight matching could choose: all that have the largest inner product with `a`.

    >>> matched(A, B)  # the two are equally good to it
    [(0, 1), (1, 0)]
    """
    values = {order: inner_product(a, b.permuted(order)) for order in orders(b)}
    return [order for order, value in values.items() if value == max(values.values())]


def lowest_peak(a: SmallNetwork, b: SmallNetwork) -> float:
    """The highest error on the way to `b` in its best order: every order is tried.

    >>> lowest_peak(A, B)
    0.5
    """
    return min(float(errors(a, b, order).max()) for order in orders(b))
