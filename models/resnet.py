"""Residual network for small images (He et al. 2016, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers import ACTIVATIONS, image_norm, kaiming

__all__ = ["ResNet", "resnet"]


class ResNet(nn.Module):
    """A 3x3 convolution, three stages of (`depth` - 2)/6 blocks with `width`·(1, 2, 4) channels, one linear layer.

    The second and third stage begin with stride 2 and a 1x1 convolution with norm as their shortcut. The last
    pixels are averaged. Takes `[batch, channels, height, width]` and returns `[batch, classes]`.

    Kaiming-normal convolutions. Without a norm the variance would double in every block; there the second
    convolution of each block is divided by the root of the number of blocks, which bounds its growth by e.
    """

    def __init__(
        self, channels: int, classes: int, width: int, depth: int = 20, norm: str = "batch", activation: str = "relu"
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=norm == "none")
        self.stem_norm = image_norm(norm, width)
        self.activation = ACTIVATIONS[activation]()
        self.blocks = nn.ModuleList()
        inputs = width
        for stage in range(3):
            for place in range((depth - 2) // 6):
                stride = 2 if stage > 0 and place == 0 else 1
                self.blocks.append(_Block(inputs, width * 2**stage, stride, norm, activation))
                inputs = width * 2**stage
        self.head = nn.Linear(inputs, classes)
        kaiming(self)
        if norm == "none":
            self._shrink_branches()

    def _shrink_branches(self) -> None:
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("conv2.weight"):
                    parameter.mul_(len(self.blocks) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class _Block(nn.Module):
    """Two 3x3 convolutions added to the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str, activation: str) -> None:
        super().__init__()
        bias = norm == "none"
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)
        self.norm1 = image_norm(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        self.norm2 = image_norm(norm, outputs)
        self.projects = stride != 1
        if self.projects:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=bias)
            self.shortcut_norm = image_norm(norm, outputs)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(self.activation(self.norm1(self.conv1(x)))))
        if self.projects:
            x = self.shortcut_norm(self.shortcut(x))
        return self.activation(x + y)


def resnet(
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: int,
    depth: int = 20,
    norm: str = "batch",
    activation: str = "relu",
) -> ResNet:
    """A `ResNet` for images of `input_shape` `[channels, height, width]`."""
    return ResNet(input_shape[0], classes, width, depth, norm, activation)
