"""What program a process runs: client and workers must run the same, or numbers would differ."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lmc.errors import EngineError

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "distributed")
_ROOT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def program() -> dict[str, str]:
    """Versions of Python, of the packages that make numbers and of Dask, and a digest of this program's own source.

    Builds of one version for the CPU and for CUDA count as the same: a laptop may send its runs to a GPU.
    """
    found = {"lmc": _source(), "python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = version(package).partition("+")[0]
        except PackageNotFoundError:
            found[package] = "none"
    return found


def require_same(theirs: Mapping[str, str], where: str) -> None:
    """Raise EngineError, naming what differs, unless the client `theirs` runs the program of this process."""
    ours = program()
    differing = [
        f"{name} {ours[name]} instead of {theirs.get(name, 'none')}" for name in ours if ours[name] != theirs.get(name)
    ]
    if differing:
        raise EngineError(
            f"the worker {where} has {', '.join(differing)}; install the same versions there and start it again"
        )


def _source() -> str:
    found = hashlib.sha256()
    for package in ("lmc", "models"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            found.update(path.relative_to(_ROOT).as_posix().encode())
            found.update(path.read_bytes().replace(b"\r\n", b"\n"))  # as git writes them on Windows
    return found.hexdigest()[:8]
