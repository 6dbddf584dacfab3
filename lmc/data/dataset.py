"""What a data set is: facts known without loading it, and its tensors once loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CHUNK = 1000  # images counted at a time, so that counting needs little memory


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What can be said about a data set without loading it.

    `input_shape` is `(C, H, W)` for images and `(2,)` for points. `augmentable` names the kinds of augmentation
    (see `lmc.data.augment`) that leave the meaning of an image alone; none for points.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    train_images: int
    test_images: int
    kind: Literal["images", "points"] = "images"
    augmentable: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Inputs `[N, *input_shape]` (normalised), labels `[N]` (int64), and how to undo the normalisation.

    `mean` and `std` are those of the training set, one number a channel (of points: one a coordinate).
    """

    info: DatasetInfo
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Dataset:
        """A copy whose inputs are `dtype` and whose tensors lie on `device`."""
        return replace(
            self,
            train_x=self.train_x.to(device, dtype),
            test_x=self.test_x.to(device, dtype),
            train_y=self.train_y.to(device),
            test_y=self.test_y.to(device),
        )

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Inputs and labels of `train` or `test`."""
        return (self.train_x, self.train_y) if name == "train" else (self.test_x, self.test_y)

    def pixels(self, x: Tensor) -> Tensor:
        """Normalised inputs `[N, *input_shape]` as they were: images from 0 to 1, points in their own coordinates."""
        mean, std = (_by_channel(values, x) for values in (self.mean, self.std))
        found = x * std + mean
        return found.clamp(0, 1) if self.info.kind == "images" else found

    def black(self) -> Tensor:
        """What a pixel 0 is after normalisation, `[C]`: what crops are padded with."""
        x = self.train_x
        zeros = x.new_zeros(1, len(self.mean), *[1] * (x.ndim - 2))
        return _normalise(zeros, self.mean, self.std).flatten()


def from_bytes(info: DatasetInfo, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Dataset:
    """The data set of these images `[N, C, H, W]` (uint8) and labels `[N]`.

    Pixels are divided by 255, then normalised with the training set's mean and standard deviation per channel. Beside
    the bytes, the float32 result is the only copy that is made.
    """
    mean, std = channel_statistics(train[0])
    (train_x, train_y), (test_x, test_y) = train, test
    return Dataset(
        info=info,
        train_x=_normalise(train_x.float().div_(255), mean, std),
        train_y=train_y.long(),
        test_x=_normalise(test_x.float().div_(255), mean, std),
        test_y=test_y.long(),
        mean=mean,
        std=std,
    )


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of `images / 255` per channel, from `[N, C, H, W]` of uint8.

    They come from sums of whole numbers, so they are exact and depend on no order of summation. A channel that is
    the same everywhere gets the standard deviation 1: there is nothing to divide by.
    """
    import torch

    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.int64)
        for part in images[:, channel].split(_CHUNK):
            counts += torch.bincount(part.flatten(), minlength=256)
        total, squares = (sum(count * value**power for value, count in enumerate(counts.tolist())) for power in (1, 2))
        pixels = int(counts.sum())
        means.append(total / (255 * pixels))
        stds.append(math.sqrt(pixels * squares - total**2) / (255 * pixels) or 1.0)
    return tuple(means), tuple(stds)


def _normalise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """`x`, changed in place."""
    return x.sub_(_by_channel(mean, x)).div_(_by_channel(std, x))


def _by_channel(values: tuple[float, ...], x: Tensor) -> Tensor:
    """One number a channel, shaped to go with `[N, C, ...]`."""
    return x.new_tensor(values).view(-1, *[1] * (x.ndim - 2))
