"""Files that other processes never see half written, and locks that don't freeze the screen."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

Report = Callable[[float, str], None]
PATIENCE = 0.5  # seconds between two reports while nothing happens


def silent(share: float, text: str) -> None:
    """A report to nobody."""


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` to be written; it becomes `target` at the end, or vanishes on an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path, report: Report, doing: str) -> Iterator[None]:
    """Hold the lock file `path` across processes; without filelock installed there is none.

    While another process holds it, `report` hears what that one is `doing`, and may raise to stop waiting.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            report(0.0, f"waiting: another process is {doing}")
        else:
            break
    try:
        yield
    finally:
        lock.release()
