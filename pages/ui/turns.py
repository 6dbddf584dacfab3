"""Turns: when many visitors come at once, everyone's first chart comes before anyone's rest of the page.

Page scripts are threads of one interpreter. Thirty side by side all end at the same late moment, and hardly leave a
share to the thread that sends to the browsers. So few run at a time, those that have shown nothing first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """At most `places` scripts at a time; nobody waits for more than `patience` seconds, come what may."""

    def __init__(self, places: int = 6, patience: float = 3.0) -> None:
        self._free, self._first, self._patience = places, 0, patience
        self._change = threading.Condition()
        self._own = threading.local()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a place while the block runs."""
        self._take(late=False)
        self._own.early = True
        try:
            yield
        finally:
            self._own.early = False
            self._give()

    def after_you(self) -> None:
        """Let those go first who have shown nothing yet; only the first call in a turn does anything."""
        if getattr(self._own, "early", False):
            self._own.early = False
            self._give()
            self._take(late=True)

    def _take(self, *, late: bool) -> None:
        with self._change:
            self._first += not late
            self._change.wait_for(lambda: self._free > 0 and not (late and self._first), self._patience)
            self._first -= not late
            self._free -= 1  # below 0 when someone's patience has ended

    def _give(self) -> None:
        with self._change:
            self._free += 1
            self._change.notify_all()


TURNS = Turns()
"""Those of this server."""
