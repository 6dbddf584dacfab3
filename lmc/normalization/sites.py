"""Which modules make the pre-activations of hidden units: found by running a network, whatever its architecture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from lmc.normalization.running import ready
from lmc.stacking import State

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class Site:
    """A module with a weight and a bias for every unit of its output.

    Attributes:
        name: its name in the network's state dict.
        module: the module.
        axis: the axis of its output that holds the units.
    """

    name: str
    module: nn.Module
    axis: int


@dataclass
class _Call:
    """A layer or norm that ran: what it made, and the layer whose output went straight into it."""

    name: str
    module: nn.Module
    output: Tensor
    version: int  # counts changes in place
    source: str | None

    @property
    def shifts(self) -> bool:
        """Whether it has a weight and a bias for every unit."""
        weight, bias = self.module.weight, self.module.bias
        return isinstance(weight, Tensor) and isinstance(bias, Tensor) and bias.ndim == 1

    def made(self, value: Tensor) -> bool:
        """Whether `value` is the output as it was made, or a view of all of it."""
        same = self.output.untyped_storage().data_ptr() == value.untyped_storage().data_ptr()
        return same and self.output.numel() == value.numel() and self.version == value._version


def find_sites(network: nn.Module, state: State, example: Tensor) -> list[Site]:
    """The sites of all hidden units, in the order in which they run on `example`.

    These are norms, and layers whose output does not go straight into such a norm, up to the layer that makes the
    logits: the last one that runs.

    Raises:
        ValueError: a site runs twice, or shares its weights with another module.
    """
    calls = _calls(network, state, example)
    layers = [place for place, call in enumerate(calls) if isinstance(call.module, _LAYERS)]
    hidden = [call for call in calls[: layers[-1] if layers else 0] if call.shifts]
    followed = {call.source for call in hidden}
    chosen = [call for call in hidden if call.name not in followed]
    _refuse_shared(network, calls, chosen)
    return [Site(call.name, call.module, _unit_axis(call.module)) for call in chosen]


def _calls(network: nn.Module, state: State, example: Tensor) -> list[_Call]:
    """All layers and norms in the order in which they run."""
    calls: list[_Call] = []
    names: dict[nn.Module, str] = {
        module: name for name, module in network.named_modules() if isinstance(module, _LAYERS + _NORMS)
    }

    def record(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        made = (call.name for call in calls if isinstance(call.module, _LAYERS) and call.made(args[0]))
        source = next(made, None) if isinstance(module, _NORMS) else None
        calls.append(_Call(names[module], module, output, output._version, source))

    handles = [module.register_forward_hook(record) for module in names]
    try:
        with torch.no_grad():
            functional_call(network, ready(network, state), (example,))
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _unit_axis(module: nn.Module) -> int:
    return -1 if isinstance(module, nn.Linear | nn.LayerNorm) else 1


def _refuse_shared(network: nn.Module, calls: list[_Call], chosen: list[_Call]) -> None:
    runs = Counter(call.name for call in calls)
    owners = Counter(id(tensor) for _, tensor in network.named_parameters(remove_duplicate=False))
    for call in chosen:
        if runs[call.name] > 1:
            raise ValueError(
                f"REPAIR cannot correct {call.name!r}: it runs {runs[call.name]} times, on different units."
            )
        if any(owners[id(tensor)] > 1 for tensor in call.module.parameters(recurse=False)):
            raise ValueError(f"REPAIR cannot correct {call.name!r}: it shares its weights with another module.")
