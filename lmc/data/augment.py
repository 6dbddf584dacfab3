"""Random flips and crops of whole batches, for many networks at once.

The recipe of He et al. (2016, section 4.2): 4 black pixels around the image, a random crop of the old size, and a
horizontal flip of every second image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

KINDS = ("none", "flip", "crop", "flip_crop")
PADDING = 4  # pixels


def augment(images: Tensor, kind: str, generators: Sequence[torch.Generator], fill: Tensor | float) -> Tensor:
    """Images `[stack, batch, C, H, W]`, changed at random; `kind` is one of `KINDS`.

    Each network of the stack has its own CPU generator, from which its draws are made, so neither the device nor its
    neighbours change them. `fill` `[C]` is what crops have outside the image: black after normalisation
    (`Dataset.black`).
    """
    if kind not in KINDS:
        raise ValueError(f"unknown augmentation {kind!r}; choose one of: {', '.join(KINDS)}")
    if len(generators) != len(images):
        raise ValueError(f"{len(images)} networks need as many generators, not {len(generators)}")
    if kind == "none":
        return images
    batch, (height, width) = images.shape[1], images.shape[-2:]
    rows = torch.arange(height, device=images.device).expand(*images.shape[:2], height)
    columns = torch.arange(width, device=images.device).expand(*images.shape[:2], width)
    if "flip" in kind:
        flipped = torch.stack([torch.randint(2, (batch, 1), generator=g) for g in generators]).to(images.device)
        columns = torch.where(flipped == 1, width - 1 - columns, columns)
    if "crop" in kind:
        draws = [torch.randint(2 * PADDING + 1, (2, batch, 1), generator=g) for g in generators]
        down, right = torch.stack(draws, 1).to(images.device)
        rows, columns = rows + down, columns + right
        images = _padded(images, fill)
    return _picked(images, rows, columns)


def _padded(images: Tensor, fill: Tensor | float) -> Tensor:
    *front, channels, height, width = images.shape
    padded = images.new_empty(*front, channels, height + 2 * PADDING, width + 2 * PADDING)
    padded[:] = torch.as_tensor(fill, dtype=images.dtype, device=images.device).view(-1, 1, 1)
    padded[..., PADDING:-PADDING, PADDING:-PADDING] = images
    return padded


def _picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Of every image the pixels where `rows` `[stack, batch, H]` and `columns` `[stack, batch, W]` cross."""
    channels, width = images.shape[2], images.shape[-1]
    places = (rows[..., :, None] * width + columns[..., None, :]).flatten(2)
    places = places[:, :, None].expand(-1, -1, channels, -1)
    found = images.flatten(3).gather(3, places)
    return found.unflatten(3, (rows.shape[-1], columns.shape[-1]))
