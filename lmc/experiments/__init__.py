"""Experiments: a frozen config in, a result of tidy tables out. Importing this needs no torch."""

from __future__ import annotations

import time
from pathlib import Path

from lmc.data import DatasetInfo, dataset_info, list_datasets
from lmc.errors import InputError
from lmc.experiments.base import DTYPES, METHODS, Experiment, Network
from lmc.experiments.pair import Pair, array_name
from lmc.experiments.recipe import RECIPES, Recipe, make_recipe
from lmc.experiments.work import Report, Work, check_device, check_size, quiet, resolve_device
from lmc.memory import keep_freed_memory
from lmc.result import Result
from lmc.store import Store, with_seconds
from models import Architecture, get_architecture, list_models

__all__ = [
    "DTYPES",
    "EXPERIMENTS",
    "METHODS",
    "RECIPES",
    "Architecture",
    "DatasetInfo",
    "Experiment",
    "InputError",
    "Network",
    "Pair",
    "Recipe",
    "array_name",
    "dataset_info",
    "get_architecture",
    "list_datasets",
    "list_models",
    "make_recipe",
    "run",
]

EXPERIMENTS: dict[str, type[Pair]] = {"pair": Pair}


def run(
    config: Pair, *, store: Store | str | Path | None = None, device: str = "auto", report: Report = quiet
) -> Result:
    """Run an experiment, or find its result in the store.

    `report(share, text)` hears of progress and may raise `lmc.Stopped`; networks finished by then stay in the store.
    `result.seconds` is the time of this call. Raises InputError for a network that is too large or a device that
    is not there, StoreError for a store that cannot be used.
    """
    start = time.perf_counter()
    check_device(device)
    store = store if isinstance(store, Store) else Store(store)
    result = store.load_result(config.id)
    if result is None:
        with store.lock("run", config.id):
            result = store.load_result(config.id) or _fresh(config, store, device, report)
    return with_seconds(result, time.perf_counter() - start)


def _fresh(config: Pair, store: Store, device: str, report: Report) -> Result:
    start = time.perf_counter()
    keep_freed_memory()
    check_size(config.networks()[0])
    result = config.run(Work(store=store, device=resolve_device(device), report=report))
    result = with_seconds(result, time.perf_counter() - start)
    store.save_result(result)
    return result
