"""Small networks whose symmetries are known by construction."""

from __future__ import annotations

import itertools
from collections.abc import Callable

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


# Convolutional networks and transformers; all take `[N, 3, 16, 16]`.


class PixelNorm(nn.Module):
    """LayerNorm over the channels of each pixel, written out as a formula."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - x.mean(1, keepdim=True)) * torch.rsqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5)
        return x * self.weight[:, None, None] + self.bias.view(1, -1, 1, 1)


class Channels(nn.Module):
    """A convolution, `body` on its channels, and a convolution with a head: what does `body` let move?"""

    def __init__(self, body: Callable[[Tensor], Tensor], channels: int = 12, out: int = 12) -> None:
        super().__init__()
        self.first, self.body = nn.Conv2d(3, channels, 3), body
        self.last, self.head = nn.Conv2d(out, 6, 3), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.body(torch.tanh(self.first(x)))).relu().mean((2, 3)))


class Tokens(nn.Module):
    """Patches to tokens of 12 units, `body` on them added to them, and a head."""

    def __init__(self, body: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.embed, self.body, self.head = nn.Conv2d(3, 12, 4, stride=4), body, nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.head((x + self.body(x)).mean(1))


class Attention(nn.Module):
    """Heads with `inner` units, from one fused layer or three, built in or written out."""

    def __init__(self, width: int = 12, heads: int = 3, inner: int = 4, fused: str = "", written: bool = False) -> None:
        super().__init__()
        self.heads, self.inner, self.fused, self.written = heads, inner, fused, written
        if fused:
            self.qkv = nn.Linear(width, 3 * heads * inner)
        else:
            self.q, self.k, self.v = (nn.Linear(width, heads * inner) for _ in range(3))
        self.out = nn.Linear(heads * inner, width)

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.heads, self.inner).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, _ = x.shape
        if self.fused in ("unbind", "index"):
            qkv = self.qkv(x).reshape(n, tokens, 3, self.heads, self.inner).permute(2, 0, 3, 1, 4)
            q, k, v = qkv.unbind(0) if self.fused == "unbind" else (qkv[0], qkv[1], qkv[-1])
        elif self.fused == "chunk":
            q, k, v = map(self.split, self.qkv(x).chunk(3, -1))
        else:
            q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        if self.written:
            mixed = torch.softmax(q @ k.transpose(-2, -1) / self.inner**0.5, -1) @ v
        else:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(n, tokens, -1))


class Transformer(nn.Module):
    """Patches, a class token, positions, two blocks of attention and MLP, the class token's logits."""

    def __init__(self, fused: str = "", written: bool = False) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 12))
        self.positions = nn.Parameter(torch.randn(1, 17, 12))
        self.embed = nn.Conv2d(3, 12, 4, stride=4)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(12),
                    "attention": Attention(fused=fused, written=written),
                    "norm2": nn.LayerNorm(12),
                    "mlp": nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 12)),
                }
            )
            for _ in range(2)
        )
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len_of(x), -1, -1), x], 1) + self.positions
        for block in self.blocks:
            x = x + block["attention"](block["norm1"](x))
            x = x + block["mlp"](block["norm2"](x))
        return self.head(self.norm(x)[:, 0])


def len_of(x: Tensor) -> int:
    """The batch size as a symbol, which `len` would turn into a number."""
    return x.shape[0]


class Dense(nn.Module):
    """Two blocks whose layers see all earlier channels, and a transition between them."""

    def __init__(self, norm: Callable[[int], nn.Module] = nn.BatchNorm2d, growth: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers, channels = nn.ModuleList(), 8
        for place in range(4):
            if place == 2:
                self.transition = nn.Sequential(norm(channels), nn.ReLU(), nn.Conv2d(channels, 6, 1), nn.AvgPool2d(2))
                channels = 6
            conv = nn.Conv2d(channels, growth, 3, padding=1)
            self.layers.append(nn.Sequential(norm(channels), nn.ReLU(), conv))
            channels += growth
        self.norm, self.head = norm(channels), nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for place, layer in enumerate(self.layers):
            if place == 2:
                x = self.transition(x)
            x = torch.cat([x, layer(x)], 1)
        return self.head(nn.functional.adaptive_avg_pool2d(torch.relu(self.norm(x)), 1).flatten(1))


class PaddedResNet(nn.Module):
    """A ResNet whose shortcuts subsample pixels and pad channels with zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv1, self.bn1 = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.stem(x)))
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return self.head(torch.relu(x + y).mean((2, 3)))


class OpenLTHResNet(nn.Module):
    """The ResNet-20 whose public checkpoints have keys `conv`, `bn`, `blocks.N.conv1`, …, `fc`."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        sizes = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        self.blocks = nn.ModuleList(_Block(a, b) for a, b in itertools.pairwise(sizes))
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        x = nn.functional.avg_pool2d(x, x.shape[3])
        return self.fc(x.view(x.size(0), -1))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = outputs // inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        shortcut = (nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential(*(shortcut if stride > 1 else ()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class FullVGG16(nn.Module):
    """VGG-16 with its two hidden linear layers, at width 4."""

    def __init__(self) -> None:
        super().__init__()
        plan = [4, 4, 0, 8, 8, 0, 16, 16, 16, 0, 32, 32, 32, 0, 32, 32, 32]
        layers, channels = [], 3
        for width in plan:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(True)] if width else [nn.MaxPool2d(2)]
            channels = width or channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(32 * 4, 24), nn.ReLU(True), nn.Dropout(), nn.Linear(24, 20), nn.ReLU(True), nn.Linear(20, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(self.features(x), 2), 1))
