"""One attempt of a piece of work on the cluster."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from distributed import Event, Future, Variable
from distributed.client import ClosedClientError
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from lmc.engine.cluster import LOST, Cluster
from lmc.engine.remote import packed
from lmc.engine.tasks import Call
from lmc.errors import CheckFailed, EngineError, InputError, StoreError, as_sentence

PATIENCE = 3.0  # seconds that a task may take to notice that it should stop, before its worker is ended
_ATTEMPTS = itertools.count(1)
_STOPPING: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish


class Job:
    """It ends with a value, with an error, or because it was stopped; every attempt has a key of its own.

    `rows` are learning curves by network id and steps of searches by their name,
    `state` the last state that the training saved.
    """

    def __init__(self, cluster: Cluster, kind: str, id: str, device: str = "auto", data_dir: str | None = None) -> None:
        self.cluster, self.device = cluster, device
        self.key = f"{kind}-{id}-{cluster.name}/{next(_ATTEMPTS)}"
        self.call = Call(self.key, cluster.topic, device, data_dir)
        self.share, self.text, self.began, self.worker = 0.0, "", False, ""
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.on_saved: Callable[[], None] = lambda: None
        self.on_sent: Callable[[], None] = lambda: None
        self.state = State(self)
        self._ended = asyncio.Event()
        self._future: Future | None = None

    async def run(self, function: Callable[..., Any], *args: Any, priority: int, held: Sequence[Future] = ()) -> Any:
        """Have a worker call `function(call, *args)`; its value. Raises what it raised, or EngineError.

        With `held`, see `Cluster.hold`, the list of what they hold is the last argument.
        """
        loop, finished = asyncio.get_running_loop(), asyncio.Event()
        resources = await self.cluster.resources(self.device)
        future: Future = self.cluster.client.submit(
            pickle.loads, packed(function, (self.call, *args), len(held)), buffers=list(held),
            key=self.key, priority=priority, pure=False, resources=resources,
        )  # fmt: skip
        self._future = future
        self.on_sent()
        self.cluster.listeners[self.key] = self._hear
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(finished.set))
        try:
            await finished.wait()
            return await _value(future)
        except asyncio.CancelledError:
            stopping = loop.create_task(self._stop(future))
            _STOPPING.add(stopping)
            stopping.add_done_callback(_STOPPING.discard)
            raise
        finally:
            if future.status != "pending":
                self._forget()

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("began"):  # also when another worker begins anew
            self.began, self.share, self.rows = True, 0.0, {}
        self.worker = message.get("worker", self.worker)
        self.share, self.text = message.get("share", self.share), message.get("text", self.text)
        for network, rows in message["rows"].items():
            self.rows.setdefault(network, []).extend(rows)
        if message.get("ended"):
            self._ended.set()
        if message.get("saved"):
            self.on_saved()

    async def _stop(self, future: Future) -> None:
        """Tell the task, and end its worker if it does not listen."""
        with contextlib.suppress(Exception):  # the scheduler may be gone
            event = Event(self.key, client=self.cluster.client)
            await event.set()
            await future.cancel()
            if self.began:
                try:
                    await asyncio.wait_for(self._ended.wait(), PATIENCE)
                except TimeoutError:
                    await self.cluster.end_worker(self.worker)
            await event.clear()
        self._forget()

    def _forget(self) -> None:
        self.cluster.listeners.pop(self.key, None)
        if self._future is not None:
            self._future.release()
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self.state.delete()


class State:
    """The variable in which a training keeps its state, on the scheduler: it outlives the workers.

    It must be set before the task begins, and is deleted when the job has ended.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._variable: Variable | None = None

    async def set(self, content: bytes) -> None:
        self._variable = Variable(self._job.key, client=self._job.cluster.client)
        await self._variable.set(content)

    async def get(self) -> bytes:
        assert self._variable is not None
        content: bytes = await self._variable.get(timeout=30)
        return content

    def delete(self) -> None:
        variable, self._variable = self._variable, None
        if variable is not None:
            variable.delete()


async def _value(future: Future) -> Any:
    if future.status == "finished":
        return await future
    if future.status == "error":
        raise await future.exception()
    raise EngineError(LOST)


def sentence(error: BaseException) -> str:
    """What went wrong, for the page and the log."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, CheckFailed | EngineError | StoreError):
        return as_sentence(str(error))
    if isinstance(error, ClosedClientError | CommClosedError):
        return as_sentence(LOST)
    if isinstance(error, KilledWorker):
        return (
            "The processes that ran it ended again and again, as when memory runs out; a smaller width or fewer "
            "images would need less."
        )
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "allocate memory" in str(error):
        return "Memory ran out; a smaller width, fewer images or points would need less."
    if isinstance(error, ModuleNotFoundError):
        return f"A worker has no {error.name}; install the same program there."
    first = (str(error).splitlines() or [""])[0]
    return f"The run failed where it ran, which is a fault of this program: {type(error).__name__}: {first}"
