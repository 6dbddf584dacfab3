"""How freed memory is kept."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
KEPT = 256 * 2**20  # bytes


def keep_freed_memory() -> None:
    """Let glibc keep freed tensors up to 256 MiB for the next ones instead of handing every page back.

    Small networks are evaluated through many short-lived tensors of a few megabytes; measured, fetching their pages
    anew took more than half of the time of a segment. Elsewhere than on Linux with glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, KEPT)
    mallopt(_TRIM_THRESHOLD, 2 * KEPT)
