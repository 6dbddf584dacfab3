"""Iterative magnitude pruning (Frankle & Carbin 2019; with rewinding Frankle et al. 2020; Sharma et al. 2024).

A mask is a state of booleans: True where a weight is kept. Weights that are pruned are exactly 0 and those that are
kept never are, so a pruned network says by itself what its mask is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lmc.stacking import State

Mask = dict[str, Tensor]
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def prunable(model: nn.Module, last_layer: str = "keep") -> list[str]:
    """The weights that pruning looks at: those of linear layers and convolutions, but no bias and no norm parameter.

    With "keep" the layer that is defined last, which gives the logits, is left alone; with "prune" it is not.
    Raises ValueError if `last_layer` is neither.
    """
    if last_layer not in ("keep", "prune"):
        raise ValueError(f"last_layer must be 'keep' or 'prune', not {last_layer!r}")
    names = [f"{name}.weight" for name, module in model.named_modules() if isinstance(module, WEIGHTED)]
    return names[:-1] if last_layer == "keep" else names


def mask_of(state: Mapping[str, Tensor], names: Sequence[str]) -> Mask:
    """What is kept of a pruned network: where its weights are not 0."""
    return {name: state[name] != 0 for name in names}


def everything(state: Mapping[str, Tensor], names: Sequence[str]) -> Mask:
    """The mask of a network that was not pruned."""
    return {name: torch.ones_like(state[name], dtype=torch.bool) for name in names}


def pruned_further(state: Mapping[str, Tensor], mask: Mask, share: float) -> Mask:
    """The mask without the floor(share × remaining) weights of the smallest magnitude over all its tensors together.

    Of equal magnitudes the one that comes first goes first.
    """
    kept = torch.cat([mask[name].flatten() for name in mask])
    sizes = torch.cat([state[name].abs().flatten().double() for name in mask])
    count = math.floor(share * int(kept.sum()))
    sizes[~kept] = math.inf
    kept[sizes.sort(stable=True).indices[:count]] = False
    parts = kept.split([mask[name].numel() for name in mask])
    return {name: part.view(mask[name].shape) for name, part in zip(mask, parts, strict=True)}


def masked(state: Mapping[str, Tensor], mask: Mask) -> State:
    """The state with its pruned weights at 0; kept ones that are 0 become the smallest positive number."""
    return {**state, **{name: torch.where(kept, _not_zero(state[name]), 0) for name, kept in mask.items()}}


def density(mask: Mask) -> float:
    """The share that is kept of all weights that pruning looks at."""
    return sum(int(kept.sum()) for kept in mask.values()) / sum(kept.numel() for kept in mask.values())


def random_mask(mask: Mask, generator: torch.Generator) -> Mask:
    """A mask that keeps as many weights in every layer, drawn from a generator on the CPU."""
    return {name: _shuffled(kept, generator) for name, kept in mask.items()}


def overlap(p: Mask, q: Mask) -> dict[str, tuple[float, float]]:
    """Layer → share of what is kept by either that both keep, and what that share would be by chance.

    The share is the intersection over the union; by chance, with densities a and b, it is ab / (a + b − ab).
    """
    found = {}
    for name in p:
        both, either = int((p[name] & q[name]).sum()), int((p[name] | q[name]).sum())
        a, b = (float(mask[name].double().mean()) for mask in (p, q))
        chance = a * b / (a + b - a * b) if a + b else 1.0
        found[name] = (both / either if either else 1.0, chance)
    return found


def _not_zero(tensor: Tensor) -> Tensor:
    return torch.where(tensor == 0, torch.finfo(tensor.dtype).tiny, tensor)


def _shuffled(kept: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(kept.numel(), generator=generator)
    return kept.flatten()[order.to(kept.device)].view(kept.shape)
