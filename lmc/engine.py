"""Where experiments run for the app: one child process `python -m lmc …` for each run.

The interface is what the pages know: submit a config and get its id, ask for the status by id, cancel by id. Progress
lies in a file beside the run in the store, so any process on that store finds a run again, and equal configs share one.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmc import progress
from lmc.errors import InputError
from lmc.experiments import Experiment
from lmc.experiments.importing import clean_label
from lmc.experiments.spelling import arguments
from lmc.result import Result
from lmc.store import Store

SILENCE = 15.0  # seconds without a sign of life after which a run counts as lost
MAX_UPLOAD = 100 * 2**20  # bytes a file: a VGG-16 for small images has 59 MB; the server holds uploads in memory
MAX_FILES = 20  # at a time
FILES, OUTPUT = "files", "output.json"
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
    """Runs experiments on one store, and loads files into it."""

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
            self._fresh_folder(id)
            self._start(id, [*arguments(config), "--device", device])
        return id

    def submit_files(self, files: Sequence[tuple[str, bytes]], activation: str | None = None) -> str:
        """Start loading files, given as names and contents, into the store; returns a token to ask with.

        The contents lie in the run's folder until the child has ended; the names are only labels. Raises InputError
        for a file that is too large, or for too many.
        """
        check_files(files)
        self._forget_files()
        token = secrets.token_hex(8)
        folder = self._fresh_folder(token) / FILES
        folder.mkdir()
        paths = [folder / str(i) for i in range(len(files))]
        for path, (_, content) in zip(paths, files, strict=True):
            path.write_bytes(content)
        options = ["--activation", activation] if activation else []
        labels = [f"--label={clean_label(name)}" for name, _ in files]
        child = self._start(token, ["load", *map(str, paths), *labels, *options, "--json"])
        threading.Thread(target=_delete_after, args=(child, folder), daemon=True).start()
        return token

    def loaded(self, token: str) -> dict[str, list[dict[str, Any]]] | None:
        """What became of the files: lists `networks` and `refused`, as the command line prints them; None until then.

        See `lmc.experiments.importing.Gathered.to_json` for their entries.
        """
        try:
            content = json.loads((self.store.run_folder(token) / OUTPUT).read_text())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and {"networks", "refused"} <= set(content) else None

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
        if said is not None and said["state"] == "done" and self.loaded(id) is not None:
            return Status("done", 1.0)
        if said is None or said["state"] == "done":  # done, but the result was damaged since, or deleted
            return Status("unknown")
        if said["state"] in ("failed", "stopped"):
            return Status(said["state"], said["share"], error=said.get("error", ""))
        silent = time.time() - said["alive"] > SILENCE
        if ended or (child is None and silent):  # a child of ours that is busy may be silent
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

    def _fresh_folder(self, id: str) -> Path:
        folder = self.store.run_folder(id)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "progress.json").write_text(json.dumps(progress.beginning()))
        return folder

    def _start(self, id: str, command: list[str]) -> subprocess.Popen[bytes]:
        """Start the child: its output goes to `output.json`, what it says besides to `log.txt`."""
        folder = self.store.run_folder(id)
        surroundings = ["--store", str(self.store.root), "--progress-file", str(folder)]
        with (folder / OUTPUT).open("wb") as output, (folder / "log.txt").open("wb") as log:
            self._children[id] = subprocess.Popen(
                [sys.executable, "-m", "lmc", *command, *surroundings],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                cwd=PROJECT,
                start_new_session=True,
            )
        return self._children[id]

    def _forget_files(self) -> None:
        """Delete files that were left over when a server was killed while it loaded them."""
        for folder in (self.store.root / "runs").glob(f"*/{FILES}"):
            if self.status(folder.parent.name).state != "running":
                shutil.rmtree(folder, ignore_errors=True)

    def _last_words(self, id: str) -> str:
        """The last line that the process wrote, or that it wrote none."""
        with contextlib.suppress(OSError):
            lines = (self.store.run_folder(id) / "log.txt").read_text(errors="replace").strip().splitlines()
            if lines:
                return f"The run ended without a result; its last line was: {lines[-1]}"
        return (
            "The run ended without a result and without a word, as when the machine runs out of memory; start it again."
        )


def check_files(files: Sequence[tuple[str, bytes]]) -> None:
    """Raise InputError unless there are 1 to 20 files of at most 100 MiB."""
    if not 0 < len(files) <= MAX_FILES:
        raise InputError("load", f"{len(files)} files", f"1 to {MAX_FILES} at a time would be right")
    for name, content in files:
        if len(content) > MAX_UPLOAD:
            right = (
                f"it has {len(content) / 2**20:,.0f} MiB, and at most {MAX_UPLOAD // 2**20} MiB are taken here; "
                "`python -m lmc load FILE` on the machine that runs the app takes larger ones"
            )
            raise InputError("load", name, right)


def _delete_after(child: subprocess.Popen[bytes], folder: Path) -> None:
    child.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _seconds_left(share: float, started: float) -> float | None:
    return (time.time() - started) * (1 - share) / share if share > 0.05 else None
