"""What workers execute. Configs come in as plain data and networks as arrays; no worker touches a store."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmc.engine.versions import program
from lmc.errors import InputError, Stopped
from lmc.experiments import EXPERIMENTS, Network
from lmc.experiments.importing import Gathered, gather
from lmc.result import Piece
from lmc.shelf import Kept, Shelf

BETWEEN_MESSAGES = 0.2  # seconds
NICE = 2  # pages come first
ALONE = threading.Lock()
"""Held by what computes: torch draws first weights from one generator and traces one model at a time, whatever the
number of threads of a worker."""


@dataclass(frozen=True)
class Call:
    """What every task is told: its key, where to speak, and the surroundings of the run."""

    key: str
    topic: str
    device: str
    data_dir: str | None


class Speaker:
    """The voice of a running task: progress, curves and steps go out; a set event of the task's key means stop.

    As a report it raises `Stopped` then. It also keeps the state of a training in a variable of the scheduler, which
    outlives the worker.
    """

    def __init__(self, call: Call) -> None:
        from distributed import Event, Variable, get_worker

        self._call, self._worker = call, get_worker()
        self._stop, self._state = Event(call.key), Variable(call.key)
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._writing = threading.Lock()
        self._said = 0.0
        self.say(began=True)

    def __call__(self, share: float, text: str) -> None:
        if time.monotonic() - self._said < BETWEEN_MESSAGES:
            return
        self.say(share=share, text=text)
        if self._dropped():
            self._state.delete()  # nobody else would
            raise Stopped
        if self._stop.is_set():
            raise Stopped

    def _dropped(self) -> bool:
        """Whether nobody waits for the task any more; so it is when who asked for it was killed."""
        task = self._worker.state.tasks.get(self._call.key)
        return task is None or task.state in ("cancelled", "resumed")

    def recorded(self, name: str, rows: list[dict[str, Any]]) -> None:
        with self._writing:
            self._rows.setdefault(name, []).extend(rows)

    def say(self, **message: Any) -> None:
        """Send this, and the rows since the last message."""
        self._said = time.monotonic()
        with self._writing:  # a search may be heard from a thread of its own
            rows, self._rows = self._rows, {}
        self._worker.log_event(self._call.topic, {"key": self._call.key, **message, "rows": rows})

    def load_state(self, name: str) -> bytes | None:  # noqa: ARG002 - a task trains one stack
        content: bytes = self._state.get(timeout=30)
        return content or None

    def save_state(self, name: str, content: bytes) -> None:  # noqa: ARG002
        self._state.set(content)
        self.say(saved=True)

    def delete_state(self, name: str) -> None:
        """Who waits for the networks does it, when they are stored."""


@contextlib.contextmanager
def speaking(call: Call) -> Iterator[Speaker]:
    """The speaker of a task that begins here; what it raised before its end is heard."""
    with ALONE:
        speaker = Speaker(call)
        try:
            yield speaker
        finally:
            speaker.say(ended=True)


def train(
    call: Call, networks: Sequence[Mapping[str, Any]], epochs: Sequence[int], needed: Sequence[tuple[str, Kept]]
) -> tuple[dict[str, Kept], InputError | None]:
    """Train one stack; its networks by id, with the checkpoints asked for, and what is to be said if one diverged.

    `needed` are the networks that this training goes out from.
    """
    with speaking(call) as speaker:
        shelf = Shelf(dict(needed), states=speaker)
        work = _work(call, shelf, speaker)
        wanted, diverged = [Network.from_json(content) for content in networks], None
        try:
            work.checkpoints(wanted, epochs, speaker)
        except InputError as error:
            diverged = error
        found = {id: kept for n in wanted if (id := n.id) and (kept := _new(shelf, id, epochs)) is not None}
        if diverged and not found:
            raise diverged
        return found, diverged


def _new(shelf: Shelf, id: str, epochs: Sequence[int]) -> Kept | None:
    """What the shelf has of a network at these epochs."""
    kept = shelf.networks.get(id)
    checkpoints = {e: state for e, state in kept.checkpoints.items() if e in epochs} if kept else {}
    return Kept(kept.about, checkpoints) if kept and checkpoints else None


def run_part(
    call: Call, name: str, config: Mapping[str, Any], part: tuple[int, ...], networks: Sequence[tuple[str, Kept]]
) -> Piece:
    """One part of the experiment `name`, with the networks that it reads."""
    with speaking(call) as speaker:
        value = EXPERIMENTS[name].from_json(dict(config))
        return value.run_part(part, _work(call, Shelf(dict(networks)), speaker))


def load_file(
    call: Call, content: bytes, name: str, label: str, activation: str | None
) -> tuple[Gathered, dict[str, Kept]]:
    """Read one file; what became of it, and the network."""
    with speaking(call):
        shelf = Shelf()
        return gather(content, name, label, shelf, activation), shelf.networks


def warm_up() -> None:
    """Import and trace what every run needs, behind the pages."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    from lmc.experiments import Pair
    from lmc.experiments.work import Work, traced
    from lmc.memory import keep_freed_memory

    keep_freed_memory()
    program()  # as it is now, not when it is first compared
    import torch

    network = Pair().networks()[0]
    with ALONE:
        traced(network)
    Work(Shelf(), torch.device("cpu")).dataset(network)


def _work(call: Call, shelf: Shelf, speaker: Speaker) -> Any:
    from lmc.experiments.work import Work, resolve_device

    data_dir = None if call.data_dir is None else Path(call.data_dir)
    return Work(shelf, resolve_device(call.device), data_dir, speaker, speaker.recorded)
