"""The engine as pages and scripts know it: submit a config and get its id, then ask by id.

Nothing here waits for a run. The engine's process is started, or joined if the store has one, in the background; what
is asked for meanwhile is kept and handed over when it answers.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lmc.engine.connection import Connection, Unreachable
from lmc.engine.files import keep_files
from lmc.engine.process import STARTING, EngineProcess
from lmc.errors import EngineError, InputError, as_sentence
from lmc.experiments import Experiment
from lmc.experiments.files import clean_label
from lmc.result import Result
from lmc.store import Store

QUICK = 0.25  # seconds that a page waits for an answer


@dataclass(frozen=True)
class Status:
    """How a run stands.

    `state` is one of `unknown`, `starting` (the engine is not ready), `waiting` (`position` 1 is the next to begin),
    `running`, `done`, `failed` (`error` is one sentence) and `stopped`. `watchers` counts other sessions that looked
    in the last ten seconds.
    """

    state: str
    share: float = 0.0
    text: str = ""
    seconds_left: float | None = None
    position: int = 0
    error: str = ""
    watchers: int = 0

    @property
    def active(self) -> bool:
        return self.state in ("starting", "waiting", "running")


@dataclass(frozen=True)
class Begun:
    """What a run has so far: learning curves (network, label, epoch, split, loss, error), tables in columns, and the
    steps of the searches that go on (pair, method, seconds, value, group).
    """

    curves: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)


class Engine:
    """The engine of one store. Any number of threads may use it."""

    def __init__(self, store: Store, workers: int | None = None) -> None:
        self.store, self._process = store, EngineProcess(store, workers)
        self._connection: Connection | None = None
        self._trouble = ""
        self._wanted: dict[str, tuple[str, dict[str, Any]]] = {}
        self._last: dict[str, Status] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    # Asking

    def submit(self, config: Experiment, session: str = "", device: str = "auto") -> str:
        """Start the run unless it is running or done already; returns its id.

        Raises InputError for a config past a limit, EngineError if it cannot be started.
        """
        content = {"experiment": config.name, "config": config.to_json()}
        self._send(config.id, "submit", {"config": content, "session": session, "device": device})
        return config.id

    def submit_files(self, files: Sequence[tuple[str, bytes]], activation: str | None = None, session: str = "") -> str:
        """Start loading files, given as names and contents, into the store; returns a token to ask with.

        Raises InputError for a file that is too large, or for too many.
        """
        token = keep_files(self.store, files)
        labels = [[clean_label(name)] * 2 for name, _ in files]
        self._send(token, "load", {"token": token, "labels": labels, "activation": activation, "session": session})
        return token

    def status(self, id: str, session: str = "") -> Status:
        """How the run stands; what it last said if the engine is too busy to answer at once."""
        if id in self._wanted:
            return self._failed(id) if self._trouble else Status("starting", text="the workers are starting")
        answer = self._ask("status", None, id=id, session=session)
        if answer is None:
            return self._last.get(id, Status("unknown"))
        found = Status(**answer)
        if found.active:
            self._last[id] = found
        else:
            self._last.pop(id, None)
        return found

    def partial(self, id: str) -> Begun:
        """What the run has so far."""
        return Begun(**self._ask("partial", {}, id=id))

    def cancel(self, id: str, session: str = "") -> bool:
        """Stop the run (True), unless another session looked a moment ago: then only this one lets go of it."""
        with self._lock:
            if self._wanted.pop(id, None):
                return True
        self._last.pop(id, None)
        return bool(self._ask("cancel", True, timeout=1.0, id=id, session=session))

    def runs(self) -> list[dict[str, Any]]:
        """Every run that the engine knows, the newest first; see `lmc.engine.coordinator.Coordinator.listed`."""
        return list(self.overview()["runs"])

    def overview(self) -> dict[str, Any]:
        """`runs`, how many networks were `trained` since the engine began, and how many `workers` it has."""
        found: dict[str, Any] = self._ask("listed", {"runs": [], "trained": 0, "workers": 0})
        return found

    def loaded(self, token: str) -> dict[str, list[dict[str, Any]]] | None:
        """What became of the files: lists `networks` and `refused`; None until then.

        See `lmc.experiments.importing.Gathered.to_json` for their entries.
        """
        found: dict[str, list[dict[str, Any]]] | None = self._ask("loaded", None, token=token)
        return found

    def result(self, id: str) -> Result | None:
        """The finished result, or None."""
        return self.store.load_result(id)

    # The process behind it

    def start(self) -> None:
        """Start or join the store's engine in the background, unless that was done."""
        if self._connection is None or self._trouble:
            self._in_background()

    def wait_until_ready(self, seconds: float = STARTING) -> None:
        """Block until the engine answers; for scripts. Raises EngineError if it does not."""
        self.start()
        end = time.monotonic() + seconds
        while self._connection is None:
            if self._trouble:
                raise EngineError(self._trouble)
            if time.monotonic() > end:
                raise EngineError(f"the engine did not start within {seconds:g} s")
            time.sleep(0.02)

    def close(self) -> None:
        """End the engine's process if it was started here; runs that are not finished end with it."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._thread.join(STARTING)
        self._process.end()
        self._lose()

    def _in_background(self) -> None:
        with self._lock:
            if self._closed or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._see_to_it, name="lmc-engine", daemon=True)
            self._thread.start()

    def _see_to_it(self) -> None:
        """See to it that an engine answers, then hand over what was asked for while none did."""
        self._trouble = ""
        try:
            self._hand_over(self._still_there() or self._process.connect(lambda: self._closed))
        except Exception as error:  # whatever it is, pages must hear of it
            self._trouble = str(error) or type(error).__name__

    def _still_there(self) -> Connection | None:
        """The connection that there is, if the engine was only busy."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(Unreachable):
                connection.call("ping", timeout=5.0)
                return connection
        self._lose()
        return None

    def _hand_over(self, connection: Connection) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._connection = connection
                    return
                id, (operation, arguments) = next(iter(self._wanted.items()))
            try:
                connection.call(operation, **arguments)
            except Unreachable:
                connection.close()
                raise
            except (EngineError, InputError):
                pass  # a limit: the page asks again, and hears of it
            with self._lock:
                cancelled = self._wanted.pop(id, None) is None
            if cancelled:
                connection.call("cancel", id=id, session="")

    def _send(self, id: str, operation: str, arguments: dict[str, Any]) -> None:
        """Ask now, or keep it for when the engine answers."""
        connection = self._connection
        if connection is not None:
            try:
                connection.call(operation, timeout=QUICK, **arguments)
                return
            except Unreachable:
                pass  # an operation that arrived all the same is known when it comes again
        with self._lock:
            self._wanted[id] = (operation, arguments)
        self._in_background()

    def _ask(self, operation: str, otherwise: Any, timeout: float = QUICK, **arguments: Any) -> Any:
        connection = self._connection
        if connection is None:
            self.start()
            return otherwise
        try:
            return connection.call(operation, timeout=timeout, **arguments)
        except Unreachable:
            self._in_background()
            return otherwise
        except (EngineError, InputError):
            return otherwise

    def _lose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._last.clear()

    def _failed(self, id: str) -> Status:
        """The engine cannot be started: said once, then it is tried again when somebody asks."""
        with self._lock:
            self._wanted.pop(id, None)
            trouble = self._trouble
            if not self._wanted:
                self._trouble = ""
        return Status("failed", error=as_sentence(trouble))
