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


MAX_PARAMETERS = 200_000_000  # of a network that is trained or loaded


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What can be chosen about an architecture: `models.NAME`, or `models.MODULE`, holds a builder called `NAME`.

    Attributes:
        name: as it is typed.
        title: as it is shown.
        widths: the smallest and the largest width.
        width_step: widths are multiples of it.
        depths: the smallest and the largest depth.
        depth_choices: all depths there are, rising.
        norms: what can follow a layer: none, batch, layer, group.
        activations: relu, gelu, tanh.
        default_width: of a first try on a small data set.
        default_depth: the usual one.
        default_norm: the usual one.
        default_activation: the usual one.
        inputs: "any" (vectors too) or "images" `[channels, height, width]`.
        min_side: the smallest side of an image, in pixels; 1 for "any".
        module: the module of `models` that holds the builder, where it is not called as the architecture.
        only_loaded: exists so that networks trained elsewhere can be loaded; it is not offered for training.
    """

    name: str
    title: str
    widths: tuple[int, int]
    depth_choices: tuple[int, ...]
    norms: tuple[str, ...]
    activations: tuple[str, ...]
    default_width: int
    default_depth: int
    default_norm: str
    default_activation: str = "relu"
    width_step: int = 1
    inputs: str = "images"
    min_side: int = 1
    module: str = ""
    only_loaded: bool = False

    @property
    def depths(self) -> tuple[int, int]:
        return self.depth_choices[0], self.depth_choices[-1]

    def refusal(self, input_shape: tuple[int, ...]) -> str | None:
        """Why inputs of this shape cannot go in, as the rest of a sentence; None if they can."""
        if self.inputs == "any":
            return None
        if len(input_shape) != 3:
            return f"{self.name} needs images, and these inputs have {_spelled(input_shape)} numbers"
        if min(input_shape[1:]) < self.min_side:
            given, least = _spelled(input_shape[1:]), _spelled((self.min_side, self.min_side))
            return f"{self.name} needs images of at least {least} pixels, and these have {given}"
        return None

    def build(
        self, *, input_shape: tuple[int, ...], classes: int, width: int, depth: int, norm: str, activation: str
    ) -> nn.Module:
        """The network, initialised from torch's global generator as every `nn.Module` is.

        Raises ValueError for a shape, depth, norm or activation that this architecture does not have.
        """
        refused = self.refusal(input_shape)
        if refused:
            raise ValueError(refused)
        self._check("depth", depth, self.depth_choices)
        self._check("norm", norm, self.norms)
        self._check("activation", activation, self.activations)
        builder = getattr(importlib.import_module(f"models.{self.module or self.name}"), self.name)
        return builder(
            input_shape=input_shape, classes=classes, width=width, depth=depth, norm=norm, activation=activation
        )

    def _check(self, option: str, value: object, choices: tuple[object, ...]) -> None:
        if value not in choices:
            right = ", ".join(map(str, choices))
            raise ValueError(f"{self.name} has no {option} {value!r}; choose one of: {right}")


def _spelled(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))


_ARCHITECTURES = {
    entry.name: entry
    for entry in (
        Architecture(
            name="mlp",
            title="Multi-layer perceptron",
            widths=(1, 16384),
            depth_choices=tuple(range(1, 17)),
            norms=("none", "layer", "batch"),
            activations=("relu", "gelu", "tanh"),
            default_width=32,
            default_depth=3,
            default_norm="none",
            inputs="any",
        ),
        Architecture(
            name="cnn",
            title="Small convolutional network",
            widths=(1, 1024),
            depth_choices=(1, 2, 3, 4),
            norms=("none", "batch", "layer", "group"),
            activations=("relu", "gelu", "tanh"),
            default_width=16,
            default_depth=2,
            default_norm="none",
            min_side=8,
        ),
        Architecture(
            name="vgg",
            title="VGG",
            widths=(1, 256),
            depth_choices=(11, 13, 16, 19),
            norms=("none", "batch", "layer", "group"),
            activations=("relu", "gelu", "tanh"),
            default_width=64,
            default_depth=16,
            default_norm="layer",
            min_side=16,
        ),
        Architecture(
            name="resnet",
            title="ResNet",
            widths=(1, 512),
            depth_choices=(8, 14, 20, 32, 44, 56, 110),
            norms=("none", "batch", "layer", "group"),
            activations=("relu", "gelu", "tanh"),
            default_width=16,
            default_depth=20,
            default_norm="layer",
            min_side=8,
        ),
        Architecture(
            name="vit",
            title="Vision transformer",
            widths=(8, 1024),
            width_step=8,
            depth_choices=tuple(range(1, 13)),
            norms=("layer",),
            activations=("gelu", "relu"),
            default_width=32,
            default_depth=4,
            default_norm="layer",
            default_activation="gelu",
            min_side=8,
        ),
        Architecture(
            name="vgg_pool5",
            title="VGG with five poolings",
            widths=(1, 256),
            depth_choices=(11, 13, 16, 19),
            norms=("none", "batch"),
            activations=("relu", "gelu", "tanh"),
            default_width=64,
            default_depth=16,
            default_norm="batch",
            min_side=32,
            module="vgg",
            only_loaded=True,
        ),
        Architecture(
            name="vgg_classifier",
            title="VGG with three linear layers",
            widths=(1, 64),
            depth_choices=(11, 13, 16, 19),
            norms=("none", "batch"),
            activations=("relu", "gelu", "tanh"),
            default_width=64,
            default_depth=16,
            default_norm="batch",
            min_side=32,
            module="vgg",
            only_loaded=True,
        ),
    )
}


def list_models() -> list[str]:
    """Names of all architectures that can be trained, the simplest first."""
    return [name for name, entry in _ARCHITECTURES.items() if not entry.only_loaded]


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
    depth: int | None = None,
    norm: str | None = None,
    activation: str | None = None,
) -> nn.Module:
    """Build the architecture `name` for inputs `[batch, *input_shape]` and `classes` logits.

    What is not given is the architecture's default. Raises ValueError for what the architecture does not have.
    """
    entry = get_architecture(name)
    return entry.build(
        input_shape=input_shape,
        classes=classes,
        width=width,
        depth=entry.default_depth if depth is None else depth,
        norm=norm or entry.default_norm,
        activation=activation or entry.default_activation,
    )
