"""Networks and results on disk, found again by the id of their config.

A store is a folder:

    networks/ID/network.json             config, label, learning curves, versions
    networks/ID/epoch-00060.safetensors  a checkpoint, with a digest of its tensors in the header
    results/ID/result.json, arrays.npz   a finished experiment; result.json begins with a line that is its digest
    networks/ID/used, results/ID/used    empty; their time is that of the last use
    networks/ID/pinned, ...              empty; what has it is never deleted to make room
    states/NAME                          where a training goes on that was killed; begins with a line that is its digest
    runs/ID/                             progress of a run (lmc.engine)
    locks/                               one file for each thing that only one process at a time may make
    damaged/                             what could not be read, set aside

Everything is written to a temporary name (.writing-*) and renamed, and renamed (.deleting-*) before it is deleted, so a
reader never sees half of it. Above its limit a store loses what was used least recently. Below every store lies a
read-only layer: the networks and results that ship with the project. No torch is needed to read.
"""

from __future__ import annotations

from lmc.store.content import digest
from lmc.store.evicting import Eviction
from lmc.store.inventory import Kept
from lmc.store.layout import SHIPPED, default_root
from lmc.store.results import with_seconds
from lmc.store.states import States
from lmc.store.verifying import Finding, Verification

__all__ = ["SHIPPED", "Finding", "Kept", "Store", "default_root", "digest", "with_seconds"]


class Store(Eviction, Verification, States):
    """The store in the folder `root`, made if missing; `limit` is the size in bytes above which `evict` makes room.

    Raises StoreError if the folder cannot be written.
    """
