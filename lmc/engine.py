"""Where experiments run for the app: one child process `python -m lmc …` for each run.

The interface is what the pages know: submit a config and get its id, ask for the status by id, cancel by id. Progress
lies in a file beside the run in the store, so any process on that store finds a run again, and equal configs share one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lmc import progress
from lmc.experiments import Experiment
from lmc.experiments.spelling import arguments
from lmc.result import Result
from lmc.store import Store

SILENCE = 15.0  # seconds without a sign of life after which a run counts as lost
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Status:
    """`state` is one of `unknown`, `running`, `done`, `failed`, `stopped`; `error` is one sentence."""

    state: str
    share: float = 0.0
    text: str = ""
    seconds_left: float | None = None
    error: str = ""


class Engine:
    """Runs experiments on one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, config: Experiment, device: str = "auto") -> str:
        """Start the run unless it is running or done already; returns its id."""
        id = config.id
        with self.store.lock("submit", id):
            state = self.status(id).state
            if state == "running" or (state == "done" and self.result(id) is not None):
                return id
            folder = self.store.run_folder(id)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "progress.json").write_text(json.dumps(progress.beginning()))
            call = [
                sys.executable,
                "-m",
                "lmc",
                *arguments(config),
                "--device",
                device,
                "--store",
                str(self.store.root),
            ]
            with (folder / "log.txt").open("wb") as log:
                self._children[id] = subprocess.Popen(
                    [*call, "--progress-file", str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=PROJECT,
                    start_new_session=True,
                )
        return id

    def result(self, id: str) -> Result | None:
        """The finished result, or None."""
        return self.store.load_result(id)

    def status(self, id: str) -> Status:
        """How the run stands; `unknown` if this store never heard of it."""
        child = self._children.get(id)
        ended = child is not None and child.poll() is not None
        if self.store.has_result(id):
            return Status("done", 1.0)
        said = progress.read(self.store.run_folder(id))
        if said is None or said["state"] == "done":  # done, but the result was damaged since, or deleted
            return Status("unknown")
        if said["state"] in ("failed", "stopped"):
            return Status(said["state"], said["share"], error=said.get("error", ""))
        if ended or time.time() - said["alive"] > SILENCE:
            return Status("failed", said["share"], error=self._last_words(id))
        return Status("running", said["share"], said["text"], _seconds_left(said["share"], said["started"]))

    def cancel(self, id: str, patience: float = 3.0) -> None:
        """Ask the run to stop, and end it if it has not after `patience` seconds; what it finished stays."""
        folder = self.store.run_folder(id)
        if self.status(id).state != "running":
            return
        with contextlib.suppress(FileNotFoundError):
            (folder / "stop").touch()
        child = self._children.get(id)
        if child is None:
            return
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            with progress.ProgressFile(folder) as file:
                file.end("stopped")

    def close(self) -> None:
        """Cancel every run that this engine started and wait for their ends."""
        for id, child in self._children.items():
            self.cancel(id)
            if child.poll() is None:  # it had nothing to say yet
                child.kill()
            child.wait()

    def _last_words(self, id: str) -> str:
        """The last line that the process wrote, or that it wrote none."""
        with contextlib.suppress(OSError):
            lines = (self.store.run_folder(id) / "log.txt").read_text(errors="replace").strip().splitlines()
            if lines:
                return f"The run ended without a result; its last line was: {lines[-1]}"
        return (
            "The run ended without a result and without a word, as when the machine runs out of memory; start it again."
        )


def _seconds_left(share: float, started: float) -> float | None:
    return (time.time() - started) * (1 - share) / share if share > 0.05 else None
