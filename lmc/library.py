"""The networks of a store as a list: where each is from, how good it is, where it was used, what it compares with.

Lists must be quick for hundreds of networks, so what was read once is kept until its folder changes. No torch needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors.numpy import save

from lmc.errors import InputError, StoreError
from lmc.experiments import (
    EXPERIMENTS,
    OPTIONS,
    Experiment,
    History,
    Instability,
    Pair,
    Pruning,
    Trajectory,
    dataset_info,
    get_architecture,
    list_datasets,
    list_models,
)
from lmc.store import Store

VARIANTS = ("twin", "fork", "pruning")


@dataclass(frozen=True)
class Entry:
    """A network in the list.

    One that was trained may be a twin, a fork or pruned: then `config` has `twin`, `fork` or `pruning`, see
    `lmc.experiments.Network`, and the checkpoints of a pruned one are levels.

    `origin` is `trained`, `loaded` (from a file) or `shipped` (with the project). `label` is the seed or the name of
    the file, `epochs` None for a loaded one. `dataset` is what it was trained on, "" for a loaded one, of which
    `datasets` names those that fit. `error` is on the test images, in [0, 1], None where nobody measured it. `written`
    is in seconds since the epoch, `size` in bytes on disk, `checkpoints` are epochs.
    """

    id: str
    label: str
    origin: str
    config: dict[str, Any]
    dataset: str
    datasets: tuple[str, ...]
    epochs: int | None
    error: float | None
    written: float
    size: int
    checkpoints: tuple[int, ...]
    curves: list[dict[str, Any]] = field(repr=False)
    report: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called beside others: `seed 0`, `seed 0, pruned 20% a level`, or the name of its file."""
        if self.origin == "loaded":
            return self.label
        seed, order = self.config["seed"], self.config["order_seed"]
        name = f"seed {seed}" if seed == order else f"seed {seed}/{order}"
        name = name if self.config.get("twin") is None else f"twin of {name}"
        if fork := self.config.get("fork"):
            name = f"{name}, other order from epoch {fork[0]}"
        if plan := self.config.get("pruning"):
            name = f"{name}, pruned {100 * plan['share']:.3g}% a level"
        return name

    @property
    def variant(self) -> tuple[str, ...]:
        """What it is beside the usual: any of `twin`, `fork` and `pruning`."""
        return tuple(name for name in VARIANTS if self.config.get(name) is not None)


@dataclass(frozen=True)
class Use:
    """A result that a network is part of. `errors` are test errors of its networks by id, on the config's data set."""

    id: str
    experiment: str
    config: dict[str, Any]
    networks: tuple[str, ...]
    errors: dict[str, float]

    def value(self) -> Experiment | None:
        """Its config, or None if it is one that this version no longer runs."""
        try:
            return EXPERIMENTS[self.experiment].from_json(self.config)
        except (KeyError, InputError):
            return None


class Library:
    """The list of one store. Any number of threads may ask."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._entries: dict[str, tuple[tuple[int, bool], Entry | None]] = {}
        self._uses: dict[str, tuple[int, Use | None]] = {}

    def networks(self) -> list[Entry]:
        """All readable networks: the newest first, shipped ones last."""
        known, fresh = self._entries, {}
        for id, changed in self.store.changes("networks").items():
            stamp = (changed, self.store.is_shipped(id))
            kept = known.get(id)
            fresh[id] = kept if kept is not None and kept[0] == stamp else (stamp, self._read(id, stamp[1]))
        self._entries = fresh
        entries = [entry for _, entry in fresh.values() if entry is not None]
        return sorted(entries, key=_place)

    def uses(self) -> dict[str, list[Use]]:
        """Network id → the results that it is part of, the newest first."""
        known, fresh = self._uses, {}
        for id, changed in self.store.changes("results").items():
            kept = known.get(id)
            fresh[id] = kept if kept is not None and kept[0] == changed else (changed, self._read_use(id))
        self._uses = fresh
        found: dict[str, list[Use]] = {}
        for _, use in sorted(fresh.values(), key=lambda pair: -pair[0]):
            if use is not None:
                for network in use.networks:
                    found.setdefault(network, []).append(use)
        return found

    def as_file(self, entry: Entry) -> bytes:
        """Its last checkpoint as safetensors that can be loaded again; the header names what tensors do not show.

        Raises StoreError if it is no longer there.
        """
        arrays = self.store.load_checkpoint(entry.id, entry.checkpoints[-1]) if entry.checkpoints else None
        if arrays is None:
            raise StoreError(f"network {entry.label} is no longer in the store {self.store.root}")
        ordered = {name: np.array(value, order="C") for name, value in arrays.items()}
        return save(ordered, metadata={name: str(entry.config[name]) for name in ("arch", "activation")})

    def _read(self, id: str, shipped: bool) -> Entry | None:
        about, files = self.store.load_about(id), self.store.files(id)
        if about is None or "network.json" not in files:
            return None
        try:
            return _entry(id, about, files, shipped)
        except (KeyError, TypeError, ValueError):  # of another version, or by another hand
            return None

    def _read_use(self, id: str) -> Use | None:
        content = self.store.load_result_text(id)
        try:
            return None if content is None else _use(id, content)
        except (KeyError, TypeError, ValueError):
            return None


def comparison(entries: Sequence[Entry], dataset: str = "") -> Pair | Pruning:
    """The experiment that compares these networks; loaded ones need the `dataset` on which. Pruned ones are compared
    level by level.

    Raises InputError if they cannot be compared, with what they would have to share.
    """
    if len({entry.origin == "loaded" for entry in entries}) > 1:
        right = "some were trained here and some are from files; download the trained ones and load those files"
        raise InputError("networks", [entry.name for entry in entries], right)
    loaded = entries[0].origin == "loaded"
    if any("twin" in entry.variant or "fork" in entry.variant for entry in entries):
        right = "twins, and networks whose data order changed on the way, are compared on the pages that made them"
        raise InputError("networks", [entry.name for entry in entries], right)
    for name in OPTIONS if loaded else (*OPTIONS, "dataset", "dtype", "recipe", "pruning"):
        values = [_spelled(entry.config.get(name)) for entry in entries]
        if len(set(values)) > 1:
            said = _DIFFERENT.get(name, f"{' and '.join(dict.fromkeys(values))}")
            raise InputError("networks", [entry.name for entry in entries], f"they differ in {name} ({said})")
    first = entries[0].config
    shape = {name: first[name] for name in OPTIONS}
    if loaded:
        ids, labels = tuple(entry.id for entry in entries), tuple(entry.label for entry in entries)
        return Pair(dataset=dataset, load=ids, labels=labels, **shape)
    seeds, orders = (tuple(entry.config[name] for entry in entries) for name in ("seed", "order_seed"))
    shape |= {name: first[name] for name in ("dataset", "dtype", "recipe")}
    if plan := first.get("pruning"):
        levels = min(entry.checkpoints[-1] for entry in entries if entry.checkpoints)
        return Pruning(seeds=seeds, order_seeds=orders, levels=levels, **_plan(plan), **shape)
    return Pair(seeds=seeds, order_seeds=orders, **shape)


def training(entry: Entry) -> Experiment | None:
    """The experiment that trains this network again, beside one of another seed; None for a loaded one."""
    if entry.origin == "loaded":
        return None
    config = entry.config
    other = config["seed"] + 1 if config["seed"] == 0 else 0
    values: dict[str, Any] = {name: config[name] for name in (*OPTIONS, "dataset", "dtype", "recipe")}
    values |= {"seeds": (config["seed"], other), "order_seeds": (config["order_seed"], other), "method": ("none",)}
    control = "twin" if "twin" in entry.variant else "none"
    try:
        if plan := config.get("pruning"):
            levels = entry.checkpoints[-1] if entry.checkpoints else 1
            return Pruning(levels=levels, control=control, **_plan(plan), **values)
        if fork := config.get("fork"):
            return Instability(forks=(fork[0],), **values)
        return Trajectory(control=control, **values) if control == "twin" else Pair(**values)
    except InputError:
        return None


def _plan(plan: dict[str, Any]) -> dict[str, Any]:
    """The options of an experiment that prunes as a network was pruned."""
    return {"prune": plan["share"], "rewind": plan["rewind"], "last_layer": plan["last_layer"]}


def fitting(entries: Sequence[Entry]) -> list[str]:
    """The data sets that fit every one of these loaded networks."""
    return [name for name in entries[0].datasets if all(name in entry.datasets for entry in entries)]


def _place(entry: Entry) -> tuple[Any, ...]:
    """Sorts the newest first, then what was shipped, the simplest first: a copy's times say nothing."""
    if entry.origin != "shipped":
        return (0, -entry.written, entry.label, entry.id)
    data, architectures = list_datasets(), list_models()
    return (1, data.index(entry.dataset), architectures.index(entry.config["arch"]), entry.label, entry.id)


def _entry(id: str, about: dict[str, Any], files: dict[str, Any], shipped: bool) -> Entry:
    config = about["config"]
    tests = [row["error"] for row in about["curves"] if row["split"] == "test"]
    loaded = "loaded" in about
    for name in OPTIONS if loaded else (*OPTIONS, "dataset", "dtype", "recipe", "seed", "order_seed"):
        config[name]  # a KeyError or ValueError here, not on the page
    get_architecture(config["arch"])
    if not loaded:
        dataset_info(config["dataset"])
    return Entry(
        id=id,
        label=str(about["label"]),
        origin="loaded" if loaded else "shipped" if shipped else "trained",
        config=config,
        dataset="" if loaded else config["dataset"],
        datasets=tuple(about["datasets"]) if loaded else (config["dataset"],),
        epochs=None if loaded else config["recipe"]["epochs"],
        error=tests[-1] if tests and math.isfinite(tests[-1]) else None,
        written=files["network.json"].st_mtime,
        size=sum(stat.st_size for stat in files.values()),
        checkpoints=tuple(sorted(int(name[6:11]) for name in files if name.startswith("epoch-"))),
        curves=about["curves"],
        report=tuple(about.get("loaded", ())),
    )


def _use(id: str, content: dict[str, Any]) -> Use:
    config, networks = content["config"], tuple(content["networks"])
    kind = EXPERIMENTS.get(content["experiment"])
    if kind is not None and issubclass(kind, History):  # it was also made with pruned networks, or with forks
        networks = tuple(dict.fromkeys((*networks, *(one.id for one, _ in kind.from_json(config).wanted()))))
    return Use(id, content["experiment"], config, networks, _errors(content, networks))


def _errors(content: dict[str, Any], networks: Sequence[str]) -> dict[str, float]:
    """Test errors of loaded networks as they are, from the table of barriers."""
    config, table = content["config"], content["tables"].get("barriers", {})
    if not config.get("load") or "error_a" not in table:
        return {}
    labels = {id: label for id, label in zip(config["load"], config["labels"], strict=True) if id in networks}
    pairs = {f"{labels[a]}-{labels[b]}": (a, b) for a in labels for b in labels if a != b}
    found: dict[str, float] = {}
    for row, (pair, split) in enumerate(zip(table["pair"], table["split"], strict=True)):
        if split == "test":
            found |= dict(zip(pairs[pair], (table["error_a"][row], table["error_b"][row]), strict=True))
    return found


_DIFFERENT = {"recipe": "they were trained differently", "pruning": "they were pruned differently, or not all of them"}


def _spelled(value: Any) -> str:
    return str(sorted(value.items())) if isinstance(value, dict) else str(value)
