"""Where a store lies, what its parts are called and how large it may grow."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from lmc.errors import StoreError

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "pretrained"
ID = re.compile(r"[0-9a-f]{16}")
_CHECKPOINT = re.compile(r"epoch-(\d+)\.safetensors")
USED, PINNED = "used", "pinned"  # markers in the folder of a result or network
WRITING, DELETING = ".writing-", ".deleting-"  # how names begin of what is not there yet, and no longer
PARTS = ("networks", "results", "runs", "states", "damaged")
GIGABYTE = 10**9
_DEFAULT_LIMIT = 20.0  # gigabytes


def default_root() -> Path:
    """`$LMC_STORE`, else the user's data folder."""
    if os.environ.get("LMC_STORE"):
        return Path(os.environ["LMC_STORE"])
    try:
        from platformdirs import user_data_path
    except ImportError:
        return Path.home() / ".cache" / "lmc"
    return user_data_path("lmc-explorer", appauthor=False)


def default_limit() -> int:
    """The most bytes that a store keeps: `$LMC_STORE_LIMIT` gigabytes, else 20. StoreError if that is not above 0."""
    said = os.environ.get("LMC_STORE_LIMIT") or str(_DEFAULT_LIMIT)
    try:
        gigabytes = float(said)
    except ValueError:
        gigabytes = math.nan
    if not (math.isfinite(gigabytes) and gigabytes > 0):
        raise StoreError(f"the variable LMC_STORE_LIMIT is {said[:80]!r}; a number of gigabytes above 0 would be right")
    return math.ceil(gigabytes * GIGABYTE)


def checked(id: str) -> str:
    """The id itself. Raises StoreError if it is none, so that no id leads out of the store."""
    if not ID.fullmatch(id):
        raise StoreError(f"{id!r} is no id; an id has 16 hexadecimal digits")
    return id


def checkpoint_name(epoch: int) -> str:
    """The file of the checkpoint after `epoch`."""
    return f"epoch-{epoch:05d}.safetensors"


def epoch_of(name: str) -> int | None:
    """The epoch of the checkpoint in the file `name`, None if it is another file."""
    found = _CHECKPOINT.fullmatch(name)
    return int(found[1]) if found else None
