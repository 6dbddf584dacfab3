"""Multi-layer perceptron."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from models.layers import ACTIVATIONS, vector_norm

__all__ = ["MLP", "mlp"]


class MLP(nn.Module):
    """`depth` hidden layers of `width` units: linear, norm (if any), activation; then linear to logits.

    Takes `[batch, *input_shape]` of any shape and returns `[batch, classes]`. PyTorch's default
    initialisation.
    """

    def __init__(
        self, inputs: int, classes: int, width: int, depth: int = 3, norm: str = "none", activation: str = "relu"
    ) -> None:
        super().__init__()
        sizes = [inputs] + [width] * depth
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(vector_norm(norm, width) for _ in range(depth))
        self.activation = ACTIVATIONS[activation]()
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.activation(norm(layer(x)))
        return self.head(x)


def mlp(
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: int,
    depth: int = 3,
    norm: str = "none",
    activation: str = "relu",
) -> MLP:
    """An `MLP` for inputs of `input_shape`."""
    return MLP(math.prod(input_shape), classes, width, depth, norm, activation)
