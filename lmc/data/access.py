"""Finding and loading data sets by name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lmc.data.catalog import FOLDER, dataset_info, folder_name, is_folder, list_datasets
from lmc.data.dataset import Dataset, from_bytes
from lmc.data.decode import decoded
from lmc.data.digits import load_digits
from lmc.data.files import Report, silent
from lmc.data.folder import SPLITS, ImageFolder, fingerprint, folders, holds_images, look, refused
from lmc.data.points import load_points
from lmc.data.published import PUBLISHED, is_there, load_published, root_of
from lmc.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Listed:
    """A row of the list of data sets; `where` says in words or as a path where the set lies, or would lie."""

    name: str
    title: str
    train_images: int
    test_images: int
    on_disk: bool
    where: str


def default_data_dir() -> Path:
    """`$LMC_DATA`, else the folder `data` in `$LMC_STORE` or in the user's data folder."""
    if os.environ.get("LMC_DATA"):
        return Path(os.environ["LMC_DATA"]).expanduser()
    if os.environ.get("LMC_STORE"):
        return Path(os.environ["LMC_STORE"]).expanduser() / "data"
    try:
        from platformdirs import user_data_path
    except ImportError:
        return Path.home() / ".cache" / "lmc" / "data"
    return user_data_path("lmc-explorer", appauthor=False) / "data"


def load(name: str, *, data_dir: str | Path | None = None, report: Report | None = None) -> Dataset:
    """The data set `name`, float32 on the CPU; one that is published and not in `data_dir` is downloaded into it.

    `name` is one of `list_datasets()` or what `resolve` made of `folder`; then `data_dir` is the folder of images, and
    must hold what it held (default: the folder in `default_data_dir()` that does). The classes of a folder are named
    in the result's `info`. `report(share, text)` is called at least every second and may raise to stop. Raises
    ValueError for an unknown name and InputError if the data cannot be had.
    """
    info, folder, report = dataset_info(name), _folder(data_dir), report or silent
    if is_folder(name):
        return _load_folder(name, folder if data_dir else _folder_of(name, report), report)
    if name in PUBLISHED:
        return load_published(name, folder, report)
    return load_points(name) if info.kind == "points" else load_digits()


def resolve(name: str, data_dir: str | Path | None = None, *, report: Report | None = None) -> str:
    """`folder` becomes `folder:CxHxW:CLASSES:TRAIN:TEST:HASH`, which says what is in `data_dir`; others stay.

    HASH is a fingerprint of the images. The first look at a folder decodes it, with `report` as in `load`. Raises
    InputError (data_dir) for what is no folder of images.
    """
    if name != FOLDER:
        return name
    return _open(_folder(data_dir), report or silent)[0]


def on_disk(name: str, data_dir: str | Path | None = None) -> bool:
    """Whether `load` would need no network; files are looked for, not into."""
    dataset_info(name)
    folder = _folder(data_dir)
    if is_folder(name):
        return holds_images(folder)
    return name not in PUBLISHED or is_there(name, folder)


def list_data(data_dir: str | Path | None = None) -> list[Listed]:
    """A row for every data set; `folder` counts as being on disk if `data_dir` is a folder of images."""
    rows = []
    for name in list_datasets():
        info, there = dataset_info(name), on_disk(name, data_dir)
        where = _where(name, _folder(data_dir))
        rows.append(Listed(name, info.title, info.train_images, info.test_images, there, where))
    return rows


def _where(name: str, folder: Path) -> str:
    if is_folder(name):
        return str(folder) if holds_images(folder) else "any folder with train/CLASS/* and test/CLASS/*"
    return str(root_of(name, folder) / PUBLISHED[name].base) if name in PUBLISHED else "built in"


def _folder(data_dir: str | Path | None) -> Path:
    return Path(data_dir).expanduser() if data_dir else default_data_dir()


def _cache() -> Path:
    """Where decoded images are kept. It is not in the folder of images, which may be read-only or shared."""
    return default_data_dir() / "cache"


def _folder_of(name: str, report: Report) -> Path:
    """The folder of images under `default_data_dir()` that has the fingerprint in `name`."""
    root = default_data_dir()
    for folder in (root, *(root / found for found in folders(root))):
        if holds_images(folder) and name.endswith(fingerprint(look(folder), _cache(), report)):
            return folder
    raise refused(root, "these images are not in it; say which folder holds them with --data-dir")


def _load_folder(name: str, folder: Path, report: Report) -> Dataset:
    import torch

    found, images, pixels = _open(folder, report, name)
    labels = {split: torch.tensor(images.labels[split]) for split in SPLITS}
    info = replace(dataset_info(found), classes=images.classes)
    return from_bytes(info, *((pixels[split], labels[split]) for split in SPLITS))


def _open(folder: Path, report: Report, expected: str = FOLDER) -> tuple[str, ImageFolder, dict[str, Tensor]]:
    """Full name, files and bytes of a folder of images; refuses one that is not the `expected` one."""
    images = look(folder)
    hashed = fingerprint(images, _cache(), report)
    if expected != FOLDER and not expected.endswith(hashed):
        raise refused(folder, f"the images of {expected} would be right; here are others, or they were changed")
    pixels = decoded(images, hashed, _cache(), report)
    train, test = (len(images.files[split]) for split in SPLITS)
    name = folder_name(tuple(pixels["train"].shape[1:]), len(images.classes), train, test, hashed)
    if expected not in (FOLDER, name):
        raise InputError("dataset", expected, f"{name} would be right for the images in {folder}")
    return name, images, pixels
