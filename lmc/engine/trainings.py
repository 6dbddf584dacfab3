"""Networks in training, shared between runs: each is trained once, however many runs wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from lmc.engine import tasks
from lmc.engine.cluster import Cluster
from lmc.engine.job import Job
from lmc.errors import EngineError, StoreError
from lmc.experiments import Network
from lmc.experiments.trainer import state_name
from lmc.experiments.work import together
from lmc.shelf import Kept, kept
from lmc.store import Store

log = logging.getLogger("lmc.engine")
LOOKING = 0.2  # seconds between two looks at a lock that another process holds

Wanted = tuple[Network, tuple[int, ...]]


class Training:
    """One stack of networks, trained on a worker and then stored.

    `runs` are the ids of those that wait for it; when the last one lets go it is stopped. `sent` is set when the
    cluster has it, or it has ended before.
    """

    def __init__(self, networks: Sequence[Network], epochs: tuple[int, ...], priority: int) -> None:
        self.networks, self.epochs, self.priority = list(networks), epochs, priority
        self.runs: set[str] = set()
        self.sent = asyncio.Event()
        self.job: Job | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def began(self) -> bool:
        return self.job is not None and self.job.began

    @property
    def share(self) -> float:
        return self.job.share if self.job else 0.0

    @property
    def text(self) -> str:
        return (self.job.text if self.job else "") or "training"

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The learning curves so far, by network id."""
        return self.job.rows if self.job else {}


class Trainings:
    """All trainings of one engine. `count` is how many networks it has trained or begun to, `ended` how many trainings
    are over."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self.cluster, self.store, self.count, self.ended = cluster, store, 0, 0
        self.damaged: set[str] = set()  # ids of networks whose files are there, but cannot be read
        self._running: dict[str, Training] = {}

    async def join(
        self, run: str, wanted: Sequence[Wanted], device: str, data_dir: str | None, priority: int
    ) -> Joined:
        """The trainings that `run` has to wait for until the store holds what it wants; missing ones are started."""
        missing, later = await asyncio.to_thread(self._split, wanted)
        running = {id(t): t for network, _ in missing if (t := self._running.get(network.id))}
        fresh = [(network, epochs) for network, epochs in missing if network.id not in self._running]
        for networks, epochs in await stacks(fresh):
            if quicker := [self._running[network.id] for network in networks if network.id in self._running]:
                running |= {id(other): other for other in quicker}  # another run started it meanwhile
                continue
            training = Training(networks, epochs, priority)
            self._running |= {network.id: training for network in networks}
            self.count += len(networks)
            training.task = asyncio.create_task(self._train(training, device, data_dir))
            training.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # maybe nobody waits
            running[id(training)] = training
        return Joined(run, list(running.values()), bool(missing), later)

    def missing(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """What the store does not hold and can be trained now: it holds what that needs."""
        return self._split(wanted)[0]

    def _split(self, wanted: Iterable[Wanted]) -> tuple[list[Wanted], int]:
        """What can be trained now, and how many networks are to be trained after that, a level counting as one."""
        held: dict[tuple[str, tuple[int, ...]], bool] = {}
        left: dict[tuple[str, tuple[int, ...]], Wanted] = {}

        def look(network: Network, checkpoints: Sequence[int]) -> bool:
            stages = network.stages(checkpoints)
            for stage in stages:
                if (key := (network.id, stage)) not in held:
                    held[key] = self._holds(*key)
                    if not held[key]:
                        for needed in network.needs(stage):
                            look(*needed)
                        left[key] = (network, stage)
            return all(held[network.id, stage] for stage in stages)

        for network, checkpoints in wanted:
            look(network, checkpoints)
        now = [(n, stage) for n, stage in left.values() if all(look(*needed) for needed in n.needs(stage))]
        return now, len(left) - len(now)

    def _asked(self, networks: Sequence[Network], epochs: Sequence[int]) -> tuple[list[Any], list[tuple[str, Kept]]]:
        """What a worker is told: the networks as plain data, and the stored ones that they need.

        Raises EngineError for one that cannot be read.
        """
        needed: dict[str, Kept] = {}
        for network in networks:
            for other, wanted in network.needs(epochs):
                found = kept(self.store, other.id, wanted)
                if found is None:
                    self.damaged.add(other.id)
                    raise EngineError(f"network {other.label} was damaged; asked for again, it is trained anew")
                needed.setdefault(other.id, Kept(found.about)).checkpoints.update(found.checkpoints)
        return [network.to_json() for network in networks], list(needed.items())

    def _holds(self, id: str, epochs: Iterable[int]) -> bool:
        return id not in self.damaged and self.store.holds(id, epochs)

    async def _train(self, training: Training, device: str, data_dir: str | None) -> None:
        ids = [network.id for network in training.networks]
        try:
            async with held(self.store, "network", ids):
                left = [n for n in training.networks if not await asyncio.to_thread(self._holds, n.id, training.epochs)]
                if left:
                    await self._on_worker(training, left, device, data_dir)
        finally:
            self.ended += 1
            training.sent.set()
            for network in training.networks:
                self._running.pop(network.id, None)

    async def _on_worker(self, training: Training, networks: list[Network], device: str, data_dir: str | None) -> None:
        ids = [network.id for network in networks]
        name = state_name(ids, training.epochs)
        job = training.job = Job(self.cluster, "train", name, device, data_dir)
        log.info("training %s", " ".join(f"{n.arch} {n.width} {n.dataset} seed {n.label}" for n in networks))
        before = await asyncio.to_thread(self.store.load_state, name)
        await job.state.set(before or b"")
        saving: set[asyncio.Task[None]] = set()

        async def save() -> None:
            try:
                if content := await job.state.get():
                    await asyncio.to_thread(self.store.save_state, name, content)
            except (StoreError, OSError) as error:  # it can still go on from what the scheduler has
                log.warning("the state of a training was not kept: %s", error)

        job.on_sent = training.sent.set
        job.on_saved = lambda: saving.add(asyncio.create_task(save()))
        try:
            configs, needed = await asyncio.to_thread(self._asked, networks, training.epochs)
            found, diverged = await job.run(tasks.train, configs, training.epochs, needed, priority=training.priority)
            await asyncio.to_thread(self._keep, found)
        finally:
            await asyncio.gather(*saving, return_exceptions=True)
        await asyncio.to_thread(self.store.delete_state, name)
        if diverged is not None:
            raise diverged

    def _keep(self, found: dict[str, Kept]) -> None:
        for id, network in found.items():
            self.store.save_network(id, network.about, network.checkpoints)
            self.damaged.discard(id)


class Joined:
    """What one run waits for.

    `more` says whether the store has to be looked at again afterwards, `later` how many networks come after these.
    """

    def __init__(self, run: str, trainings: list[Training], more: bool, later: int) -> None:
        self.run, self.trainings, self.more, self.later = run, trainings, more, later

    async def wait(self) -> None:
        """Until all have ended; raises what one of them raised. Cancelled, the run lets go of them.

        One that was stopped meanwhile, as those who waited for it let go, is no error: the store is looked at again.
        """
        if not self.trainings:
            return
        for training in self.trainings:
            training.runs.add(self.run)
        try:
            waiting = [training.task for training in self.trainings if training.task]
            ended, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for training in self.trainings:
                training.runs.discard(self.run)
                if not training.runs and training.task:
                    training.task.cancel()
        for task in ended:
            if not task.cancelled() and (error := task.exception()):
                raise error


async def stacks(wanted: Sequence[Wanted]) -> list[tuple[list[Network], tuple[int, ...]]]:
    """Networks of one family and equal epochs, as many together as are trained in one stack.

    Raises InputError for a network that is too large.
    """
    families: dict[Any, list[Network]] = {}
    for network, epochs in wanted:
        families.setdefault((network.family, epochs), []).append(network)
    found = []
    for (_, epochs), networks in families.items():
        size = await asyncio.to_thread(together, networks[0])
        found += [(networks[i : i + size], epochs) for i in range(0, len(networks), size)]
    return found


@contextlib.asynccontextmanager
async def held(store: Store, kind: str, ids: Iterable[str]) -> AsyncIterator[None]:
    """Hold the locks of these ids; another process that has one is waited for without blocking."""
    with contextlib.ExitStack() as locks:
        for id in sorted(ids):
            while True:
                try:
                    locks.enter_context(store.lock(kind, id, patience=0))
                    break
                except TimeoutError:
                    await asyncio.sleep(LOOKING)
        yield
