"""scikit-learn's 8×8 digits: the default, which needs no file."""

from __future__ import annotations

from lmc.data.dataset import Dataset, DatasetInfo

DIGITS = DatasetInfo(
    name="digits",
    title="Digits (8×8, built in)",
    classes=tuple("0123456789"),
    input_shape=(1, 8, 8),
    train_images=1437,
    test_images=360,
)


def load_digits() -> Dataset:
    """scikit-learn's 1,797 digits, pixels divided by 16, one fixed shuffle into 1,437 and 360 images.

    The shuffle comes from NumPy's legacy generator, whose stream is frozen for all versions.
    """
    import numpy as np
    import torch
    from sklearn import datasets

    bunch = datasets.load_digits()
    order = np.random.RandomState(0).permutation(len(bunch.target))
    images = torch.from_numpy(bunch.images[order] / 16.0)[:, None]
    labels = torch.from_numpy(bunch.target[order]).long()
    n = DIGITS.train_images
    mean, std = float(images[:n].mean()), float(images[:n].std(correction=0))
    images = ((images - mean) / std).float()
    return Dataset(
        info=DIGITS,
        train_x=images[:n],
        train_y=labels[:n],
        test_x=images[n:],
        test_y=labels[n:],
        mean=(mean,),
        std=(std,),
    )
