"""The heart of the engine: starts runs, shares them, gathers what workers return and writes it to the store."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import time
from typing import Any

from lmc.engine import tasks
from lmc.engine.cluster import Cluster
from lmc.engine.door import Passage
from lmc.engine.job import Job, sentence
from lmc.engine.parts import Parts
from lmc.engine.run import Run
from lmc.engine.trainings import Trainings, held
from lmc.errors import EngineError, InputError, StoreError
from lmc.experiments import EXPERIMENTS, Experiment
from lmc.experiments.importing import Gathered
from lmc.limits import Limits, check_limits
from lmc.result import Result
from lmc.shelf import Kept
from lmc.store import Store

log = logging.getLogger("lmc.engine")
REMEMBERED = 200  # ended runs
TICK = 0.25  # seconds
FILES_AT_ONCE = 2  # each is in memory several times on its way to a worker


class Coordinator:
    """Runs experiments on one cluster for one store. All methods belong to its event loop."""

    def __init__(self, cluster: Cluster, store: Store, limits: Limits | None = None) -> None:
        self.cluster, self.store, self.limits = cluster, store, limits
        self.trainings = Trainings(cluster, store)
        self.runs: dict[str, Run] = {}
        self.workers = 0
        self._numbers = itertools.count()
        self._door = asyncio.Lock()

    # What can be asked of it

    def submit(self, config: Experiment, session: str = "", device: str = "auto", data_dir: str | None = None) -> Run:
        """Start the experiment unless it runs already. Raises InputError past a limit, EngineError for a second run."""
        run = self.runs.get(config.id)
        if run is None or not run.active:
            if self.limits:
                check_limits(config, self.limits)
            self._require_turn(session)
            run = Run(config.id, next(self._numbers), title(config), config, device, data_dir)
            self._start(run, self._experiment(run, config))
        run.askers.add(session)
        run.hidden = False
        run.look(session)
        return run

    def load(self, token: str, labels: list[tuple[str, str]], activation: str | None, session: str = "") -> Run:
        """Load the files `0`, `1`, … of the run's folder, named and labelled so, into the store.

        Raises EngineError in a classroom.
        """
        if self.limits:
            raise EngineError("In a classroom no files are loaded.")
        if token in self.runs:  # asked twice, as the first answer was late
            return self.runs[token]
        run = Run(token, next(self._numbers), f"{len(labels)} files", None)
        self._start(run, self._files(run, labels, activation))
        run.look(session)
        return run

    def status(self, id: str, session: str = "") -> dict[str, Any]:
        """How the run stands, as plain data; the session counts as looking at it."""
        run = self.runs.get(id)
        if run is None:
            return {"state": "unknown"}
        run.update()
        run.look(session)
        return {
            "state": run.state,
            "share": run.share,
            "text": run.text,
            "seconds_left": run.seconds_left(),
            "position": self._position(run),
            "error": run.error,
            "watchers": run.watchers(but=session),
        }

    def partial(self, id: str) -> dict[str, Any]:
        """Learning curves, tables of the parts that are done, and the steps of searches that go on."""
        run = self.runs.get(id)
        return {"curves": run.curves(), "tables": run.tables(), "steps": run.steps()} if run else {}

    def cancel(self, id: str, session: str = "") -> bool:
        """Stop the run, unless another session looked a moment ago: then only this one lets go of it (False)."""
        run = self.runs.get(id)
        if run is None or not run.active:
            return True
        run.looks.pop(session, None)
        run.askers.discard(session)
        if run.watchers(but=session) or run.parents:
            return False
        self._stop(run, "stopped")
        return True

    def listed(self) -> dict[str, Any]:
        """Every run that is known here, the newest first, and how many networks were trained."""
        rows = [
            {
                **self.status(run.id),
                "id": run.id,
                "title": run.title,
                "experiment": run.config.name if run.config else "load",
                "config": run.config.to_json() if run.config else {},
                "asked": run.asked,
                "seconds": (run.ended or time.time()) - run.began if run.began else 0.0,
            }
            for run in sorted(self.runs.values(), key=lambda run: -run.number)
            if not run.hidden
        ]
        return {"runs": rows, "trained": self.trainings.count, "workers": self.workers}

    async def watch(self) -> None:
        """Go on for ever: see runs begin, and end those that take longer than the limits allow."""
        for tick in itertools.count():
            await asyncio.sleep(TICK)
            for run in self.runs.values():
                run.update()
                run.busy += TICK if run.working else 0.0
                if self.limits and run.active and run.busy > self.limits.seconds:
                    self._stop(run, "failed", self.limits.too_long)
            if tick % 8 == 0:
                try:
                    self.workers = len(await asyncio.wait_for(self.cluster.workers(), 5))
                except Exception as error:  # whatever is wrong there, time goes on
                    self.workers = 0
                    log.warning("the workers cannot be counted: %s", error)

    # How runs go

    def _start(self, run: Run, work: Any) -> None:
        self.runs.pop(run.id, None)  # an ended attempt
        self.runs[run.id] = run
        for old in [r for r in self.runs.values() if not r.active][:-REMEMBERED]:
            del self.runs[old.id]
        log.info("run %s: %s", run.id, run.title)
        run.task = asyncio.create_task(self._guarded(run, work))

    async def _guarded(self, run: Run, work: Any) -> None:
        """The run to its end, whatever that is."""
        try:
            await work
            run.end("done")
        except asyncio.CancelledError:
            if run.active:
                run.end("stopped")
        except Exception as error:
            if not isinstance(error, InputError | EngineError):
                log.debug("run %s", run.id, exc_info=error)
            run.failure = error.with_traceback(None)  # its frames hold whole networks
            run.end("failed", sentence(error))
        log.info("run %s %s %s", run.id, run.state, run.error)
        if run.state == "done":
            await self._make_room()

    async def _make_room(self) -> None:
        active = [run.id for run in self.runs.values() if run.active]
        try:
            await asyncio.to_thread(self.store.evict, active)
        except (StoreError, OSError) as error:  # results are kept all the same
            log.warning("no room was made: %s", error)

    def _stop(self, run: Run, state: str, error: str = "") -> None:
        run.end(state, error)
        if run.task:
            run.task.cancel()

    async def _experiment(self, run: Run, config: Experiment) -> None:
        start = time.perf_counter()
        async with held(self.store, "run", [run.id]), Passage(self._door) as passage:
            if await asyncio.to_thread(self.store.load_result, run.id) is not None:
                return
            await self.cluster.connect()
            if children := config.children():
                passage.over()
                results = await self._children(run, children, config.turns())
                result = config.joined(results, time.perf_counter() - start)
            else:
                pieces = await Parts(run, config, self.cluster, self.store, self.trainings).compute(passage)
                result = config.merged(pieces, time.perf_counter() - start)
            await asyncio.to_thread(self.store.save_result, result)

    async def _children(self, run: Run, configs: list[Experiment], turns: list[int]) -> list[Result]:
        """The results of the experiments that the run is made of; each is a run that others may share."""
        begun = {place: self._child(run, configs[place]) for place in turns}
        children = [begun[place] for place in sorted(begun)]
        run.children = list(children)
        try:
            for ended in asyncio.as_completed([self._ended(child) for child in children]):
                child = await ended
                result = await asyncio.to_thread(self.store.load_result, child.id)
                if child.state != "done" or result is None:
                    raise child.failure or EngineError(f"{child.title} was stopped, which this run is made of")
                run.results[child.id] = result
            return run.ordered_results()
        finally:
            for child in children:
                child.parents.discard(run.id)
                if child.active and not (child.parents or child.askers or child.watchers()):
                    self._stop(child, "stopped")

    def _child(self, run: Run, config: Experiment) -> Run:
        child = self.runs.get(config.id)
        if child is None or not child.active:
            child = Run(config.id, run.number, title(config), config, run.device, run.data_dir, hidden=True)
            self._start(child, self._experiment(child, config))
        child.parents.add(run.id)
        return child

    async def _ended(self, run: Run) -> Run:
        if run.task:
            await asyncio.wait([run.task])
        return run

    async def _files(self, run: Run, labels: list[tuple[str, str]], activation: str | None) -> None:
        folder, turns = self.store.run_folder(run.id), asyncio.Semaphore(FILES_AT_ONCE)
        run.jobs += [Job(self.cluster, "file", f"{run.id}-{place}") for place in range(len(labels))]
        jobs = list(run.jobs)

        async def one(place: int, name: str, label: str) -> Gathered:
            job = jobs[place]
            async with turns:
                content = await asyncio.to_thread((folder / "files" / str(place)).read_bytes)
                gathered, networks = await job.run(
                    tasks.load_file, content, name, label, activation, priority=-2 * run.number
                )
            for id, kept in networks.items():
                await asyncio.to_thread(self._keep_loaded, id, kept)
            job.share = 1.0
            return gathered

        try:
            await self.cluster.connect()
            found = await asyncio.gather(*(one(i, *names) for i, names in enumerate(labels)))
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        run.content = {
            "networks": [entry.to_json() for entry in found if entry.network],
            "refused": [entry.to_json() for entry in found if not entry.network],
        }

    def _keep_loaded(self, id: str, kept: Kept) -> None:
        self.store.save_network(id, kept.about, kept.checkpoints)
        self.store.update_about(id, kept.about)  # one that was there takes the new name

    # Who comes when

    def _position(self, run: Run) -> int:
        """1 for the next to begin, never more than it was before; 0 for a run that does not wait.

        A run that waits again, for its parts, waits among its like: nobody who has not begun comes before it.
        """
        if run.state != "waiting":
            return 0
        waiting = [r for r in self.runs.values() if r.state == "waiting" and not r.hidden]
        alike = [r for r in waiting if (r.began is None) == (run.began is None)]
        run.place = min(run.place, sum(other.number <= run.number for other in alike))
        return run.place

    def _require_turn(self, session: str) -> None:
        if not self.limits or not session:
            return
        mine = [run for run in self.runs.values() if run.active and session in run.askers]
        if len(mine) >= self.limits.runs_per_session:
            raise EngineError(
                f"In this classroom one run at a time is computed for each page, and yours is {mine[0].title}. "
                "Wait for it, or cancel it on the page Runs."
            )


def title(config: Experiment) -> str:
    """The run in a few words."""
    names = " ".join(network.label for network in config.networks())
    return f"{config.name}: {config.arch} of width {config.width} on {config.dataset.split(':')[0]}, networks {names}"


def config_from(content: dict[str, Any]) -> Experiment:
    """The experiment that a client sent. Raises InputError for one that cannot be run."""
    return EXPERIMENTS[content["experiment"]].from_json(content["config"])
