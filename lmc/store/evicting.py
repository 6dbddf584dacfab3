"""Making room: what was not used for longest is deleted until the store is within its limit again."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from lmc.errors import StoreError
from lmc.store.inventory import Inventory, Kept
from lmc.store.layout import DELETING, WRITING, checked
from lmc.store.networks import Networks
from lmc.store.results import Results

_ENOUGH = 0.9  # of the limit: room for a while, so that not every result has to make its own
_RECENT = 600  # seconds; what was used this lately may be between two steps of somebody's run
_HOUR, _DAY = 3600, 86400
_PATIENCE = 30  # seconds to wait for another process that makes room


class Eviction(Inventory, Results, Networks):
    """The part of a store that keeps it within its limit. Any number of processes may ask for it at once."""

    def evict(self, keep: Collection[str] = ()) -> list[str]:
        """Delete what was used least recently if the store is above its limit; the ids of what went, in that order.

        Saved states and damaged files that are a day old go first: a running training saves again long before. Then
        results and networks, until nine tenths of the limit are left. Never: what is pinned, and the networks of
        pinned results; what is in `keep`, and the networks of results there; networks from files, which cannot be
        computed again; what a run holds, or anybody used within the last ten minutes; anything shipped.

        Whether it is too large or not, the store loses what killed processes left half-written more than an hour ago.
        What the disk refuses to delete stays. Raises StoreError only for a word in `keep` that is no id.
        """
        wanted = {checked(id) for id in keep}
        gone: list[str] = []
        with contextlib.suppress(TimeoutError, StoreError), self.lock("evict", "0" * 16, patience=_PATIENCE):
            _clear_leftovers(self.root)
            excess = self.size() - self.limit
            if excess > 0:
                self._make_room(wanted, excess + (1 - _ENOUGH) * self.limit, gone)
        return gone

    def _make_room(self, keep: set[str], excess: float, gone: list[str]) -> None:
        for path, size in _abandoned(self.root):
            if excess <= 0:
                return
            _remove(path)
            excess -= size
        kept = self.inventory()
        protected = self._protected(keep | {one.id for one in kept if one.pinned})
        for one in sorted(kept, key=lambda one: (one.used, one.id)):
            if excess <= 0:
                return
            if one.id not in protected and self._evicted(one):
                gone.append(one.id)
                excess -= one.size

    def _protected(self, ids: set[str]) -> set[str]:
        """These, and the networks of those that are results."""
        texts = (self.load_result_text(id) or {} for id in ids)
        return ids.union(*(text.get("networks", ()) for text in texts))

    def _evicted(self, one: Kept) -> bool:
        """Delete it, unless it is in use; looks at it again under its lock."""
        if _recent(one):
            return False
        with contextlib.suppress(TimeoutError, StoreError), self._holding(one.kind, one.id, patience=0):
            now = self.kept(one.kind, one.id)
            if now is not None and not now.pinned and not _recent(now) and not self._from_file(now):
                return self._discard(self.root / one.kind / one.id)
        return False

    def _from_file(self, one: Kept) -> bool:
        return one.kind == "networks" and "loaded" in (self.load_about(one.id) or {})


def _recent(one: Kept) -> bool:
    return time.time() - one.used < _RECENT


def _abandoned(root: Path) -> Iterator[tuple[Path, int]]:
    """Saved states and damaged files older than a day, the oldest first, with their sizes in bytes."""
    found = []
    for part in ("states", "damaged"):
        with contextlib.suppress(FileNotFoundError), os.scandir(root / part) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime, Path(entry.path)))
    for written, path in sorted(found):
        if time.time() - written > _DAY:
            yield path, _size(path)


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else (path,)))
    return 0


def _clear_leftovers(root: Path) -> None:
    """Remove what killed processes left: of a deletion at once, of writing after an hour."""
    for folder in (root / "results", root / "states", root / "networks"):
        for path in _hidden(folder):
            _clear(path)
    with os.scandir(root / "networks") as entries:
        networks = [entry.path for entry in entries if entry.is_dir()]
    for network in networks:
        for path in _hidden(Path(network)):
            _clear(path)


def _hidden(folder: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.name.startswith((WRITING, DELETING))]
    return []


def _clear(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.name.startswith(DELETING) or time.time() - path.stat().st_mtime > _HOUR:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()
