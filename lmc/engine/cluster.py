"""The dask cluster that an engine works on: started here for this engine alone, or an existing one."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import logging
import os
import pickle
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Client, Future, Nanny, Scheduler, SpecCluster, Worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.scheduler import TaskState
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from lmc.engine import forking
from lmc.engine.outside import CONNECTING, connect
from lmc.engine.tasks import warm_up
from lmc.errors import EngineError

HOST = "127.0.0.1"
QUIET = logging.WARNING
LOST = "the connection to the scheduler was lost before the run ended; start again when it is back"
_SETTINGS = {
    **forking.SETTINGS,
    "distributed.worker.memory.target": False,  # nothing here is worth writing to disk
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,  # a data set that stays in memory would pause a worker for ever
    "distributed.admin.large-graph-warning-threshold": "4GiB",  # networks travel with the tasks that hold them
    "distributed.scheduler.worker-saturation": 1.0,  # tasks that a worker is given at a time, for each thread
    "distributed.comm.timeouts.connect": f"{CONNECTING}s",
}


class OwnScheduler(Scheduler):
    """A scheduler without the HTTP server, which would let anybody look without a certificate.

    Every task waits in its queue, in order of priority, until a worker is free; Dask's own would give most tasks to a
    worker at once, where they wait behind a slow one while later runs overtake them.
    """

    def start_http_server(self, *_: Any, **__: Any) -> None: ...

    def is_rootish(self, ts: TaskState) -> bool:
        return not (ts.resource_restrictions or ts.worker_restrictions or ts.host_restrictions)


class QuietWorker(Worker):
    """A worker without the HTTP server."""

    def start_http_server(self, *_: Any, **__: Any) -> None: ...


class Warmth(WorkerPlugin):
    """Warms every worker up when it starts, also one that takes the place of another."""

    name = "lmc-warmth"

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 - dask's signature
        atexit.register(os._exit, 0)  # taking torch apart would take seconds
        threading.Thread(target=warm_up, daemon=True).start()  # never waited for when the worker ends


@dataclass
class Cluster:
    """The workers that jobs are sent to.

    `address` is that of an outside scheduler, None if the workers are our own; `gpu` whether some worker owns one.
    """

    address: str | None = None
    gpu: bool = False
    name: str = field(default_factory=lambda: secrets.token_hex(4))
    listeners: dict[str, Callable[[dict[str, Any]], None]] = field(default_factory=dict)
    """Key of a job → who hears its messages."""
    _client: Client | None = None
    _opening: asyncio.Task[None] | None = None

    @property
    def topic(self) -> str:
        return f"lmc-{self.name}"

    @property
    def own(self) -> bool:
        return self.address is None

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.status == "running"

    @property
    def client(self) -> Client:
        """The connection. Raises EngineError when there is none."""
        if self._client is None or not self.connected:
            raise EngineError(LOST)
        return self._client

    async def connect(self) -> None:
        """See to it that there is a connection, a new one if it was lost. However many ask, it is tried once.

        Raises InputError if the scheduler does not answer.
        """
        if self.connected:
            return
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        if self.address is None:
            raise EngineError(LOST)
        await self.close()
        self.use(await connect(self.address))

    def use(self, client: Client) -> None:
        """Speak to the workers through this client."""
        self._client = client
        client.subscribe_topic(self.topic, self.hear)

    async def close(self) -> None:
        """End the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                await client.close()

    def hear(self, event: tuple[float, dict[str, Any]]) -> None:
        """A message of a task, handed to the job of its key."""
        _, message = event
        listener = self.listeners.get(message.get("key", ""))
        if listener is not None:
            listener(message)

    async def workers(self) -> list[dict[str, Any]]:
        """What the scheduler knows of each worker; nothing when it is not there."""
        if not self.connected:
            return []
        try:
            return list((await self.client.scheduler.identity(n_workers=-1))["workers"].values())
        except OSError:
            return []

    async def resources(self, device: str) -> dict[str, float] | None:
        """What a job asks of its worker: a GPU where some worker owns one, unless it is for the CPU."""
        if device == "cpu":
            return None
        if not self.own:  # workers come and go
            self.gpu = any(worker["resources"].get("GPU") for worker in await self.workers())
        return {"GPU": 1} if self.gpu else None

    def hold(self, name: str, content: Any, priority: int) -> Future:
        """Something for tasks that share it: its pickle lies on a worker, and is sent again if that is lost."""
        packed = pickle.dumps(content)
        return self.client.submit(bytes, packed, key=f"{name}-{self.name}", priority=priority, pure=False)

    async def end_worker(self, address: str) -> None:
        """Kill a worker that does not listen, so that another takes its place; only where they are our own."""
        if self.own:
            with contextlib.suppress(Exception):  # it may have ended by itself
                await self.client.restart_workers([address], timeout=20, raise_for_error=False)


@contextlib.asynccontextmanager
async def open_cluster(scheduler: str | None = None, workers: int | None = None) -> AsyncIterator[Cluster]:
    """The cluster of the scheduler of that address, or of `workers` processes of our own (default: as the machine is).

    A scheduler that does not answer is no error yet: `Cluster.connect` raises it, for every run that asks.
    """
    with dask.config.set(_SETTINGS):
        async with _outside(scheduler) if scheduler else _own(workers) as cluster:
            yield cluster


@contextlib.asynccontextmanager
async def _outside(address: str) -> AsyncIterator[Cluster]:
    cluster = Cluster(address)
    first = asyncio.create_task(cluster.connect())  # for the number of workers; a run will hear what is wrong
    first.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        yield cluster
    finally:
        first.cancel()
        await cluster.close()


@contextlib.asynccontextmanager
async def _own(workers: int | None) -> AsyncIterator[Cluster]:
    security, gpus = Security.temporary(), count_gpus()
    folder = tempfile.mkdtemp(prefix="lmc-workers-")
    forking.prepare(worker_options(workers, gpus)[0]["env"])
    surroundings: dict[str, Any] = {"security": security, "protocol": "tls://", "host": HOST, "dashboard": False}
    scheduler = {"cls": OwnScheduler, "options": {**surroundings, "port": 0, "dashboard_address": None}}
    specs = {
        place: {"cls": Nanny, "options": {**surroundings, **options, "local_directory": folder, "silence_logs": QUIET}}
        for place, options in enumerate(worker_options(workers, gpus))
    }
    try:
        async with (
            SpecCluster(
                scheduler=scheduler, workers=specs, asynchronous=True, security=security, silence_logs=QUIET
            ) as started,
            Client(started, asynchronous=True, set_as_default=False) as client,
        ):
            await client.register_plugin(Warmth())
            cluster = Cluster(gpu=gpus > 0)
            cluster.use(client)
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def worker_options(workers: int | None, gpus: int, cores: int | None = None) -> list[dict[str, Any]]:
    """How each worker process is started: one task at a time each, the cores shared out, a GPU to one worker alone."""
    cores = cores or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    count = max(workers or (cores if cores <= 4 else cores // 2), gpus)
    visible = _visible() or [str(place) for place in range(gpus)]
    found = []
    for place in range(count):
        owns = place < gpus
        environment = {
            "OMP_NUM_THREADS": str(max(1, cores // count)),
            "CUDA_VISIBLE_DEVICES": visible[place] if owns else "",
        }
        resources = {"GPU": 1} if owns else {}
        memory = 0 if owns else int(0.9 * MEMORY_LIMIT / count)  # bytes; 0 is no limit
        found.append(
            {
                "worker_class": QuietWorker,
                "nthreads": 1,
                "env": environment,
                "resources": resources,
                "memory_limit": memory,
            }
        )
    return found


def count_gpus() -> int:
    """How many CUDA devices may be used, found without loading torch."""
    visible = _visible()
    if visible is not None:
        return len(visible)
    if shutil.which("nvidia-smi") is None:
        return 0
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in said.splitlines())


def _visible() -> list[str] | None:
    """The devices that CUDA_VISIBLE_DEVICES names, None if it is not set; what follows -1 is hidden."""
    words = os.environ.get("CUDA_VISIBLE_DEVICES")
    if words is None:
        return None
    return list(itertools.takewhile(lambda word: word not in ("", "-1"), map(str.strip, words.split(","))))
