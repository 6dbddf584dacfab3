"""The published sets that torchvision reads. Addresses and checksums are torchvision's own, asked at run time."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from lmc.data.catalog import dataset_info
from lmc.data.dataset import Dataset, from_bytes
from lmc.data.download import FULL, DownloadError, fetch, md5_of
from lmc.data.files import Report, locked, replacing, silent
from lmc.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_DAMAGED = (OSError, RuntimeError, ValueError, AssertionError, EOFError, KeyError, IndexError, TypeError)


@dataclass(frozen=True)
class Published:
    """Where a set lies: torchvision's class `loader` reads `files` in the folder `base`; `archives` are what comes
    from the network, each with the files that are packed in it."""

    loader: str
    base: str
    archives: dict[str, tuple[str, ...]]

    @property
    def files(self) -> list[str]:
        return [file for files in self.archives.values() for file in files]


PUBLISHED = {
    **{
        name: Published(loader, f"{loader}/raw", {f"{file}.gz": (file,) for file in _IDX})
        for name, loader in (("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST"))
    },
    "cifar10": Published(
        "CIFAR10",
        "cifar-10-batches-py",
        {"cifar-10-python.tar.gz": (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")},
    ),
    "cifar100": Published("CIFAR100", "cifar-100-python", {"cifar-100-python.tar.gz": ("train", "test", "meta")}),
    "svhn": Published("SVHN", ".", {file: (file,) for file in ("train_32x32.mat", "test_32x32.mat")}),
}


def load_published(name: str, data_dir: Path, report: Report = silent) -> Dataset:
    """The set `name` from the folder `data_dir`, downloaded into it first if it is not there.

    Raises InputError for `dataset` if it cannot be downloaded, for `data_dir` if the folder cannot be written or what
    lies there is damaged.
    """
    loader, info = _loader(name), dataset_info(name)
    root = root_of(name, data_dir)
    _provide(name, loader, root, report)
    report(1.0, f"reading {info.title}")
    try:
        train, test = (_read(loader, root, split) for split in ("train", "test"))
        for (x, y), count in ((train, info.train_images), (test, info.test_images)):
            fits = x.shape == (count, *info.input_shape) and y.shape == (count,)
            if not fits or not (0 <= int(y.min()) and int(y.max()) < len(info.classes)):
                raise ValueError("other images than the published ones")
    except _DAMAGED:
        base = root / PUBLISHED[name].base
        names = ", ".join(PUBLISHED[name].files)
        raise InputError(
            "data_dir", base, f"its files of {info.title} are damaged; delete them to fetch them again: {names}"
        ) from None
    return from_bytes(info, train, test)


def is_there(name: str, data_dir: Path) -> bool:
    """Whether the set `name` could be loaded from `data_dir` without a network; contents are not looked at."""
    root = root_of(name, data_dir)
    return all(
        _unpacked(name, root, archive) or any(path.exists() for path, _ in _by_hand(name, root, archive))
        for archive in PUBLISHED[name].archives
    )


def root_of(name: str, data_dir: Path) -> Path:
    """The folder that torchvision calls root: also when `data_dir` is the set's own folder, or a part of its path."""
    base = Path(PUBLISHED[name].base).parts
    for count in range(len(base), 0, -1):
        if data_dir.parts[-count:] == base[:count]:
            return data_dir.parents[count - 1]
    return data_dir


def _loader(name: str) -> Any:
    try:
        from torchvision import datasets  # type: ignore[import-untyped]
    except (ImportError, RuntimeError) as error:  # RuntimeError: it was built for another torch
        raise InputError("dataset", name, f"reading it needs torchvision, installed to fit torch ({error})") from None
    return getattr(datasets, PUBLISHED[name].loader)


def _provide(name: str, loader: Any, root: Path, report: Report) -> None:
    """Bring about that all files of the set lie unpacked under `root`."""
    published, base = PUBLISHED[name], root / PUBLISHED[name].base
    if all(_unpacked(name, root, archive) for archive in published.archives):
        return
    try:
        with locked(root / f".{name}.lock", report, f"fetching {name}"):
            for i, (archive, files) in enumerate(published.archives.items()):
                if not _unpacked(name, root, archive):
                    share = _share(report, i, len(published.archives))
                    _unpack(_packed(name, loader, root, archive, share), base, files, share)
    except DownloadError as error:
        raise InputError(
            "dataset",
            name,
            f"it is not in {root} and cannot be downloaded ({error}); connect, or put the files into {base} yourself",
        ) from None
    except OSError as error:
        kind = "on a disk with free space" if error.errno in FULL else "that can be written"
        raise InputError("data_dir", root, f"a folder {kind} would be right ({error.strerror or error})") from None


def _share(report: Report, i: int, count: int) -> Report:
    return lambda share, text: report((i + share) / count, text)


def _unpacked(name: str, root: Path, archive: str) -> bool:
    return all((root / PUBLISHED[name].base / file).is_file() for file in PUBLISHED[name].archives[archive])


def _packed(name: str, loader: Any, root: Path, archive: str, report: Report) -> Path:
    """The archive: one that somebody put there, else the downloaded one."""
    urls, md5 = _sources(loader, archive)
    for path, named in _by_hand(name, root, archive):
        if path.exists() and (named or md5_of(path, report) == md5):
            return path
    target = root / PUBLISHED[name].base / archive
    target.parent.mkdir(parents=True, exist_ok=True)
    fetch(urls, target, md5, report=report)
    return target


def _by_hand(name: str, root: Path, archive: str) -> Iterator[tuple[Path, bool]]:
    """Places where people put an archive or what is in it, and whether the place is named after the set.

    Where it isn't, only the checksum can tell (the files of MNIST and Fashion-MNIST have the same names).
    """
    base = Path(PUBLISHED[name].base)
    files = PUBLISHED[name].archives[archive]
    for folder in dict.fromkeys([root / base, *(root / parent for parent in base.parents), root / name]):
        for file in dict.fromkeys([archive, *files]) if len(files) == 1 else [archive]:
            yield folder / file, folder != root or folder.name == name


def _sources(loader: Any, archive: str) -> tuple[list[str], str]:
    """Addresses and MD5 of an archive, as torchvision's class gives them."""
    if hasattr(loader, "resources"):
        return [mirror + archive for mirror in loader.mirrors], dict(loader.resources)[archive]
    if hasattr(loader, "split_list"):
        url, _, md5 = next(entry for entry in loader.split_list.values() if entry[1] == archive)
        return [url], md5
    return [loader.url], loader.tgz_md5


def _unpack(path: Path, base: Path, files: tuple[str, ...], report: Report) -> None:
    """Unpack or copy `files` from `path` into `base`; each appears whole or not at all."""
    report(1.0, f"unpacking {path.name}")
    try:
        if path.name.endswith(".tar.gz"):
            _unpack_members(path, base, files)
        elif path != base / files[0]:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as source:
                _copy(cast(BinaryIO, source), base / files[0])
    except (gzip.BadGzipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise InputError("data_dir", path, f"it is damaged or no such archive ({error}); delete it") from None


def _unpack_members(path: Path, base: Path, files: tuple[str, ...]) -> None:
    """Only the files that are known: nothing else in the archive can come to lie anywhere."""
    with tarfile.open(path, "r:gz") as archive:
        for file in files:
            try:
                member = archive.extractfile(f"{base.name}/{file}")
            except KeyError:
                member = None
            if member is None:
                raise tarfile.ReadError(f"it has no {base.name}/{file}")
            _copy(cast(BinaryIO, member), base / file)


def _copy(source: BinaryIO, target: Path) -> None:
    with replacing(target) as path, path.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _read(loader: Any, root: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images `[N, C, H, W]` (uint8) and labels, as torchvision reads them; it checks CIFAR's and SVHN's files first."""
    import numpy as np
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy on the age of CIFAR's files
        choice = {"split": split} if hasattr(loader, "split_list") else {"train": split == "train"}
        found = loader(root, **choice)
    images = np.asarray(found.data)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    labels = found.labels if hasattr(found, "labels") else found.targets
    return torch.from_numpy(np.ascontiguousarray(images)), torch.as_tensor(labels)
