"""What the engine says of runs in progress, asked once for all sessions that watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from lmc.charts.growing_curves import growing_rows
from lmc.engine import Begun, Engine
from lmc.experiments import Experiment

FRESH = 0.8  # seconds for which an answer is good enough for everybody
PATIENCE = 5.0  # seconds for which the last answer stands when the engine is too busy to give another

T = TypeVar("T")


@dataclass(frozen=True)
class SoFar:
    """What one run has: rows of its learning curves, ready to be sent to browsers, tables of the parts done, and the
    steps of the searches that go on.
    """

    curves: pa.Table = field(default_factory=lambda: _sendable([], {}))
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    steps: pd.DataFrame = field(default_factory=pd.DataFrame)


def so_far(runs: Engine, config: Experiment, names: Mapping[str, str]) -> SoFar:
    """What the run has by now; `names` says what to call its networks, by id."""

    def ask() -> SoFar | None:
        found = runs.partial(config.id)
        tables = {name: pd.DataFrame(table) for name, table in found.tables.items()}
        steps = pd.DataFrame(found.steps)
        return None if found == Begun() else SoFar(_sendable(found.curves, names), tables, steps)

    found: SoFar = _shared(config.id).get(ask, SoFar())
    return found


def overview(runs: Engine) -> dict[str, Any]:
    """What runs, waits and has ended; see `lmc.engine.Engine.overview`."""

    def ask() -> dict[str, Any] | None:
        found = runs.overview()
        return found if found["workers"] or found["runs"] else None

    found: dict[str, Any] = _shared("overview").get(ask, {"runs": [], "trained": 0, "workers": 0})
    return found


def forget(config: Experiment) -> None:
    """Another attempt begins with nothing."""
    _shared.clear(config.id)


def _sendable(curves: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> pa.Table:
    return pa.Table.from_pandas(growing_rows(curves, names), preserve_index=False)


class Shared(Generic[T]):
    """The last answer to one question. Any number of threads may ask; none waits for another."""

    def __init__(self) -> None:
        self._answer: T | None = None
        self._asked = self._answered = -1e9
        self._lock = threading.Lock()

    def get(self, ask: Callable[[], T | None], nothing: T) -> T:
        """The answer, asked for again if it is old; `ask` returns None for no answer."""
        if time.monotonic() - self._asked > FRESH and self._lock.acquire(blocking=False):
            try:
                self._renew(ask)
            finally:
                self._lock.release()
        return nothing if self._answer is None else self._answer

    def _renew(self, ask: Callable[[], T | None]) -> None:
        found, now = ask(), time.monotonic()
        self._asked = now
        if found is not None or now - self._answered > PATIENCE:
            self._answer, self._answered = found, now


@st.cache_resource(show_spinner=False, max_entries=128)
def _shared(question: str) -> Shared[Any]:  # noqa: ARG001 - the key
    return Shared()
