"""Points in the plane, made here: small networks learn them, straight lines don't, and one can see every decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmc.data.dataset import Dataset, DatasetInfo

if TYPE_CHECKING:
    from torch import Tensor

_TRAIN, _TEST = 2000, 1000
_DECIMALS = 4  # coordinates are rounded, so that the last bits of a machine's sine don't matter
_MARGIN = 0.1  # of the data's range, shown around it

MOONS = DatasetInfo(
    name="moons",
    title="Two moons (points)",
    classes=("upper", "lower"),
    input_shape=(2,),
    train_images=_TRAIN,
    test_images=_TEST,
    kind="points",
)
SPIRALS = DatasetInfo(
    name="spirals",
    title="Three spirals (points)",
    classes=("0", "1", "2"),
    input_shape=(2,),
    train_images=_TRAIN,
    test_images=_TEST,
    kind="points",
)


def load_points(name: str) -> Dataset:
    """`moons` or `spirals`: 2,000 and 1,000 points, coordinates normalised like the channels of images.

    The draws come from NumPy's legacy generator, whose stream is frozen for all versions.
    """
    import torch

    info, make = {"moons": (MOONS, _moons), "spirals": (SPIRALS, _spirals)}[name]
    points, labels = make(np.random.RandomState(0), _TRAIN + _TEST)
    points = points.round(_DECIMALS)
    mean, std = points[:_TRAIN].mean(0), points[:_TRAIN].std(0)
    x, y = torch.from_numpy((points - mean) / std).float(), torch.from_numpy(labels)
    return Dataset(
        info=info,
        train_x=x[:_TRAIN],
        train_y=y[:_TRAIN],
        test_x=x[_TRAIN:],
        test_y=y[_TRAIN:],
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
    )


def plane(dataset: Dataset | DatasetInfo, side: int) -> Tensor:
    """A grid over the plane of a data set of points, normalised, `[side * side, 2]` float32.

    Row by row from the bottom, each row from the left: place `i * side + j` is column `j` of row `i`. The corners lie
    on `plane_extent`.
    """
    import torch

    loaded = _loaded(dataset)
    left, right, bottom, top = plane_extent(loaded)
    across = torch.linspace(left, right, side, dtype=torch.float64)
    upwards = torch.linspace(bottom, top, side, dtype=torch.float64)
    y, x = torch.meshgrid(upwards, across, indexing="ij")
    points = torch.stack([x.flatten(), y.flatten()], 1)
    return ((points - points.new_tensor(loaded.mean)) / points.new_tensor(loaded.std)).float()


def plane_extent(dataset: Dataset | DatasetInfo) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of `plane`, in the coordinates that `Dataset.pixels` gives back."""
    import torch

    loaded = _loaded(dataset)
    points = loaded.pixels(torch.cat([loaded.train_x, loaded.test_x]).cpu().double())
    low, high = points.amin(0), points.amax(0)
    margin = _MARGIN * (high - low)
    left, bottom = (low - margin).tolist()
    right, top = (high + margin).tolist()
    return left, right, bottom, top


def _loaded(dataset: Dataset | DatasetInfo) -> Dataset:
    info = dataset if isinstance(dataset, DatasetInfo) else dataset.info
    if info.kind != "points":
        raise ValueError(f"{info.name} has images, not points in a plane; choose moons or spirals")
    return load_points(info.name) if isinstance(dataset, DatasetInfo) else dataset


def _moons(random: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two half circles of radius 1, the lower one shifted by (1, 1/2), with noise 0.15."""
    labels = random.permutation(np.arange(count) % 2)
    angle = np.pi * random.uniform(size=count)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    points = np.where(labels[:, None] == 0, upper, lower)
    return points + 0.15 * random.normal(size=points.shape), labels


def _spirals(random: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Three arms of three quarters of a turn, as dense outside as inside, with noise 0.03."""
    labels = random.permutation(np.arange(count) % 3)
    radius = random.uniform(0.1, 1, size=count)
    angle = 2 * np.pi * (labels / 3 + 0.75 * radius)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return points + 0.03 * random.normal(size=points.shape), labels
