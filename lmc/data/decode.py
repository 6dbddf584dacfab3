"""Image files as one tensor of bytes, decoded once and kept."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmc.data.catalog import MAX_SIDE
from lmc.data.files import Report, replacing, silent
from lmc.data.folder import SPLITS, ImageFolder, refused

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

RESIZED = (32, 32)  # pixels
_REVISION = 1  # of the decoding; a new one makes other files in the cache
_BATCH = 128  # images between two reports
_GREY = {"1", "L", "LA", "La"}


def decoded(images: ImageFolder, fingerprint: str, cache: Path, report: Report = silent) -> dict[str, Tensor]:
    """The images of each split `[N, C, H, W]` (uint8).

    If all have one size of at most 64×64 they keep it, else all become 32×32 (bilinear, antialiased); they are grey
    if every file is, else RGB. They are kept in the folder `cache` under the `fingerprint`. Raises InputError
    (data_dir) if an image cannot be read.
    """
    from safetensors.torch import save_file

    kept = cache / f"images-{_REVISION}-{fingerprint}.safetensors"
    found = _kept(kept, images)
    if found is None:
        found = _decode(images, report)
        with contextlib.suppress(OSError), replacing(kept) as path:  # a cache is no reason to fail
            save_file(found, path)
    return found


def _kept(path: Path, images: ImageFolder) -> dict[str, Tensor] | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except (OSError, SafetensorError):
        return None
    sizes = {split: len(found[split]) for split in SPLITS if split in found}
    return found if sizes == {split: len(images.files[split]) for split in SPLITS} else None


def _decode(images: ImageFolder, report: Report) -> dict[str, Tensor]:
    import torch

    arrays = {split: _arrays(images, split, report) for split in SPLITS}
    everything = [array for split in SPLITS for array in arrays[split]]
    sizes = {(array.shape[0], array.shape[1]) for array in everything}
    size = sizes.pop() if len(sizes) == 1 else RESIZED
    channels = 1 if all(array.ndim == 2 for array in everything) else 3
    return {split: torch.from_numpy(_stacked(arrays[split], channels, size)) for split in SPLITS}


def _arrays(images: ImageFolder, split: str, report: Report) -> list[np.ndarray]:
    """The images of one split, each at most 64×64, `[H, W]` if grey, else `[H, W, 3]`."""
    files = images.files[split]
    found: list[np.ndarray] = []
    read = partial(_read, images.root)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # large images are decoded outside Python's lock
        for start in range(0, len(files), _BATCH):
            report(start / len(files), f"decoding {split} image {start:,} of {len(files):,}")
            found += pool.map(read, files[start : start + _BATCH])
    return found


def _read(root: Path, file: str) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(root / file) as image:
            upright = ImageOps.exif_transpose(image) if "exif" in image.info else image
            plain = _grey_or_rgb(upright)
    except Exception:  # decoders raise anything at all for a damaged file
        raise refused(root, f"images that can be read would be right, {file} cannot") from None
    if max(plain.size) > MAX_SIDE:
        plain = plain.resize(RESIZED[::-1], Image.Resampling.BILINEAR)
    return np.array(plain)


def _grey_or_rgb(image: Image) -> Image:
    from PIL import Image as images

    if image.mode.startswith("I"):  # 16 bits of grey
        return images.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode == "P":  # keeps Pillow from guessing what transparent colours become
        image = image.convert("RGBA")
    return image.convert("L" if image.mode in _GREY else "RGB")


def _stacked(arrays: list[np.ndarray], channels: int, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    stacked = np.empty((len(arrays), channels, *size), np.uint8)
    for image, array in zip(stacked, arrays, strict=True):
        if array.shape[:2] != size:
            array = np.asarray(Image.fromarray(array).resize(size[::-1], Image.Resampling.BILINEAR))
        image[:] = array if array.ndim == 2 else array.transpose(2, 0, 1)
    return stacked
