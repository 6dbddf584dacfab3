"""The folders of a store and of the read-only layer below it: finding, marking, locking, setting aside, deleting."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lmc.errors import StoreError
from lmc.store.layout import DELETING, ID, PINNED, SHIPPED, USED, checked, default_limit, default_root

_MAIN = {"results": "result.json", "networks": "network.json"}
_NOUN = {"results": "result", "networks": "network"}
_FRESH = 60  # seconds in which one use is as good as another, so that most reads write nothing


class Folders:
    """The folder `root`, made if missing, above the layer `shipped`.

    `limit` is the size in bytes above which `evict` makes room. Raises StoreError if the folder cannot be written.
    """

    def __init__(self, root: str | Path | None = None, *, shipped: Path | None = SHIPPED) -> None:
        self.root = Path(root or default_root())
        self.limit = default_limit()
        self._unreadable: set[Path] = set()
        try:
            self.root = self.root.expanduser().resolve()
            for name in ("networks", "results", "runs", "states"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except (OSError, RuntimeError) as error:
            raise self._refused(error) from None
        self._layers = [self.root] + ([shipped] if shipped else [])

    def run_folder(self, id: str) -> Path:
        """Where the progress of a run is kept."""
        return self.root / "runs" / checked(id)

    def changes(self, kind: str) -> dict[str, int]:
        """Id → when it last changed, in ns, of all `networks` or `results`, shipped ones included; nothing is read."""
        found: dict[str, int] = {}
        for layer in reversed(self._layers):  # the store's own copy wins
            with contextlib.suppress(FileNotFoundError), os.scandir(layer / kind) as entries:
                for entry in entries:
                    if ID.fullmatch(entry.name):
                        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                            found[entry.name] = _changed(kind, Path(entry.path))
        return found

    @contextlib.contextmanager
    def lock(self, kind: str, id: str, patience: float = -1) -> Iterator[None]:
        """Hold the lock of one run or network, across processes; without filelock installed there is none.

        Raises TimeoutError when another holds it for longer than `patience` seconds (default: wait for ever),
        StoreError if the disk refuses.
        """
        try:
            from filelock import FileLock
        except ImportError:
            yield
            return
        held = FileLock(self.root / "locks" / f"{kind}-{checked(id)}", timeout=patience)
        try:
            (self.root / "locks").mkdir(exist_ok=True)
            held.acquire()
        except TimeoutError:
            raise
        except OSError as error:
            raise self._refused(error) from None
        try:
            yield
        finally:
            held.release()

    # For the parts of a store

    def _refused(self, error: Exception) -> StoreError:
        reason = getattr(error, "strerror", None) or error
        return StoreError(
            f"the store folder {self.root} cannot be written ({reason}); "
            "choose another with --store or the variable LMC_STORE"
        )

    def _find(self, kind: str, id: str) -> Iterator[Path]:
        for layer in self._layers:
            folder = layer / kind / checked(id)
            if folder.is_dir() and folder not in self._unreadable:
                yield folder

    def _own(self, kind: str, id: str) -> Path | None:
        folder = self.root / kind / checked(id)
        return folder if folder.is_dir() else None

    def _is_own(self, path: Path) -> bool:
        """Whether a result or network, or a file of one, lies in this store, not in the layer below it."""
        return any(path.is_relative_to(self.root / kind) for kind in _MAIN)

    def _newest_first(self, kind: str, layer: Path) -> list[str]:
        found = []
        for folder in (layer / kind).glob("*"):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile, or never finished
                if ID.fullmatch(folder.name):
                    found.append(((folder / _MAIN[kind]).stat().st_mtime_ns, folder.name))
        return [name for _, name in sorted(found, reverse=True)]

    def _mark_used(self, folder: Path) -> None:
        """Say that something of this store is used now. A disk that refuses the mark refuses no reading."""
        if not self._is_own(folder):
            return
        path = folder / USED
        with contextlib.suppress(OSError):
            try:
                if abs(time.time() - path.stat().st_mtime) > _FRESH:
                    os.utime(path)
            except FileNotFoundError:
                path.touch()

    def _set_aside(self, path: Path) -> None:
        """Move what cannot be read to `damaged/`; a file of the shipped layer is left alone."""
        if not self._is_own(path):
            self._unreadable.add(path)
            return
        name = "-".join(path.relative_to(self.root).parts)
        try:
            (self.root / "damaged").mkdir(exist_ok=True)
            aside = path.rename(self.root / "damaged" / f"{name}-{time.time_ns()}")
            os.utime(aside)  # its age is counted from now
        except FileNotFoundError:  # another process was quicker
            return
        except OSError as error:
            raise self._refused(error) from None

    @contextlib.contextmanager
    def _holding(self, kind: str, id: str, patience: float) -> Iterator[None]:
        """Hold what a run holds that makes this result or network."""
        with self.lock({"results": "run", "networks": "network"}[kind], id, patience=patience):
            yield

    def _delete(self, kind: str, id: str) -> None:
        """Remove a result or network of this store, if it is there.

        Raises TimeoutError while a run holds it, StoreError if it is pinned or shipped or the disk refuses.
        """
        folder = self._own(kind, id)
        if folder is None:
            if any(self._find(kind, id)):
                raise StoreError(f"this {_NOUN[kind]} came with the project and cannot be deleted")
            return
        with self._holding(kind, id, patience=0.2):
            if (folder / PINNED).exists():
                raise StoreError(f"this {_NOUN[kind]} is pinned; unpin it before deleting it")
            self._discard(folder)

    def _discard(self, folder: Path) -> bool:
        """Remove a folder, out of readers' sight first; False if another process was quicker."""
        doomed = folder.with_name(f"{DELETING}{os.getpid()}-{time.time_ns()}")
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._refused(error) from None
        shutil.rmtree(doomed, ignore_errors=True)
        return True


def _changed(kind: str, folder: Path) -> int:
    """A network's folder gains checkpoints; in a result's, only marks come and go, which are no news."""
    return (folder if kind == "networks" else folder / _MAIN[kind]).stat().st_mtime_ns
