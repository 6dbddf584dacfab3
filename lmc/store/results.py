"""Finished experiments in a store."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmc.errors import StoreError
from lmc.result import Result
from lmc.store.content import Damaged, packed_result, read_result
from lmc.store.folders import Folders
from lmc.store.layout import USED, WRITING, checked


class Results(Folders):
    """The results of a store, and those that ship with the project."""

    def save_result(self, result: Result) -> None:
        """Write a finished result, unless it is there already. Raises StoreError if the disk refuses."""
        if self.load_result(result.id) is not None:
            return
        content, arrays = packed_result(result)
        target = self.root / "results" / checked(result.id)
        folder = target.with_name(f"{WRITING}{os.getpid()}-{time.time_ns()}")
        try:
            folder.mkdir()
            (folder / "arrays.npz").write_bytes(arrays)
            (folder / "result.json").write_bytes(content)
            (folder / USED).touch()
            _put(folder, target)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def load_result(self, id: str) -> Result | None:
        """The result `id`, which counts as used now, or None; a damaged one is set aside and counts as missing."""
        for folder in self._find("results", id):
            result = self._result_in(folder, id)
            if result is not None:
                self._mark_used(folder)
                return result
        return None

    def has_result(self, id: str) -> bool:
        """Whether a result `id` is there, unread."""
        return any((folder / "result.json").exists() for folder in self._find("results", id))

    def results(self) -> Iterator[Result]:
        """All readable results of this store, newest first; shipped ones are left out. None counts as used by it."""
        for id in self._newest_first("results", self.root):
            result = self._result_in(self.root / "results" / id, id)
            if result is not None:
                yield result

    def load_result_text(self, id: str) -> dict[str, Any] | None:
        """The result `id` without its arrays, as plain data and unchecked: for lists, which need be quick. Or None."""
        for folder in self._find("results", id):
            with contextlib.suppress(OSError, ValueError, IndexError):
                content = json.loads((folder / "result.json").read_text().split("\n", 1)[1])
                if isinstance(content, dict):
                    return content
        return None

    def delete_result(self, id: str) -> None:
        """Remove the result from this store; its networks stay. Nothing happens if it holds none of that id.

        Raises StoreError for a shipped or pinned one, and while a run of it holds its lock.
        """
        try:
            self._delete("results", id)
        except TimeoutError:
            raise StoreError("this experiment is running; try again when that has ended") from None

    def _result_in(self, folder: Path, id: str) -> Result | None:
        try:
            return read_result(folder, id)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"the result in {folder} cannot be read ({error.strerror}); try again") from None
        except Damaged:
            self._set_aside(folder)
            return None


def with_seconds(result: Result, seconds: float) -> Result:
    """The same result, produced in `seconds`."""
    return replace(result, seconds=round(seconds, 3))


def _put(folder: Path, target: Path) -> None:
    """Give the folder its name; what may stand there has been found unreadable."""
    old = folder.with_name(folder.name + "-old")
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another process was quicker with the same result
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
