"""Which groups are visited next, when many starts visit theirs each in an order of its own.

Problems that do not touch are free to change places in an order: nothing comes out differently. So a start may visit
a problem as soon as those that it touches, and that come before it in this sweep, are behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

import numpy as np

MAX_SWEEPS = 200
NEVER = np.iinfo(np.int64).max

Ranks = Callable[[], np.ndarray]
"""Gives the place of every problem in the next sweep of one start."""

Flags = np.ndarray
"""Booleans, `[starts, problems]`."""


class Mode(Enum):
    """How far problems are solved that can be solved roughly."""

    ROUGH = "roughly"
    EXACT = "exactly, at their first visit too"
    WHOLE = "roughly, and exactly when nothing else is left to visit"


class Visits:
    """The visits of all starts, one for each of `ranks`.

    `touches` `[problems, problems]` says who has to look again when one has moved.
    """

    def __init__(self, touches: np.ndarray, ranks: Sequence[Ranks], mode: Mode = Mode.WHOLE) -> None:
        self._touches, self._ranks = touches, ranks
        self._neighbours = touches & ~np.eye(len(touches), dtype=bool)
        shape = (len(ranks), len(touches))
        self._unsolved: Flags = np.ones(shape, dtype=bool)
        self._rough: Flags = np.zeros(shape, dtype=bool)
        self._exactly: Flags = np.full(shape, mode is Mode.EXACT)
        self._ends_rough = mode is Mode.ROUGH
        self._behind: Flags = np.ones(shape, dtype=bool)
        self._rank = np.zeros(shape, dtype=np.int64)
        self._sweeps = np.zeros(len(ranks), dtype=np.int64)
        self._ended = np.zeros(len(ranks), dtype=bool)

    @property
    def share(self) -> float:
        """The share of the starts that have ended."""
        return float(self._ended.mean())

    def next(self, *, all_ready: bool) -> list[tuple[int, np.ndarray, bool]]:
        """(problem, starts, whether exactly): what comes next, nothing when every start has ended.

        All problems that some start is ready for, or only the one that most are ready for.
        """
        if not len(self._touches):
            return []
        ready = self._ready()
        counts = ready.sum(0)
        if not counts.any():
            return []
        places = np.flatnonzero(counts) if all_ready else [int(counts.argmax())]
        found = []
        for place in places:
            for exactly in (False, True):
                starts = np.flatnonzero(ready[:, place] & (self._exactly[:, place] == exactly))
                if len(starts):
                    found.append((int(place), starts, exactly))
        return found

    def visited(self, place: int, starts: np.ndarray, moved: np.ndarray, *, rough: bool) -> None:
        """A problem was solved for these starts; `moved` says for which it changed anything."""
        self._behind[starts, place] = True
        self._unsolved[starts, place] = False
        self._exactly[starts, place] = False
        self._rough[starts, place] = rough and not self._ends_rough
        again = starts[moved]
        if len(again):
            self._unsolved[again] |= self._touches[place]
            self._exactly[again] &= ~self._touches[place]

    def _ready(self) -> Flags:
        """Who may be visited; whoever is through with a sweep has begun the next, or has ended."""
        while True:
            waiting = np.where(self._behind, NEVER, self._rank)
            first = np.where(self._neighbours, waiting[:, None, :], NEVER).min(2)
            free = waiting < first
            solved = free & ~self._unsolved
            if solved.any():  # and nobody before them can change that
                self._behind |= solved
            elif not self._begin():
                return free

    def _begin(self) -> bool:
        """A new sweep for the starts that are through with one and have something left to visit; whether any has."""
        through = self._behind.all(1) & ~self._ended
        if not through.any():
            return False
        solved = through & ~self._unsolved.any(1)
        self._unsolved[solved] = self._exactly[solved] = self._rough[solved]
        going = through & self._unsolved.any(1) & (self._sweeps < MAX_SWEEPS)
        for start in np.flatnonzero(going):
            self._rank[start] = self._ranks[int(start)]()
        self._behind[going] = False
        self._sweeps[going] += 1
        self._ended |= through & ~going
        return bool(going.any())
