"""Narrow networks as wide ones: units that do nothing fill them up, so that they can be matched to a wide network.

With the groups of the wide network, weight matching then chooses which of the wide network's units get a partner.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from lmc.stacking import State
from lmc.symmetry import PermutationSpec
from lmc.symmetry.axes import Axis, Fixed, Group, Product, Sum


def widened(narrow: PermutationSpec, wide: PermutationSpec, state: State) -> State:
    """The state of the narrow network in the shapes of the wide one: its units come first, the others are 0.

    Where units only meet in sums, the wide network computes the same function. Where they share statistics, as under
    LayerNorm, it does not: compare the two. Works for architectures that differ in the numbers of units alone.

    Raises:
        ValueError: the two are not the same architecture, or a group is smaller in the wide one.
    """
    if narrow.axes.keys() != wide.axes.keys():
        odd = min(narrow.axes.keys() ^ wide.axes.keys())
        raise ValueError(f"only one of the two networks has a tensor {odd!r}; they must be of one architecture.")
    found = {}
    for name, tensor in state.items():
        axes = list(zip(narrow.axes[name], wide.axes[name], strict=True))
        places = [_places(one, other, name).to(tensor.device) for one, other in axes]
        if not axes:
            found[name] = tensor
            continue
        larger = tensor.new_zeros([other.size for _, other in axes])
        larger[torch.meshgrid(*places, indexing="ij")] = tensor
        found[name] = larger
    return found


def _places(narrow: Axis, wide: Axis, name: str) -> Tensor:
    """Where the entries of a narrow axis lie in the wide one, `[narrow.size]`."""
    if isinstance(narrow, Fixed | Group) and type(narrow) is type(wide):
        smaller = narrow.size < wide.size if isinstance(narrow, Group) else False
        if narrow.size == wide.size or smaller:
            return torch.arange(narrow.size)
    if isinstance(narrow, Product | Sum) and type(narrow) is type(wide) and len(narrow.parts) == len(wide.parts):
        parts = list(zip(narrow.parts, wide.parts, strict=True))
        if isinstance(narrow, Product):
            found = torch.zeros(1, dtype=torch.long)
            for one, other in parts:
                found = (found[:, None] * other.size + _places(one, other, name)).flatten()
            return found
        starts = itertools.accumulate((other.size for _, other in parts), initial=0)
        return torch.cat([_places(*pair, name) + start for pair, start in zip(parts, starts, strict=False)])
    right = "they must be of one architecture, the second at least as wide."
    raise ValueError(f"{name!r} has an axis of {narrow.size} in one network and of {wide.size} in the other; {right}")
