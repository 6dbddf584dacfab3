"""The process behind a store's engine: joined if there is one, else started here and ended with who started it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lmc.engine.connection import Connection, Unreachable, is_there
from lmc.engine.versions import program
from lmc.errors import EngineError
from lmc.limits import limits
from lmc.store import Store

PROJECT = Path(__file__).resolve().parents[2]
STARTING = 60.0  # seconds until an engine must answer
RESTARTS, WITHIN = 4, 120.0  # an engine that ends so often in so many seconds is not started again


class EngineProcess:
    """Finds or starts the engine of `store`. For one thread at a time; only `end` may come from another."""

    def __init__(self, store: Store, workers: int | None = None) -> None:
        self.store, self._workers = store, workers
        self.child: subprocess.Popen[str] | None = None
        self._starts: list[float] = []

    def connect(self, given_up: Callable[[], bool]) -> Connection:
        """A connection to the engine, however long that takes, or until `given_up()`.

        Raises EngineError if none can be started, or if the one that is there does not fit.
        """
        end = time.monotonic() + STARTING
        while time.monotonic() < end and not given_up():
            if found := self._answering():
                return found
            if not is_there(self.store):  # one that is there is busy, or starting
                self._start()
            time.sleep(0.1)
        raise EngineError("the engine of this store does not answer")

    def end(self) -> None:
        """End the process that was started here, if there is one: it ends when its standard input closes."""
        child, self.child = self.child, None
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

    def _answering(self) -> Connection | None:
        try:
            found = Connection(self.store)
        except Unreachable:
            return None
        try:
            found.call("ping", timeout=5.0)
            _require_fitting(found)
        except Unreachable:
            found.close()
            return None
        except EngineError:
            found.close()
            raise
        return found

    def _start(self) -> None:
        """Start an engine and wait until it is ready, or has joined one that was quicker."""
        self.end()
        now = time.monotonic()
        self._starts = [then for then in self._starts if now - then < WITHIN] + [now]
        if len(self._starts) > RESTARTS:
            raise EngineError(f"the engine ended again and again; its words are in {self.store.root}/engine/log.txt")
        command = [sys.executable, "-m", "lmc.engine", "--store", str(self.store.root)]
        command += ["--workers", str(self._workers)] if self._workers else []
        with (self.store.root / "runs" / "engine-errors.txt").open("w") as errors:
            self.child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=PROJECT, text=True,
            )  # fmt: skip
        if error := _first_word(self.child).get("error"):
            raise EngineError(error)


def _first_word(child: subprocess.Popen[str]) -> dict[str, str]:
    """What the process says when it is ready or cannot be."""
    assert child.stdout is not None
    too_late = threading.Timer(STARTING, child.kill)
    too_late.start()
    try:
        said = json.loads(child.stdout.readline())
    except ValueError:
        return {"error": "the engine ended before it was ready"}
    finally:
        too_late.cancel()
    return said if isinstance(said, dict) else {}


def _require_fitting(found: Connection) -> None:
    """Raise EngineError if the engine is of another program, or has other limits than this process."""
    if found.about["program"] != program():
        raise EngineError(
            "an app of another version of this program works on this store; close it, or choose another store with "
            "LMC_STORE"
        )
    here = limits() is not None
    if found.about["classroom"] != here:
        mode = "outside" if here else "in"
        raise EngineError(
            f"an app {mode} classroom mode works on this store; close it, or choose another store with LMC_STORE"
        )
