"""Small networks whose symmetries are known by construction."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Perceptron(nn.Module):
    """`depth` hidden layers; the images `[N, 1, 8, 8]` are flattened by `flatten` or by `view`."""

    def __init__(
        self, depth: int, width: int = 12, norm: bool = False, activation: str = "relu", view: bool = False
    ) -> None:
        super().__init__()
        sizes = [64] + [width + i for i in range(depth)]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(b) if norm else nn.Identity() for b in sizes[1:])
        self.activation = ACTIVATIONS[activation]()
        self.head = nn.Linear(sizes[-1], 10)
        self.view = view

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(x.size(0), -1) if self.view else x.flatten(1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.activation(norm(layer(x)))
        return self.head(x)


class Residual(nn.Module):
    """Two blocks that add to one stream, so that their outputs are one group with the stem's."""

    def __init__(self, width: int = 10, inner: int = 14) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ups = nn.ModuleList(nn.Linear(width, inner) for _ in range(2))
        self.downs = nn.ModuleList(nn.Linear(inner, width) for _ in range(2))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.flatten(1))
        for norm, up, down in zip(self.norms, self.ups, self.downs, strict=True):
            x = x + down(torch.relu_(up(norm(x))))
        return self.head(x)


class Tied(nn.Module):
    """One square layer used twice under two names: all hidden layers are one group."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 9)
        self.second = nn.Linear(9, 9)
        self.third = nn.Linear(9, 9)
        self.third.weight = self.second.weight
        self.head = nn.Linear(9, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x.flatten(1)))
        return self.head(torch.tanh(self.third(torch.tanh(self.second(x)))))


class Branches(nn.Module):
    """Two branches that are added in place, scaled and divided by a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(64, 11)
        self.right = nn.Linear(64, 11)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 11))
        self.head = nn.Linear(11, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        y = torch.sigmoid(self.left(x))
        y += nn.functional.silu(self.right(x))
        return self.head(2.0 - y * self.scale / 3)


class Cumulative(nn.Module):
    """A running sum over the units of the second layer: only the first layer may move."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 12)
        self.second = nn.Linear(12, 12)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x.flatten(1)))))
        return self.head(torch.cumsum(x, dim=1))


class DataDependent(nn.Module):
    """Which way the input goes depends on its values."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.head(x) if x.sum() > 0 else self.head(-x)


class Mixer(nn.Module):
    """Tokens and channels take turns: transposes, a mean over tokens, a matrix used from the left."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 12)
        self.token_up, self.token_down = nn.Linear(8, 5), nn.Linear(5, 8)
        self.norm = nn.LayerNorm(12)
        self.matrix = nn.Parameter(torch.randn(12, 7) / 3)
        self.head = nn.Linear(7, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.squeeze(1))
        y = self.token_down(torch.relu(self.token_up(x.transpose(1, 2))))
        x = self.norm(x + y.permute(0, 2, 1))
        return torch.log_softmax(self.head(torch.relu(x @ self.matrix).mean(1)), -1)


class Fused(nn.Module):
    """Heads: the layer's units are unflattened to `[heads, inner]`, and a weight of each size meets them."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(64, 12)
        self.inner = nn.Linear(4, 4)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.project(x.flatten(1))).unflatten(1, (3, 4))
        return self.head(torch.relu(self.inner(x)).reshape(x.shape[0], -1))


class FixedBatch(nn.Module):
    """`len(x)` writes the batch size into the exported graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(64, 8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.first(x.view(len(x), -1))))
