"""BatchNorm reset: running statistics measured anew, because those of two networks do not average."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from lmc.normalization.running import at, own_copy, ready
from lmc.stacking import State

BATCH = 500  # images in one batch of a reset, at most


def has_statistics(model: nn.Module) -> bool:
    """Whether the model keeps running statistics (BatchNorm that tracks them), so that `reset` changes something."""
    return any(map(_keeps_statistics, model.modules()))


@torch.no_grad()
def reset(model: nn.Module, states: Mapping[str, Tensor], inputs: Tensor) -> State:
    """Stacked states with the running statistics that each network has on `inputs`; other entries are passed through.

    The definition is `torch.optim.swa_utils.update_bn`'s: running mean and variance are the cumulative average
    (momentum None) of the batch means and unbiased batch variances of one pass in which BatchNorm normalises by its
    batch. Batches are in the order of `inputs`, at most `BATCH` images each and of sizes that differ by at most one;
    each counts in proportion to its size. Unlike there, only BatchNorm is in train mode: dropout stays off.

    Numbers depend a little on the batch size. Only the first BatchNorm's mean does not: later ones see inputs that
    are normalised by batch, and the variance between batches is missing. (Exact statistics of all inputs would need
    one batch of them, or one pass a layer.)

    Args:
        model: a template whose own numbers are not used.
        states: `{name: [stack, ...]}`.
        inputs: `[N, ...]` on the states' device, of their dtype.

    Raises:
        ValueError: a batch has only one value a channel, which has no variance.
    """
    if not has_statistics(model):
        return dict(states)
    network = own_copy(model)
    found = {**states, **_no_statistics(network, states)}
    for place in range(len(next(iter(states.values())))):
        state = ready(network, at(found, place))
        with _cumulative_average(network):  # written in place, so into `found`
            for batch in inputs.tensor_split(math.ceil(len(inputs) / BATCH)):
                functional_call(network, state, (batch,))
    return found


def _keeps_statistics(module: nn.Module) -> TypeGuard[_BatchNorm]:
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _no_statistics(network: nn.Module, states: Mapping[str, Tensor]) -> State:
    """New running statistics as BatchNorm starts with, by name; a module with two names has one tensor."""
    made: dict[int, State] = {}
    fresh = {}
    for path, module in network.named_modules(remove_duplicate=False):
        if _keeps_statistics(module):
            of_module = made.setdefault(id(module), {})
            for kind, start in (("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0)):
                name = f"{path}.{kind}" if path else kind
                old = states[name]
                fresh[name] = of_module.setdefault(
                    kind, torch.full(old.shape, start, dtype=old.dtype, device=old.device)
                )
    return fresh


@contextmanager
def _cumulative_average(network: nn.Module) -> Iterator[None]:
    """BatchNorm in train mode, every batch counting in proportion to its values a channel."""
    seen: dict[_BatchNorm, int] = {}

    def weigh(module: _BatchNorm, args: tuple[Tensor, ...]) -> None:
        values = args[0].numel() // args[0].shape[1]
        seen[module] = seen.get(module, 0) + values
        module.momentum = values / seen[module]

    norms = [module for module in network.modules() if _keeps_statistics(module)]
    handles = [norm.train().register_forward_pre_hook(weigh) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
