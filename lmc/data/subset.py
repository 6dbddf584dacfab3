"""A fixed part of a data set, with its classes in balance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmc.seeds import seed_for

if TYPE_CHECKING:
    from torch import Tensor


def balanced_subset(labels: Tensor, count: int, seed: int) -> Tensor:
    """Places of `count` of the `labels` `[N]`, ascending, int64 on the CPU; all N if there are no more than `count`.

    Class sizes differ by at most one, unless a class has too few: then all its members are in, and the others share
    what is missing. The draws come from NumPy's legacy generator, whose stream is frozen for all versions, so a seed
    names the same subset for ever.
    """
    import torch

    values = labels.cpu().numpy()
    if len(values) <= count:
        return torch.arange(len(values))
    random = np.random.RandomState(seed_for("balanced subset", seed) % 2**32)
    shuffled = random.permutation(len(values))
    classes = random.permutation(np.unique(values))  # so that no class always gets the odd ones
    members = [shuffled[values[shuffled] == label] for label in classes]
    shares = _shares([len(places) for places in members], count)
    chosen = np.concatenate([places[:share] for places, share in zip(members, shares, strict=True)])
    return torch.from_numpy(np.sort(chosen))


def _shares(sizes: list[int], count: int) -> list[int]:
    """How many of each class: as equal as their `sizes` allow, the odd ones to the first. Sum(sizes) > count."""
    shares = [0] * len(sizes)
    smallest_first = sorted(range(len(sizes)), key=lambda i: (sizes[i], -i))
    for done, i in enumerate(smallest_first):
        shares[i] = min(sizes[i], (count - sum(shares)) // (len(sizes) - done))
    return shares
