"""What a store holds, how large it is, when it was last used, and what is pinned; nothing is read but the folders."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from lmc.errors import StoreError
from lmc.store.folders import Folders
from lmc.store.layout import DELETING, ID, PARTS, PINNED, USED


@dataclass(frozen=True)
class Kept:
    """A result or network of a store.

    `kind` is `results` or `networks`, `size` in bytes, `written` and `used` (last) in seconds since the epoch.
    """

    kind: str
    id: str
    size: int
    written: float
    used: float
    pinned: bool


class Inventory(Folders):
    """Sizes, times of use and pins. The shipped layer has none: it is never deleted."""

    def inventory(self) -> list[Kept]:
        """All results and networks of this store, those written last first."""
        found = (self.kept(kind, id) for kind in ("results", "networks") for id in _names(self.root / kind))
        return sorted((one for one in found if one is not None), key=lambda one: (-one.written, one.id))

    def kept(self, kind: str, id: str) -> Kept | None:
        """One of the `results` or `networks` of this store, or None."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            folder = self.root / kind / id
            with os.scandir(folder) as entries:
                stats = {entry.name: entry.stat() for entry in entries}
            main = stats.get("result.json") or stats.get("network.json") or folder.stat()
            used = stats.get(USED, main)
            size = sum(stat.st_size for stat in stats.values())
            return Kept(kind, id, size, main.st_mtime, used.st_mtime, PINNED in stats)
        return None

    def size(self) -> int:
        """How many bytes the results, networks, saved states, runs and damaged files of this store have.

        What is just being deleted does not count.
        """
        return sum(_bytes_below(self.root / part) for part in PARTS)

    def pin(self, id: str) -> None:
        """Let `evict` never delete this result, with its networks, or this network.

        Raises StoreError for one that this store does not hold itself, or if the disk refuses.
        """
        try:
            (self._pinnable(id) / PINNED).touch()
        except OSError as error:
            raise self._refused(error) from None

    def unpin(self, id: str) -> None:
        """Let `evict` delete it again. Raises StoreError as `pin` does."""
        try:
            (self._pinnable(id) / PINNED).unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from None

    def is_pinned(self, id: str) -> bool:
        """Whether the result or network itself is pinned; the networks of a pinned result are kept without a mark."""
        return any((self.root / kind / id / PINNED).exists() for kind in ("results", "networks") if self._own(kind, id))

    def _pinnable(self, id: str) -> Path:
        folder = self._own("results", id) or self._own("networks", id)
        if folder is not None:
            return folder
        if any(any(self._find(kind, id)) for kind in ("results", "networks")):
            raise StoreError("what came with the project is never deleted and needs no pin")
        raise StoreError(f"the store {self.root} holds no result or network {id}")


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if ID.fullmatch(entry.name)]


def _bytes_below(folder: str | Path) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(DELETING):
                continue
            if entry.is_dir(follow_symlinks=False):
                total += _bytes_below(entry.path)
                continue
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat(follow_symlinks=False).st_size
    return total
