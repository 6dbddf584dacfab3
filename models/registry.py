"""The list of architectures.

The entries are plain data, so that lists and checks need no torch; the module that builds the network
is imported when one is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What can be chosen about an architecture: `models.NAME` holds a builder called `NAME`."""

    name: str
    title: str
    widths: tuple[int, int]
    depths: tuple[int, int]
    norms: tuple[str, ...]
    activations: tuple[str, ...]

    def build(
        self, *, input_shape: tuple[int, ...], classes: int, width: int, depth: int, norm: str, activation: str
    ) -> nn.Module:
        """The network, initialised from torch's global generator as every `nn.Module` is."""
        builder = getattr(importlib.import_module(f"models.{self.name}"), self.name)
        return builder(
            input_shape=input_shape, classes=classes, width=width, depth=depth, norm=norm, activation=activation
        )


_ARCHITECTURES = {
    entry.name: entry
    for entry in (
        Architecture(
            name="mlp",
            title="Multi-layer perceptron",
            widths=(1, 16384),
            depths=(1, 16),
            norms=("none", "layer"),
            activations=("relu", "gelu", "tanh"),
        ),
    )
}


def list_models() -> list[str]:
    """Names of all architectures."""
    return sorted(_ARCHITECTURES)


def get_architecture(name: str) -> Architecture:
    """The entry called `name`; a ValueError lists the valid names."""
    try:
        return _ARCHITECTURES[name]
    except KeyError:
        raise ValueError(f"unknown architecture {name!r}; choose one of: {', '.join(list_models())}") from None


def get_model(
    name: str,
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: int,
    depth: int = 3,
    norm: str = "none",
    activation: str = "relu",
) -> nn.Module:
    """Build the architecture `name` for inputs `[batch, *input_shape]` and `classes` logits."""
    return get_architecture(name).build(
        input_shape=input_shape, classes=classes, width=width, depth=depth, norm=norm, activation=activation
    )
