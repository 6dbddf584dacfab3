"""The parts of one run: each is computed on a worker as soon as the store holds the networks that it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from distributed import Future

from lmc.engine import tasks
from lmc.engine.cluster import Cluster
from lmc.engine.door import Passage
from lmc.engine.job import Job
from lmc.engine.run import Run
from lmc.engine.trainings import Trainings
from lmc.errors import InputError
from lmc.experiments import Experiment, Loaded, Network
from lmc.result import Piece
from lmc.shelf import kept
from lmc.store import Store

TRIES = 3  # at networks that are damaged: trained again, they are whole
LOOKING = 0.1  # seconds between two looks at what was trained

Read = tuple[Network | Loaded, tuple[int, ...]]


class Parts:
    """Computes the parts of `run`, whose experiment is `config`; they come before the trainings of later runs."""

    def __init__(self, run: Run, config: Experiment, cluster: Cluster, store: Store, trainings: Trainings) -> None:
        self.run, self.config, self.cluster, self.store, self.trainings = run, config, cluster, store, trainings
        self.parts = config.parts()
        self.priority = -2 * run.number + 1
        self._holds: dict[tuple[str, tuple[int, ...]], Future] = {}

    async def compute(self, passage: Passage) -> list[Piece]:
        """The pieces of all parts in their order; the passage is over when workers have what comes first."""
        training = asyncio.create_task(self._train(passage))
        begun: dict[int, asyncio.Task[None]] = {}
        try:
            while len(begun) < len(self.parts):
                over, left = training.done(), [place for place in range(len(self.parts)) if place not in begun]
                for place in left if over else await asyncio.to_thread(self._ready, left):
                    begun[place] = asyncio.create_task(self._compute(place, passage))
                await self._until_trained(training, begun)
            await asyncio.gather(*begun.values())
        finally:
            for task in (training, *begun.values()):
                task.cancel()
            for future in self._holds.values():
                future.release()
        return self.run.ordered_pieces()

    async def _until_trained(self, training: asyncio.Task[None], begun: dict[int, asyncio.Task[None]]) -> None:
        """Until another training of whatever run ended, or all of this one; raises what a task raised."""
        ended = self.trainings.ended
        while True:
            for task in (training, *begun.values()):
                if task.done():
                    task.result()
            if training.done() or self.trainings.ended != ended:
                return
            await asyncio.wait([training], timeout=LOOKING)

    def _ready(self, places: Sequence[int]) -> list[int]:
        """Those of these parts whose networks the store holds; loaded ones are there, or that is an error."""
        found = []
        for place in places:
            reads = self.config.reads(self.parts[place])
            if not self.trainings.missing([(n, epochs) for n, epochs in reads if isinstance(n, Network)]):
                found.append(place)
        return found

    async def _compute(self, place: int, passage: Passage) -> None:
        run, part = self.run, self.parts[place]
        held = await self._held(self.config.reads(part), passage)
        job = Job(self.cluster, "part", f"{run.id}-{place}", run.device, run.data_dir)
        run.jobs.append(job)
        name, content = self.config.name, self.config.to_json()
        piece = await job.run(tasks.run_part, name, content, part, held=held, priority=self.priority)
        if job in run.jobs:  # the run may have ended meanwhile
            run.jobs.remove(job)
        run.pieces[place] = piece

    async def _held(self, reads: Sequence[Read], passage: Passage) -> list[Future]:
        """The networks on the cluster; those that cannot be read are trained again."""
        for _ in range(TRIES):
            unreadable = [network for network, epochs in reads if not await self._hold(network, epochs)]
            if not unreadable:
                return [self._holds[network.id, epochs] for network, epochs in reads]
            self.trainings.damaged |= {network.id for network in unreadable}
            if any(isinstance(network, Loaded) for network in unreadable):
                break
            await self._train(passage)
        right = "the store no longer holds it whole; load its file or train it again"
        names = " ".join(sorted(network.id for network in unreadable))
        raise InputError("load" if self.config.load else "seeds", names, right)

    async def _hold(self, network: Network | Loaded, epochs: tuple[int, ...]) -> bool:
        key = (network.id, epochs)
        if key not in self._holds:
            found = await asyncio.to_thread(kept, self.store, network.id, epochs)
            if found is None:
                return False
            if key not in self._holds:  # another part may have been quicker
                name = f"hold-{network.id}-{'-'.join(map(str, epochs))}-{self.run.number}"
                self._holds[key] = self.cluster.hold(name, (network.id, found), self.priority)
        return True

    async def _train(self, passage: Passage) -> None:
        """Until the store holds every network that has to be trained; others may pass when workers have the first."""
        run, config = self.run, self.config
        while True:
            joined = await self.trainings.join(
                run.id, config.wanted(), run.device, run.data_dir, priority=-2 * run.number
            )
            run.later = joined.later
            if not joined.more:
                return passage.over()
            run.trainings += [t for t in joined.trainings if t not in run.trainings]
            leaving = asyncio.create_task(passage.over_after(t.sent for t in joined.trainings))
            try:
                await joined.wait()
            except InputError:  # a network that another run wanted may have diverged
                if await asyncio.to_thread(self.trainings.missing, config.wanted()):
                    raise
            finally:
                leaving.cancel()
