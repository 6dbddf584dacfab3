"""Small vision transformer (Dosovitskiy et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._C._functorch import _set_vmap_fallback_warning_enabled  # type: ignore[attr-defined]
from torch.nn import functional as F

from models.layers import ACTIVATIONS

__all__ = ["HEAD_SIZE", "ViT", "patch_size", "vit"]

HEAD_SIZE = 8

# vmap runs the CPU's attention kernel once a network and says so. Measured, that is faster than the two matrix
# products which it could batch (1.9 times on 32x32 images, equal on 8x8), so there is nothing to warn about.
_set_vmap_fallback_warning_enabled(False)


class ViT(nn.Module):
    """Patches, learned positions, `depth` blocks of attention and MLP with LayerNorm before each, mean of tokens.

    `width` is the embedding dimension. Heads have 8 units, so a wider network has more of them; the MLP has
    2·`width` hidden units. Takes `[batch, *input_shape]` and returns `[batch, classes]`. PyTorch's default
    initialisation, positions from a normal distribution with deviation 0.02.

    Raises:
        ValueError: `width` is not a multiple of 8.
    """

    def __init__(
        self, input_shape: tuple[int, ...], classes: int, width: int, depth: int = 4, activation: str = "gelu"
    ) -> None:
        super().__init__()
        if width % HEAD_SIZE:
            raise ValueError(f"the width of a vit must be a multiple of {HEAD_SIZE}, its head size, not {width}")
        channels, *sides = input_shape
        patch = patch_size(min(sides))
        # Zeros around an image whose side is no multiple of the patch, so that no pixel is lost.
        padding = [(-side % patch + 1) // 2 for side in sides]
        self.patches = nn.Conv2d(channels, width, patch, stride=patch, padding=(padding[0], padding[1]))
        tokens = -(-sides[0] // patch) * -(-sides[1] // patch)
        self.positions = nn.Parameter(torch.empty(tokens, width).normal_(std=0.02))
        self.blocks = nn.ModuleList(_Block(width, activation) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


class _Block(nn.Module):
    """Attention and MLP, each added to the residual stream."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.activation = ACTIVATIONS[activation]()
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        query, key, value = (_heads(layer(y)) for layer in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        return x + self.down(self.activation(self.up(self.norm2(x))))


def _heads(x: Tensor) -> Tensor:
    """`[batch, tokens, width]` → `[batch, heads, tokens, HEAD_SIZE]`."""
    return x.unflatten(2, (-1, HEAD_SIZE)).transpose(1, 2)


def patch_size(side: int) -> int:
    """Side of a patch in pixels: 2 for 8, 4 for 28 and 32; the largest power of two that leaves 7 patches a side."""
    patch = 2
    while side // (2 * patch) >= 7:
        patch *= 2
    return patch


def vit(
    *,
    input_shape: tuple[int, ...],
    classes: int,
    width: int,
    depth: int = 4,
    norm: str = "layer",
    activation: str = "gelu",
) -> ViT:
    """A `ViT` for images of `input_shape` `[channels, height, width]`; its norm is LayerNorm.

    Raises ValueError for another norm, or a width that is no multiple of 8.
    """
    if norm != "layer":
        raise ValueError(f"the norm of a vit is layer, not {norm!r}")
    return ViT(input_shape, classes, width, depth, activation)
