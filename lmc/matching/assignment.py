"""Assignment problems, plain ones and those of units in blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtri
from torch import Tensor

from lmc.permutation import Permutation, in_blocks
from lmc.symmetry import PermutationSpec

lapjvh: Callable[..., tuple[Any, ...]] | None
lapmod: Callable[..., tuple[Any, ...]] | None
try:
    from lap import lapjvh, lapmod
except ImportError:  # SciPy's is exact too, and takes three to five times as long
    lapjvh = lapmod = None

LIKELY = 48  # partners a unit that are looked at, about, when scores fall as chance has it


def assign(scores: Tensor) -> tuple[Tensor, float]:
    """The order of B's units that maximises the summed `scores` `[units of A, units of B]`, and that sum.

    Raises ValueError for scores that are not finite.
    """
    order = assign_all(scores[None])[0]
    values = scores.double().cpu()
    value, unmoved = float(values.gather(1, order[:, None]).sum()), float(values.trace())
    if value <= unmoved:  # as good as it can be: nothing moves
        return torch.arange(len(order)), unmoved
    return order, value


def assign_all(scores: Tensor) -> Tensor:
    """The orders `[problems, units]` that maximise the summed `scores` `[problems, units of A, units of B]`.

    Raises ValueError for scores that are not finite.
    """
    if not torch.isfinite(scores.sum()):
        raise ValueError("similarities that are not finite cannot be matched; did a network diverge?")
    costs = _costs(scores)
    if lapjvh is None or not costs.size:
        columns = [linear_sum_assignment(one)[1] for one in costs]
    else:
        columns = [lapjvh(one, return_cost=False)[1] for one in costs]
    return torch.from_numpy(np.stack(columns).astype(np.int64))


def _costs(scores: Tensor) -> np.ndarray:
    """What a solver minimises, float64. Scaled to at most 1, exactly, as `lap` takes numbers from 10⁶ for infinite."""
    largest = math.frexp(float(scores.abs().max()))[1] if scores.numel() else 0
    return (-scores).double().mul_(math.ldexp(1.0, -max(0, largest))).cpu().numpy()


def likely_from(scores: Tensor) -> Tensor:
    """For every unit of A the score from which on a partner is a likely one, `[units]`."""
    count = len(scores)
    if count <= LIKELY:
        return scores.new_full((count,), -math.inf)
    mean = scores.mean(1)
    spread = (scores.norm(dim=1).square() / count - mean.square()).clamp_min(0).sqrt()
    return mean + float(ndtri(1 - LIKELY / count)) * spread


def assign_among_likely(scores: Tensor, now: Tensor, least: Tensor) -> Tensor:
    """A good order of B's units, `[units]`: the best among partners with scores from `least` and those of `now`.

    Several times as fast as `assign` for large problems, and never worse than the order `now`.
    """
    if lapmod is None:
        return assign(scores)[0]
    count = len(scores)
    likely = scores >= least[:, None]
    likely[torch.arange(count, device=scores.device), now] = True
    places = torch.from_numpy(np.flatnonzero(likely.cpu().numpy()))  # faster than torch's on the CPU
    begins = torch.searchsorted(places, torch.arange(0, count * count + 1, count)).int().numpy()
    columns = (places % count).int().numpy()
    costs = _costs(scores.flatten()[places.to(scores.device)])
    partners, _ = lapmod(count, costs - costs.min(), begins, columns, return_cost=False)
    return torch.from_numpy(partners.astype(np.int64))


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
