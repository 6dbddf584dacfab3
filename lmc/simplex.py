"""Mixtures of several networks: points of a simplex, and the networks there.

Weights w have w_i ≥ 0 and Σ w_i = 1; the network there is Σ w_i θ_i. Points of a plane through three networks have
weights that may be negative.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lmc.stacking import State

Weights = npt.NDArray[np.float64]


def simplex_grid(corners: int, side: int) -> Weights:
    """All weights that are multiples of 1/side, `[points, corners]`: corners, edges and inside.

    >>> simplex_grid(3, 2).tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    """
    bars = np.array(list(itertools.combinations(range(side + corners - 1), corners - 1)), int)
    edges = np.concatenate([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), side + corners - 1)], 1)
    return (np.diff(edges, axis=1) - 1) / side


def random_weights(corners: int, count: int, rng: np.random.Generator) -> Weights:
    """Uniform draws from the inside of the simplex, `[count, corners]`."""
    return rng.dirichlet(np.ones(corners), count)


def centroid(corners: int) -> Weights:
    """Equal weights, `[1, corners]`."""
    return np.full((1, corners), 1 / corners)


def combine(states: Sequence[Mapping[str, Tensor]], weights: Weights) -> State:
    """Σ w_i θ_i for every row of `weights` `[points, networks]`, stacked: `[points, *shape]`; corners are exact.

    Tensors that are not floating point are taken from the first network.
    """
    found = {}
    for name, first in states[0].items():
        if not first.is_floating_point():
            found[name] = first.expand(len(weights), *first.shape)
            continue
        mix = torch.as_tensor(weights, dtype=first.dtype, device=first.device)
        flat = torch.stack([state[name].reshape(-1) for state in states])
        found[name] = (mix @ flat).view(len(weights), *first.shape)
    return found


def plane_weights(u: Weights, v: Weights, corners: Weights) -> Weights:
    """Weights `[points, 3]` of the points (u, v) of the plane where the three networks stand at `corners` `[3, 2]`."""
    system = np.concatenate([corners.T, np.ones((1, 3))])
    return np.linalg.solve(system, np.stack([u, v, np.ones_like(u)])).T


def plane_corners(states: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> Weights:
    """Where three networks stand in the plane through them, `[3, 2]`, in the distance of their parameters `names`.

    The first is the origin, the second lies on the first axis. Raises ValueError if they lie on one line.
    """
    a, b, c = (torch.cat([state[name].double().reshape(-1) for name in names]) for state in states)
    along, other = b - a, c - a
    length = float(along.norm())
    across = float(other @ along) / length if length else 0.0
    height = float((other - (across / length if length else 0.0) * along).norm())
    if not length or height < 1e-9 * length:
        raise ValueError("the three networks lie on one line, so no plane goes through them alone")
    return np.array([[0.0, 0.0], [length, 0.0], [across, height]])
