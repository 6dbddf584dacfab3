"""One run of an experiment as the engine sees it: who asked, how far it is, what it has so far."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from operator import mul
from typing import Any

from lmc.engine.job import Job
from lmc.engine.trainings import Training
from lmc.experiments import Experiment
from lmc.result import Piece, Result, Table

BETWEEN = 2.0  # seconds without anything on a worker after which a run waits again
LOOKED = 10.0  # seconds for which a page that looked at a run counts as watching it
ACTIVE = ("waiting", "running")


@dataclass(eq=False)
class Run:
    """`state` is one of waiting, running, done, failed, stopped; times are in seconds since the epoch.

    `askers` are the sessions that asked for it, `looks` when each session last looked; `busy` counts the seconds in
    which something of it was on a worker, `place` is the last one that it had among those that wait; after its
    `trainings` so many networks come `later`. A run may be made
    of `children`, whose `results` come by and by; `parents` are the ids of the runs that it is part of, and it is
    `hidden` while nobody else asked for it.
    """

    id: str
    number: int
    title: str
    config: Experiment | None
    device: str = "auto"
    data_dir: str | None = None
    state: str = "waiting"
    error: str = ""
    failure: Exception | None = None
    asked: float = field(default_factory=time.time)
    began: float | None = None
    ended: float | None = None
    askers: set[str] = field(default_factory=set)
    looks: dict[str, float] = field(default_factory=dict)
    trainings: list[Training] = field(default_factory=list)
    later: int = 0
    jobs: list[Job] = field(default_factory=list)
    pieces: dict[int, Piece] = field(default_factory=dict)
    content: dict[str, Any] | None = None
    children: list[Run] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)
    hidden: bool = False
    task: asyncio.Task[None] | None = None
    busy: float = 0.0
    place: int = sys.maxsize
    _worked: float = 0.0
    _first: tuple[float, float] | None = None

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    def look(self, session: str) -> None:
        """Note that a page of this session shows the run."""
        if session:
            self.looks[session] = time.time()

    def watchers(self, but: str = "") -> int:
        """How many sessions besides `but` looked a moment ago."""
        return sum(time.time() - when < LOOKED for session, when in self.looks.items() if session != but)

    @property
    def working(self) -> bool:
        """Whether something of it is on a worker now."""
        training = any(t.began and t.task is not None and not t.task.done() for t in self.trainings)
        children = any(child.working for child in self.children)
        return self.active and (training or children or any(job.began for job in self.jobs))

    def update(self) -> None:
        """A run is running while something of it is on a worker, and for the moments between two such things."""
        now = time.time()
        if self.working:
            self._worked = now
            if self.state == "waiting":
                self.state, self._first = "running", None
                self.began = self.began or now
        elif self.state == "running" and now - self._worked > BETWEEN:
            self.state = "waiting"

    @property
    def share(self) -> float:
        """The share done: of the trainings that it waits for, then of its parts."""
        if not self.active:
            return float(self.state == "done")
        if self.children:  # wide networks take longer
            whole = sum(child.config.width for child in self.children if child.config)
            return sum(child.share * child.config.width for child in self.children if child.config) / whole
        before = 0.0
        if self.config is not None and self.trainings:
            before = self.config.training_share
        sizes = [len(t.networks) for t in self.trainings]
        shares = [1.0 if t.task and t.task.done() else t.share for t in self.trainings]
        trained = sum(map(mul, sizes, shares)) / (sum(sizes) + self.later) if sizes else 1.0
        parts = len(self.config.parts()) if self.config is not None else max(1, len(self.jobs))
        done = (len(self.pieces) + sum(job.share for job in self.jobs)) / parts
        return min(1.0, before * trained + (1 - before) * done)

    @property
    def text(self) -> str:
        """What it is doing."""
        if self.state != "running":
            return self.state
        for child in self.children:
            if child.working and child.config:
                return f"width {child.config.width}: {child.text}"
        busy = [job.text for job in self.jobs if job.began and job.text]
        busy += [t.text for t in self.trainings if t.began and t.task and not t.task.done()]
        if busy or self.config is None or self.children:
            return busy[0] if busy else "reading"
        return f"comparing, {len(self.pieces)} of {len(self.config.parts())} done"

    def seconds_left(self) -> float | None:
        """From how fast the share grew since this run was first seen running; None while that says little."""
        if self.state != "running":
            return None
        now, share = time.time(), self.share
        if share == 0:
            return None
        if self._first is None:
            self._first = (now, share)
        then, before = self._first
        if now - then < 1.0 or share - before < 0.02:
            return None
        return (now - then) * (1 - share) / (share - before)

    def curves(self) -> list[dict[str, Any]]:
        """The learning curves of its networks that were or are in training, as records."""
        if self.config is None:
            return []
        names = {network.id: network.label for network in self.config.used()}
        return [
            {"network": id, "label": names[id], **row}
            for training in self.trainings
            for id, rows in training.rows().items()
            if id in names
            for row in rows
        ]

    def steps(self) -> list[dict[str, Any]]:
        """The steps of the searches that go on now, as records."""
        return [row for job in self.jobs for rows in job.rows.values() for row in rows]

    def tables(self) -> dict[str, Table]:
        """The tables of what is done so far."""
        if self.config is None or not (self.pieces or self.results):
            return {}
        if self.results:
            return self.config.gathered(self.ordered_results())
        return self.config.tables(self.ordered_pieces())

    def ordered_results(self) -> list[Result]:
        """The results of those children that are done, in the order of the children."""
        return [self.results[child.id] for child in self.children if child.id in self.results]

    def ordered_pieces(self) -> list[Piece]:
        """Those parts that are done, in the order of the parts."""
        return [self.pieces[place] for place in sorted(self.pieces)]

    def end(self, state: str, error: str = "") -> None:
        """The last word; what only progress needs is let go of."""
        self.state, self.error, self.ended = state, error, time.time()
        for part in (self.askers, self.trainings, self.jobs, self.pieces, self.children, self.results):
            part.clear()
