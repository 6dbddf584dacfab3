"""VGG: plain stacks of 3x3 convolutions (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import ACTIVATIONS, image_norm, kaiming

__all__ = ["CONVOLUTIONS", "VGG", "vgg"]

# Convolutions in each of the five stages, by depth (table 1, columns A, B, D, E).
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Five stages of 3x3 convolutions with `width`·(1, 2, 4, 8, 8) channels, then one linear layer.

    Norm (if any) and activation follow each convolution, and max pooling by 2 each stage but the last, whose
    pixels are averaged: the form for small images (Sharma et al. 2024; Frankle et al. 2020). Takes
    `[batch, channels, side, side]` with sides of at least 16 and returns `[batch, classes]`. Kaiming-normal
    convolutions.
    """

    def __init__(
        self, channels: int, classes: int, width: int, depth: int = 16, norm: str = "none", activation: str = "relu"
    ) -> None:
        super().__init__()
        self.convs, self.norms, self.pools = nn.ModuleList(), nn.ModuleList(), []
        for stage, convolutions in enumerate(CONVOLUTIONS[depth]):
            wider = width * 2 ** min(stage, 3)
            for place in range(convolutions):
                self.convs.append(nn.Conv2d(channels, wider, 3, padding=1, bias=norm == "none"))
                self.norms.append(image_norm(norm, wider))
                self.pools.append(stage < 4 and place == convolutions - 1)
                channels = wider
        self.activation = ACTIVATIONS[activation]()
        self.head = nn.Linear(channels, classes)
        kaiming(self)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm, pool in zip(self.convs, self.norms, self.pools, strict=True):
            x = self.activation(norm(conv(x)))
            if pool:
                x = F.max_pool2d(x, 2)
        return self.head(x.mean((2, 3)))


def vgg(
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: int,
    depth: int = 16,
    norm: str = "none",
    activation: str = "relu",
) -> VGG:
    """A `VGG` for images of `input_shape` `[channels, height, width]`."""
    return VGG(input_shape[0], classes, width, depth, norm, activation)
