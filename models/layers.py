"""What the architectures share: activations, and normalisations by name."""

from __future__ import annotations

import math

from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "PixelLayerNorm", "image_norm", "kaiming", "vector_norm"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
_GROUPS, _CHANNELS_A_GROUP = 8, 4


class PixelLayerNorm(nn.Module):
    """LayerNorm over the channels at each pixel of `[batch, channels, height, width]`.

    It replaces BatchNorm where networks are to be averaged: it keeps no statistics that the average of two
    networks would get wrong (Sharma et al. 2024, section 4).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # A module of its own, so that the names in a state dict tell it from GroupNorm.
        self.layer = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def image_norm(norm: str, channels: int) -> nn.Module:
    """The normalisation `norm` of `[batch, channels, height, width]`."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "layer":
        return PixelLayerNorm(channels)
    if norm == "group":
        return nn.GroupNorm(_groups(channels), channels)
    return nn.Identity()


def vector_norm(norm: str, units: int) -> nn.Module:
    """The normalisation `norm` of `[batch, units]`."""
    if norm == "batch":
        return nn.BatchNorm1d(units)
    if norm == "layer":
        return nn.LayerNorm(units)
    if norm == "group":
        return nn.GroupNorm(_groups(units), units)
    return nn.Identity()


def _groups(channels: int) -> int:
    """8, 4, 2 or 1, whatever divides and leaves 4 channels a group: one channel at one pixel would always be 0."""
    return math.gcd(_GROUPS, channels, max(channels // _CHANNELS_A_GROUP, 1))


def kaiming(network: nn.Module) -> None:
    """Kaiming-normal convolutions with the gain of ReLU and zero biases (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
