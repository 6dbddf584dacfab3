"""A door that runs go through one after another, in the order in which they were asked for, until their work is sent.

What comes before that (looking into the store, importing torch, asking the scheduler) happens in threads and takes
now more, now less; idle workers begin with whatever is sent first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from types import TracebackType

PATIENCE = 2.0  # seconds that a run may stand in the door; a network that another process trains takes long


class Passage:
    """One run's way through the door: `async with` enters; `over()`, or the end of the block, lets the next one in."""

    def __init__(self, door: asyncio.Lock) -> None:
        self._door, self._inside = door, False

    async def __aenter__(self) -> Passage:
        await self._door.acquire()
        self._inside = True
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, frames: TracebackType | None) -> None:
        self.over()

    def over(self) -> None:
        """The next one may enter."""
        if self._inside:
            self._inside = False
            self._door.release()

    async def over_after(self, events: Iterable[asyncio.Event]) -> None:
        """The next one may enter when all of these have happened, or patience has ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(event.wait() for event in events)), PATIENCE)
        self.over()
