"""Data sets as whole tensors, normalised, ready to be moved to a device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What can be said about a data set without loading it."""

    name: str
    title: str
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    train_images: int
    test_images: int


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images `[N, C, H, W]` (normalised), labels `[N]` (int64), and how to undo the normalisation."""

    info: DatasetInfo
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    mean: float
    std: float

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Dataset:
        """A copy whose images are `dtype` and whose tensors lie on `device`."""
        return replace(
            self,
            train_x=self.train_x.to(device, dtype),
            test_x=self.test_x.to(device, dtype),
            train_y=self.train_y.to(device),
            test_y=self.test_y.to(device),
        )

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Images and labels of `train` or `test`."""
        return (self.train_x, self.train_y) if name == "train" else (self.test_x, self.test_y)


_DATASETS = {
    entry.name: entry
    for entry in (
        DatasetInfo(
            name="digits",
            title="Digits (8×8, built in)",
            classes=tuple("0123456789"),
            input_shape=(1, 8, 8),
            train_images=1437,
            test_images=360,
        ),
    )
}


def list_datasets() -> list[str]:
    """Names of all data sets."""
    return list(_DATASETS)


def dataset_info(name: str) -> DatasetInfo:
    """The entry called `name`; a ValueError lists the valid names."""
    try:
        return _DATASETS[name]
    except KeyError:
        raise ValueError(f"unknown data set {name!r}; choose one of: {', '.join(list_datasets())}") from None


def load(name: str) -> Dataset:
    """The data set `name`, float32 on the CPU."""
    return {"digits": _digits}[dataset_info(name).name]()


def _digits() -> Dataset:
    """scikit-learn's 1,797 digits, pixels divided by 16, one fixed shuffle into 1,437 and 360 images.

    The shuffle comes from NumPy's legacy generator, whose stream is frozen for all versions.
    """
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    info = _DATASETS["digits"]
    bunch = load_digits()
    order = np.random.RandomState(0).permutation(len(bunch.target))
    images = torch.from_numpy(bunch.images[order] / 16.0)[:, None]
    labels = torch.from_numpy(bunch.target[order]).long()
    n = info.train_images
    mean, std = float(images[:n].mean()), float(images[:n].std(correction=0))
    images = ((images - mean) / std).float()
    return Dataset(
        info=info,
        train_x=images[:n],
        train_y=labels[:n],
        test_x=images[n:],
        test_y=labels[n:],
        mean=mean,
        std=std,
    )
