"""Assignment problems, plain ones and those of units in blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lmc.permutation import Permutation, in_blocks
from lmc.symmetry import PermutationSpec

lapjvh: Callable[..., tuple[Any, ...]] | None
try:
    from lap import lapjvh
except ImportError:  # SciPy's is exact too, and takes three to five times as long
    lapjvh = None


def assign(scores: Tensor) -> tuple[Tensor, float]:
    """The order of B's units that maximises the summed `scores` `[units of A, units of B]`, and that sum.

    Raises ValueError for scores that are not finite.
    """
    if not torch.isfinite(scores.sum()):
        raise ValueError("similarities that are not finite cannot be matched; did a network diverge?")
    costs = (-scores).double().cpu().numpy()
    rows, columns = linear_sum_assignment(costs) if lapjvh is None or not len(costs) else lapjvh(costs)[1:]
    value, unmoved = float(costs[rows, columns].sum()), float(np.trace(costs))
    if value >= unmoved:  # as good as it can be: nothing moves
        return torch.arange(len(costs)), -unmoved
    return torch.from_numpy(columns.astype(np.int64)), -value


def assign_together(
    spec: PermutationSpec, groups: tuple[str, ...], scores: Mapping[str, Tensor]
) -> tuple[Permutation, float]:
    """The best orders of groups that move together (an entry of `spec.together()`), and their summed scores.

    Without blocks that is one assignment. With blocks the best order of the units is found for every pair of blocks
    first; what these reach, with the scores of the blocks themselves if there are any, makes one more assignment.
    Exact, as long as the scores of a group do not depend on the order of another.
    """
    first, *inside = groups
    if not inside:
        order, value = assign(scores[first])
        return {first: order}, value
    count = spec.groups[first]
    values = scores[first].double().cpu().clone() if first in scores else torch.zeros(count, count).double()
    orders: dict[str, list[list[Tensor]]] = {}
    for name in inside:
        tiles = scores[name].double().cpu().unflatten(0, (count, -1)).unflatten(2, (count, -1))
        solved = [[assign(tiles[i, :, j]) for j in range(count)] for i in range(count)]
        values += torch.tensor(np.array([[value for _, value in row] for row in solved]))
        orders[name] = [[order for order, _ in row] for row in solved]
    blocks, value = assign(values)
    units = {name: in_blocks(blocks, [orders[name][i][j] for i, j in enumerate(blocks.tolist())]) for name in inside}
    return {first: blocks, **units}, value
