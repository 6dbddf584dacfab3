"""Random generators made from numbers, one for each draw.

Every draw has a generator of its own, on the CPU, whose seed is a hash of what the draw is for. So a
draw never depends on which draws came before it, on the device, or on a network's neighbours.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed_for(purpose: str, *numbers: int | str) -> int:
    """A 63-bit seed that depends on `purpose` and `numbers` alone."""
    text = "/".join(map(str, (purpose, *numbers)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(purpose: str, *numbers: int | str) -> torch.Generator:
    """A fresh CPU generator seeded with `seed_for(purpose, *numbers)`."""
    import torch

    return torch.Generator().manual_seed(seed_for(purpose, *numbers))
