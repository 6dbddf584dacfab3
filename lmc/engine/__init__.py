"""Where experiments run: in this process, on the processes of this machine, or on a cluster.

`Engine` is for pages: it never waits. `run` is for scripts: it returns the result. Importing this loads no dask.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from lmc import experiments
from lmc.engine.client import Begun, Engine, Status
from lmc.engine.files import MAX_FILES, MAX_UPLOAD, check_files
from lmc.errors import EngineError
from lmc.experiments import Experiment
from lmc.experiments.work import Report, quiet
from lmc.result import Result
from lmc.store import Store

__all__ = ["MAX_FILES", "MAX_UPLOAD", "Begun", "Engine", "EngineError", "Status", "check_files", "run"]


def run(
    config: Experiment,
    *,
    store: Store | str | Path | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    report: Report = quiet,
    scheduler: str | None = None,
    workers: int | None = None,
) -> Result:
    """Run an experiment, or find its result in the store.

    In this process, unless `scheduler` (the address of a Dask scheduler) or `workers` (processes of this machine) is
    given. `data_dir` is where data sets lie (default: `lmc.data.default_data_dir()`). `report(share, text)` hears of
    progress and may raise `lmc.Stopped`; networks finished by then stay in the store. `result.seconds` is the time of
    this call. Raises InputError for a network that is too large, a device that is not there or data that cannot be
    had and a scheduler that does not answer, StoreError for a store that cannot be used, CheckFailed if a permutation
    changed a function, EngineError if a worker or the scheduler was lost.
    """
    if scheduler is None and workers is None:
        return experiments.run(config, store=store, device=device, data_dir=data_dir, report=report)
    from lmc.engine.direct import run_on_cluster

    folder = None if data_dir is None else Path(data_dir)

    def compute(store: Store) -> Result:
        work = run_on_cluster(
            config, store, scheduler=scheduler, workers=workers, device=device, data_dir=folder, report=report
        )
        return asyncio.run(work)

    return experiments.found_or(config, store, device, compute)
