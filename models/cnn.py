"""Small convolutional network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import ACTIVATIONS, image_norm, vector_norm

__all__ = ["CNN", "cnn"]


class CNN(nn.Module):
    """`depth` 3x3 convolutions of `width`, 2·`width`, … channels, one hidden linear layer of 4·`width`, logits.

    Norm (if any) and activation follow each of them, and max pooling by 2 each convolution while the image has
    two pixels a side. Takes `[batch, *input_shape]` and returns `[batch, classes]`. PyTorch's default
    initialisation.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        width: int,
        depth: int = 2,
        norm: str = "none",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels, *sides = input_shape
        self.convs, self.norms, self.pools = nn.ModuleList(), nn.ModuleList(), []
        for level in range(depth):
            wider = width * 2**level
            self.convs.append(nn.Conv2d(channels, wider, 3, padding=1, bias=norm == "none"))
            self.norms.append(image_norm(norm, wider))
            self.pools.append(min(sides) >= 2)
            if self.pools[-1]:
                sides = [side // 2 for side in sides]
            channels = wider
        self.hidden = nn.Linear(channels * sides[0] * sides[1], 4 * width)
        self.hidden_norm = vector_norm(norm, 4 * width)
        self.activation = ACTIVATIONS[activation]()
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm, pool in zip(self.convs, self.norms, self.pools, strict=True):
            x = self.activation(norm(conv(x)))
            if pool:
                x = F.max_pool2d(x, 2)
        return self.head(self.activation(self.hidden_norm(self.hidden(x.flatten(1)))))


def cnn(
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: int,
    depth: int = 2,
    norm: str = "none",
    activation: str = "relu",
) -> CNN:
    """A `CNN` for images of `input_shape` `[channels, height, width]`."""
    return CNN(input_shape, classes, width, depth, norm, activation)
