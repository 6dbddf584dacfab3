"""Running stacked networks one by one, without touching the module that is their template."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping

from torch import Tensor, nn

from lmc.stacking import State, channels_last


def own_copy(model: nn.Module) -> nn.Module:
    """The model's structure in eval mode, to hook and to switch at will; tensors are shared, not copied."""
    shared = itertools.chain(model.parameters(), model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared}).eval()


def at(states: Mapping[str, Tensor], place: int) -> State:
    """The network at `place` of a stack, as views."""
    return {name: tensor[place] for name, tensor in states.items()}


def ready(network: nn.Module, state: Mapping[str, Tensor]) -> State:
    """What `functional_call` takes to run `network` with `state`; vectors, among them all statistics, are not copied.

    A tensor with two names goes by the first one.
    """
    names = (name for name, _ in itertools.chain(network.named_parameters(), network.named_buffers()))
    return {name: channels_last(state[name]) for name in names if name in state}
