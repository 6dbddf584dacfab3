"""The engine as pages and scripts know it: submit a config and get its id, then ask by id.

Nothing here waits for a run. The engine's process is started, or joined if the store has one, in the background; what
is asked for meanwhile is kept and handed over when it answers.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmc.engine.connection import Connection, Unreachable
from lmc.engine.files import keep_files
from lmc.errors import EngineError
from lmc.experiments import Experiment
from lmc.experiments.files import clean_label
from lmc.result import Result
from lmc.store import Store

PROJECT = Path(__file__).resolve().parents[2]
QUICK = 0.25  # seconds that a page waits for an answer
STARTING = 60.0  # seconds until an engine must answer
RESTARTS, WITHIN = 4, 120.0  # an engine that ends so often in so many seconds is not started again


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
class Partial:
    """What a run has so far: learning curves (network, label, epoch, split, loss, error) and tables, in columns."""

    curves: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, dict[str, list[Any]]] = field(default_factory=dict)


class Engine:
    """The engine of one store. Any number of threads may use it."""

    def __init__(self, store: Store, workers: int | None = None) -> None:
        self.store, self._workers = store, workers
        self._connection: Connection | None = None
        self._child: subprocess.Popen[str] | None = None
        self._trouble = ""
        self._wanted: dict[str, tuple[str, dict[str, Any]]] = {}
        self._last: dict[str, Status] = {}
        self._starts: list[float] = []
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
        connection = self._connection
        if connection is None:
            self.start()
            return Status("unknown")
        try:
            found = Status(**connection.call("status", QUICK, id=id, session=session))
        except Unreachable:
            return self._last.get(id, Status("unknown")) if self._alive() else Status("unknown")
        if found.active:
            self._last[id] = found
        else:
            self._last.pop(id, None)
        return found

    def partial(self, id: str) -> Partial:
        """What the run has so far."""
        return Partial(**self._ask("partial", {"curves": [], "tables": {}}, id=id))

    def cancel(self, id: str, session: str = "") -> bool:
        """Stop the run (True), unless another session looked a moment ago: then only this one lets go of it."""
        if self._wanted.pop(id, None):
            return True
        self._last.pop(id, None)
        return bool(self._ask("cancel", True, id=id, session=session))

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
        with self._lock:
            busy = self._thread is not None and self._thread.is_alive()
            if busy or self._closed or (self._connection is not None and not self._trouble):
                return
            self._thread = threading.Thread(target=self._connect, name="lmc-engine-start", daemon=True)
            self._thread.start()

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
        self._closed = True
        if self._thread is not None:
            self._thread.join(STARTING)
        self._end_child()
        self._lost()

    def _end_child(self) -> None:
        """End the process that was started here, if there is one: it ends when its standard input closes."""
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _connect(self) -> None:
        """Join the engine that is there, or start one; then hand over what was asked for meanwhile."""
        self._trouble = ""
        try:
            found = self._joined() or self._started()
            if self._closed:
                return
            for id, (operation, arguments) in list(self._wanted.items()):
                with contextlib.suppress(EngineError, ValueError):  # a limit: the page asks again and hears of it
                    found.call(operation, **arguments)
                self._wanted.pop(id, None)
            self._connection = found
        except (EngineError, OSError) as error:
            self._trouble = str(error)

    def _joined(self) -> Connection | None:
        found = None
        try:
            found = Connection(self.store)
            found.call("ping", timeout=2.0)
        except Unreachable:
            if found is not None:
                found.close()
            return None
        return found

    def _started(self) -> Connection:
        """A new engine's connection, or that of one that another process has just started."""
        self._end_child()
        now = time.monotonic()
        self._starts = [then for then in self._starts if now - then < WITHIN] + [now]
        if len(self._starts) > RESTARTS:
            raise EngineError(f"the engine ended again and again; its words are in {self.store.root}/engine/log.txt")
        command = [sys.executable, "-m", "lmc.engine", "--store", str(self.store.root)]
        command += ["--workers", str(self._workers)] if self._workers else []
        with (self.store.root / "runs" / "engine-errors.txt").open("w") as errors:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=PROJECT, text=True,
            )  # fmt: skip
        assert self._child.stdout is not None
        line = self._child.stdout.readline()  # when it is ready, or has ended
        said = json.loads(line) if line else {"error": "the engine ended before it was ready"}
        if "error" in said:
            raise EngineError(said["error"])
        end = time.monotonic() + STARTING
        while time.monotonic() < end and not self._closed:
            if found := self._joined():
                return found
            time.sleep(0.1)
        raise EngineError("the engine of this store does not answer")

    def _send(self, id: str, operation: str, arguments: dict[str, Any]) -> None:
        connection = self._connection
        if connection is not None:
            try:
                connection.call(operation, timeout=5.0, **arguments)
                return
            except Unreachable:
                self._lost()
        self._wanted[id] = (operation, arguments)
        self.start()

    def _ask(self, operation: str, otherwise: Any, **arguments: Any) -> Any:
        connection = self._connection
        if connection is None:
            self.start()
            return otherwise
        try:
            return connection.call(operation, timeout=QUICK if operation != "cancel" else 1.0, **arguments)
        except Unreachable:
            self._alive()
            return otherwise

    def _alive(self) -> bool:
        """Whether the engine is only busy; if it has ended, another is started."""
        with contextlib.suppress(Unreachable):
            if self._connection is not None:
                self._connection.call("ping", timeout=2.0)
                return True
        self._lost()
        self.start()
        return False

    def _lost(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._last.clear()

    def _failed(self, id: str) -> Status:
        """The engine cannot be started: said once, then it is tried again when somebody asks."""
        self._wanted.pop(id, None)
        trouble = self._trouble
        if not self._wanted:
            self._trouble = ""
        return Status("failed", error=f"{trouble[:1].upper()}{trouble[1:]}.")
