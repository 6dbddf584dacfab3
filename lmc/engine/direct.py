"""An experiment on many processes or a cluster, from the command line or a script."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lmc.errors import CheckFailed, EngineError, InputError, Stopped, StoreError
from lmc.experiments import Experiment
from lmc.experiments.work import Report
from lmc.result import Result
from lmc.store import Store

LOOKING = 0.2  # seconds between two reports


async def run_on_cluster(
    config: Experiment,
    store: Store,
    *,
    scheduler: str | None,
    workers: int | None,
    device: str,
    data_dir: Path | None,
    report: Report,
) -> Result:
    """Run the experiment on the scheduler of that address, or on as many processes of this machine.

    Raises EngineError if it cannot be run there, besides what a run in this process raises.
    """
    _require_dask()
    from lmc.engine.cluster import open_cluster
    from lmc.engine.coordinator import Coordinator

    async with open_cluster(scheduler, workers) as cluster:
        coordinator = Coordinator(cluster, store)
        folder = None if data_dir is None else str(data_dir)
        run = coordinator.submit(config, device=device, data_dir=folder)
        try:
            while run.active:
                await asyncio.sleep(LOOKING)
                run.update()
                report(run.share, run.text)
        except (Stopped, asyncio.CancelledError):
            coordinator.cancel(run.id)
            raise
        if isinstance(run.failure, InputError | EngineError | StoreError | CheckFailed):
            raise run.failure
        if run.failure is not None:
            raise EngineError(run.error) from run.failure
    result = store.load_result(run.id)
    if result is None:
        raise EngineError(run.error or "the run ended without a result")
    return result


def _require_dask() -> None:
    try:
        import distributed  # noqa: F401 - only whether it is there
    except ImportError:
        raise EngineError(
            "running on several processes or a cluster needs the package distributed; install it, or leave out "
            "--workers and --scheduler"
        ) from None
