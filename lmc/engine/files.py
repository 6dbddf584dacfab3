"""Files that come in through a page: how many, how large, and where they lie until they are loaded."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Sequence

from lmc.errors import InputError
from lmc.store import Store

MAX_UPLOAD = 100 * 2**20  # bytes a file: a VGG-16 for small images has 59 MB; the server holds uploads in memory
MAX_FILES = 20  # at a time
LEFT_OVER = 3600.0  # seconds after which files that nobody loaded are deleted


def check_files(files: Sequence[tuple[str, bytes]]) -> None:
    """Raise InputError unless there are 1 to 20 files of at most 100 MiB."""
    if not 0 < len(files) <= MAX_FILES:
        raise InputError("load", f"{len(files)} files", f"1 to {MAX_FILES} at a time would be right")
    for name, content in files:
        if len(content) > MAX_UPLOAD:
            right = (
                f"it has {len(content) / 2**20:,.0f} MiB, and at most {MAX_UPLOAD // 2**20} MiB are taken here; "
                "`python -m lmc load FILE` on the machine that runs the app takes larger ones"
            )
            raise InputError("load", name, right)


def keep_files(store: Store, files: Sequence[tuple[str, bytes]]) -> str:
    """Write them, numbered, into a run folder of the store; its token."""
    check_files(files)
    _forget_old(store)
    token = secrets.token_hex(8)
    folder = store.run_folder(token) / "files"
    try:
        folder.mkdir(parents=True)
        for place, (_, content) in enumerate(files):
            (folder / str(place)).write_bytes(content)
    except OSError:
        shutil.rmtree(folder.parent, ignore_errors=True)
        raise
    return token


def _forget_old(store: Store) -> None:
    for folder in (store.root / "runs").iterdir():
        with contextlib.suppress(FileNotFoundError):  # its load has ended just now
            if folder.is_dir() and time.time() - folder.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(folder, ignore_errors=True)
