"""Folders of images, DIR/train/CLASS/* and DIR/test/CLASS/*: what they hold, and how to know them again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from lmc.data.catalog import MAX_CLASSES
from lmc.data.files import Report, replacing, silent
from lmc.errors import InputError

SPLITS = ("train", "test")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
_SETTLED = 3e9  # nanoseconds; file systems keep times to 2 seconds or better
_EVERY = 500  # files between two reports


@dataclass(frozen=True)
class ImageFolder:
    """The image files `split/class/name` under `root`, in the order of classes and names; `labels` go with them."""

    root: Path
    classes: tuple[str, ...]
    files: dict[str, list[str]]
    labels: dict[str, list[int]]


def folders(root: str | Path) -> list[str]:
    """Names of the subfolders of `root` that hold such a folder of images, sorted; none if `root` cannot be read."""
    try:
        return [child.name for child in _subfolders(Path(root)) if holds_images(child)]
    except OSError:
        return []


def holds_images(folder: Path) -> bool:
    """Whether `folder`, or exactly one folder in it, has train/ and test/; what is in them is not looked at."""
    try:
        return len(_homes(folder)) == 1
    except OSError:
        return False


def look(folder: Path) -> ImageFolder:
    """What is in `folder`, or in the one folder in it that has train/ and test/.

    Raises InputError (data_dir) if a split, a class or its images are missing, there is but one class, or the folder
    cannot be read.
    """
    try:
        return _look(folder)
    except OSError as error:
        raise refused(folder, f"a folder that can be read would be right ({error.strerror})") from None


def fingerprint(images: ImageFolder, cache: Path, report: Report = silent) -> str:
    """16 hexadecimal digits of the SHA-256 of all images with their classes and names.

    Reading tens of thousands of files takes seconds, so the digits are kept in the folder `cache` under the names,
    sizes and times of the files, unless one was changed only a moment ago.
    """
    try:
        kept, settled = _kept(images, cache)
        if kept.exists():
            return kept.read_text()
        found = _hash(images, report)
    except OSError as error:
        raise refused(images.root, f"images that can be read would be right ({error.strerror})") from None
    if settled:
        with contextlib.suppress(OSError), replacing(kept) as path:  # a cache is no reason to fail
            path.write_text(found)
    return found


def refused(folder: Path, right: str) -> InputError:
    """The error of a folder that cannot be used."""
    return InputError("data_dir", folder, right)


def _look(folder: Path) -> ImageFolder:
    homes = _homes(folder)
    if not homes:
        missing = [split for split in SPLITS if not (folder / split).is_dir()]
        lacks = f"this one has no {' and no '.join(missing)}"
        raise refused(folder, f"a folder with train/CLASS/* and test/CLASS/* would be right, {lacks}")
    if len(homes) > 1:
        names = ", ".join(home.name for home in homes)
        raise refused(folder, f"choose one of the folders of images in it: {names}")
    root = homes[0]
    found = {split: [path.name for path in _subfolders(root / split)] for split in SPLITS}
    classes = _checked_classes(root, found)
    files: dict[str, list[str]] = {split: [] for split in SPLITS}
    labels: dict[str, list[int]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        for label, name in enumerate(classes):
            images = _images(root / split / name)
            if not images:
                raise refused(root, f"a class without images has to go or be filled: {split}/{name}")
            files[split] += [f"{split}/{name}/{image}" for image in images]
            labels[split] += [label] * len(images)
    return ImageFolder(root, classes, files, labels)


def _homes(folder: Path) -> list[Path]:
    """`folder` if it has train/ and test/, else the folders in it that do."""
    if _has_splits(folder):
        return [folder]
    return [child for child in _subfolders(folder) if _has_splits(child)]


def _has_splits(folder: Path) -> bool:
    return all((folder / split).is_dir() for split in SPLITS)


def _subfolders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    return [folder / name for name in names]


def _images(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.lower().endswith(_SUFFIXES) and name[0] != ".")  # noqa: PTH208


def _checked_classes(root: Path, classes: dict[str, list[str]]) -> tuple[str, ...]:
    train, test = classes["train"], classes["test"]
    if train != test:
        only = [f"{split}/{name}" for split in SPLITS for name in classes[split] if (name in train) != (name in test)]
        shown = ", ".join(only[:3]) + (", ..." if len(only) > 3 else "")
        raise refused(root, f"train and test need the same classes; only on one side: {shown}")
    if not 2 <= len(train) <= MAX_CLASSES:
        raise refused(root, f"2 to {MAX_CLASSES:,} classes would be right, train/ has {len(train):,}")
    return tuple(train)


def _kept(images: ImageFolder, cache: Path) -> tuple[Path, bool]:
    """Where the fingerprint of these files is kept, and whether they are old enough to keep it."""
    root = str(images.root.absolute())
    digest, newest = hashlib.sha256(os.fsencode(root)), 0
    for file in _all_files(images):
        status = os.stat(f"{root}/{file}")  # noqa: PTH116 - of 60,000 files, a Path each would take a second more
        newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(os.fsencode(f"{file}\0{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\0"))
    return cache / f"fingerprint-{digest.hexdigest()[:32]}", time.time_ns() - newest > _SETTLED


def _hash(images: ImageFolder, report: Report) -> str:
    files = _all_files(images)
    digest = hashlib.sha256()
    for i, file in enumerate(files):
        content = (images.root / file).read_bytes()
        digest.update(os.fsencode(f"{file}\0{len(content)}\0"))
        digest.update(content)
        if i % _EVERY == 0:
            report(i / len(files), f"reading image {i:,} of {len(files):,}")
    return digest.hexdigest()[:16]


def _all_files(images: ImageFolder) -> list[str]:
    return [file for split in SPLITS for file in images.files[split]]
