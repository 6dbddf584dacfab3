"""VGG: plain stacks of 3x3 convolutions (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import ACTIVATIONS, image_norm, kaiming

__all__ = ["CONVOLUTIONS", "VGG", "VGGClassifier", "VGGPool5", "vgg", "vgg_classifier", "vgg_pool5"]

# Convolutions in each of the five stages, by depth (table 1, columns A, B, D, E).
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class _Stages(nn.Module):
    """Five stages of 3x3 convolutions with `width`·(1, 2, 4, 8, 8) channels, Kaiming-normal.

    Norm (if any) and activation follow each convolution, and max pooling by 2 each of the first `pools` stages.
    """

    def __init__(self, channels: int, width: int, depth: int, norm: str, activation: str, *, pools: int) -> None:
        super().__init__()
        self.convs, self.norms, self.pools = nn.ModuleList(), nn.ModuleList(), []
        for stage, convolutions in enumerate(CONVOLUTIONS[depth]):
            wider = width * 2 ** min(stage, 3)
            for place in range(convolutions):
                self.convs.append(nn.Conv2d(channels, wider, 3, padding=1, bias=norm == "none"))
                self.norms.append(image_norm(norm, wider))
                self.pools.append(stage < pools and place == convolutions - 1)
                channels = wider
        self.activation = ACTIVATIONS[activation]()
        kaiming(self)

    def features(self, x: Tensor) -> Tensor:
        """The last pixels, `[batch, 8·width, height, width]`."""
        for conv, norm, pool in zip(self.convs, self.norms, self.pools, strict=True):
            x = self.activation(norm(conv(x)))
            if pool:
                x = F.max_pool2d(x, 2)
        return x


class VGG(_Stages):
    """VGG for small images: four poolings, the mean of the last pixels, one linear layer.

    Source: Sharma et al. 2024; Frankle et al. 2020. Takes `[batch, channels, height, width]` with sides of at
    least 16 and returns `[batch, classes]`.
    """

    def __init__(self, channels: int, classes: int, width: int, depth: int, norm: str, activation: str) -> None:
        super().__init__(channels, width, depth, norm, activation, pools=4)
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class VGGPool5(_Stages):
    """As `VGG` with a pooling after the last stage too, as many write it for images of 32x32 pixels and more."""

    def __init__(self, channels: int, classes: int, width: int, depth: int, norm: str, activation: str) -> None:
        super().__init__(channels, width, depth, norm, activation, pools=5)
        # Not called head: the names in a state dict must tell it from VGG.
        self.classifier = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class VGGClassifier(_Stages):
    """VGG as published for ImageNet: five poolings, 7x7 pixels, two hidden linear layers of 64·`width`, logits.

    Pixels of another number than 7x7 are averaged or repeated to that. The dropout between the linear layers,
    which only training has, is left out.
    """

    def __init__(self, channels: int, classes: int, width: int, depth: int, norm: str, activation: str) -> None:
        super().__init__(channels, width, depth, norm, activation, pools=5)
        self.hidden = nn.ModuleList([nn.Linear(8 * width * 7 * 7, 64 * width), nn.Linear(64 * width, 64 * width)])
        self.head = nn.Linear(64 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), 7).flatten(1)
        for layer in self.hidden:
            x = self.activation(layer(x))
        return self.head(x)


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


def vgg_pool5(
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: int,
    depth: int = 16,
    norm: str = "none",
    activation: str = "relu",
) -> VGGPool5:
    """A `VGGPool5` for images of `input_shape` `[channels, height, width]`."""
    return VGGPool5(input_shape[0], classes, width, depth, norm, activation)


def vgg_classifier(
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: int,
    depth: int = 16,
    norm: str = "none",
    activation: str = "relu",
) -> VGGClassifier:
    """A `VGGClassifier` for images of `input_shape` `[channels, height, width]`."""
    return VGGClassifier(input_shape[0], classes, width, depth, norm, activation)
