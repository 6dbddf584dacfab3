"""The parameters of stacked networks as the optimiser sees them.

The small ones lie in one tensor, each network padded to a multiple of 64 numbers, so that the optimiser is one call
and every network's numbers meet the same vector instructions: that keeps them independent of the place in the stack.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lmc.stacking import State

PADDING = 64  # numbers
ALONE = 32_768  # numbers; a larger parameter is a tensor of its own, so that its gradient need not be copied


class Parameters:
    """The parameters of a stack: `named` for the network, `tensors` (large ones, and one of all small) to optimise."""

    def __init__(self, stacked: State) -> None:
        own = {n: t.clone() for n, t in stacked.items() if t[0].numel() >= ALONE and t[0].numel() % PADDING == 0}
        small = {n: t for n, t in stacked.items() if n not in own}
        flat, views = _one_tensor(small)
        flat.grad, gradients = _one_tensor(small)
        self.named = {name: own[name] if name in own else views[name] for name in stacked}
        self.tensors = [*own.values(), flat] if small else list(own.values())
        self._places = {name: place for place, name in enumerate(stacked)}
        self._own, self._gradients = own, gradients

    def alike(self, stacked: State) -> list[Tensor]:
        """Numbers for the parameters by name, laid out like `tensors`; 1 where a parameter is left out."""
        whole = {name: stacked.get(name, torch.ones_like(tensor)) for name, tensor in self.named.items()}
        small = {name: tensor.to(self.named[name]) for name, tensor in whole.items() if name not in self._own}
        own = [whole[name].to(tensor) for name, tensor in self._own.items()]
        return [*own, _one_tensor(small)[0]] if small else own

    def set_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Give the optimiser these gradients, one a name, in the order of the names."""
        for name, tensor in self._own.items():
            tensor.grad = gradients[self._places[name]].contiguous()
        if self._gradients:
            copied = [gradients[self._places[name]] for name in self._gradients]
            torch._foreach_copy_(list(self._gradients.values()), copied)


def _one_tensor(stacked: State) -> tuple[Tensor, State]:
    """A copy of all tensors inside one `[stack, padded]` tensor, and views of it by name."""
    if not stacked:
        return torch.zeros(0), {}
    sizes = {name: tensor[0].numel() for name, tensor in stacked.items()}
    first = next(iter(stacked.values()))
    padded = -(-sum(sizes.values()) // PADDING) * PADDING
    flat = torch.zeros(len(first), padded, dtype=first.dtype, device=first.device)
    views, start = {}, 0
    for name, size in sizes.items():
        views[name] = flat[:, start : start + size].view(stacked[name].shape)
        views[name].copy_(stacked[name])
        start += size
    return flat, views
