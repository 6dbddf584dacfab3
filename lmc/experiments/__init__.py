"""Experiments: a frozen config in, a result of tidy tables out. Importing this needs no torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lmc.data import DatasetInfo, dataset_info, list_datasets
from lmc.errors import InputError
from lmc.experiments.base import CORRECTIONS, DTYPES, INSTANT, METHODS, Experiment
from lmc.experiments.comparison import array_name
from lmc.experiments.group import TOGETHER, Group
from lmc.experiments.history import CONTROLS, History
from lmc.experiments.instability import Instability
from lmc.experiments.landscape import Landscape
from lmc.experiments.many import Many
from lmc.experiments.methods import Methods
from lmc.experiments.networks import OPTIONS, Loaded, Network
from lmc.experiments.pair import Pair
from lmc.experiments.partial import Partial
from lmc.experiments.pruning import LAST_LAYERS, Pruning
from lmc.experiments.recipe import RECIPES, Recipe, make_recipe
from lmc.experiments.trajectory import Trajectory
from lmc.experiments.transport import Transport
from lmc.experiments.triple import Triple
from lmc.experiments.width import Width
from lmc.experiments.work import Report, Work, check_device, check_size, part, quiet, resolve_device
from lmc.memory import keep_freed_memory
from lmc.result import Result, relabelled
from lmc.store import Store, with_seconds
from models import Architecture, get_architecture, list_models

__all__ = [
    "CONTROLS",
    "CORRECTIONS",
    "DTYPES",
    "EXPERIMENTS",
    "INSTANT",
    "LAST_LAYERS",
    "METHODS",
    "OPTIONS",
    "RECIPES",
    "TOGETHER",
    "Architecture",
    "DatasetInfo",
    "Experiment",
    "Group",
    "History",
    "InputError",
    "Instability",
    "Landscape",
    "Loaded",
    "Many",
    "Methods",
    "Network",
    "Pair",
    "Partial",
    "Pruning",
    "Recipe",
    "Trajectory",
    "Transport",
    "Triple",
    "Width",
    "array_name",
    "dataset_info",
    "found_or",
    "get_architecture",
    "list_datasets",
    "list_models",
    "make_recipe",
    "run",
]

EXPERIMENTS: dict[str, type[Experiment]] = {
    cls.name: cls
    for cls in (Pair, Triple, Many, Width, Trajectory, Pruning, Transport, Instability, Landscape, Methods, Partial)
}


def run(
    config: Experiment,
    *,
    store: Store | str | Path | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    report: Report = quiet,
) -> Result:
    """Run an experiment, or find its result in the store.

    `data_dir` is where data sets lie (default: `lmc.data.default_data_dir()`). `report(share, text)` hears of progress
    and may raise `lmc.Stopped`; networks finished by then stay in the store. `result.seconds` is the time of this
    call. Raises InputError for a network that is too large, a device that is not there or data that cannot be had,
    StoreError for a store that cannot be used, CheckFailed if a permutation changed a function.
    """
    place = None if data_dir is None else Path(data_dir)

    def compute(store: Store) -> Result:
        with store.lock("run", config.id):
            result = store.load_result(config.id)  # another process may have computed it meanwhile
            return result or _fresh(config, store, Work(store, resolve_device(device), place, report))

    return found_or(config, store, device, compute)


def found_or(
    config: Experiment, store: Store | str | Path | None, device: str, compute: Callable[[Store], Result]
) -> Result:
    """The result in the store, else what `compute(store)` returns; `result.seconds` is the time of this call.

    Raises InputError for a device that is not there, StoreError for a store that cannot be used.
    """
    start = time.perf_counter()
    check_device(device)
    store = store if isinstance(store, Store) else Store(store)
    result = store.load_result(config.id) or compute(store)
    return with_seconds(relabelled(result, config.labels), time.perf_counter() - start)


def _fresh(config: Experiment, store: Store, work: Work) -> Result:
    start = time.perf_counter()
    keep_freed_memory()
    children = config.children()
    result = _joined(config, children, store, work, start) if children else _merged(config, work, start)
    store.save_result(result)
    store.evict(keep=(result.id,))
    return result


def _joined(config: Experiment, children: list[Experiment], store: Store, work: Work, start: float) -> Result:
    results = []
    for place, child in enumerate(children):
        report = part(work.report, place / len(children), (place + 1) / len(children))
        results.append(run(child, store=store, device=str(work.device), data_dir=work.data_dir, report=report))
    return config.joined(results, time.perf_counter() - start)


def _merged(config: Experiment, work: Work, start: float) -> Result:
    check_size(config.networks()[0])
    before = config.training_share
    work.train(config.wanted(), part(work.report, 0.0, before))
    parts = config.parts()
    pieces = []
    for place, members in enumerate(parts):
        ends = (before + (1 - before) * (place + k) / len(parts) for k in (0, 1))
        pieces.append(config.run_part(members, work.reporting(part(work.report, *ends))))
    return config.merged(pieces, time.perf_counter() - start)
