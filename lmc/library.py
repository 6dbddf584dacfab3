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
    Pair,
    dataset_info,
    get_architecture,
    list_datasets,
    list_models,
)
from lmc.store import Store


@dataclass(frozen=True)
class Entry:
    """A network in the list.

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
        """What it is called beside others: `seed 0`, or the name of its file."""
        return self.label if self.origin == "loaded" else f"seed {self.label}"


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


def comparison(entries: Sequence[Entry], dataset: str = "") -> Pair:
    """The experiment that compares these networks; loaded ones need the `dataset` on which.

    Raises InputError if they cannot be compared, with what they would have to share.
    """
    if len({entry.origin == "loaded" for entry in entries}) > 1:
        right = "some were trained here and some are from files; download the trained ones and load those files"
        raise InputError("networks", [entry.name for entry in entries], right)
    loaded = entries[0].origin == "loaded"
    for name in OPTIONS if loaded else (*OPTIONS, "dataset", "dtype", "recipe"):
        values = [_spelled(entry.config[name]) for entry in entries]
        if len(set(values)) > 1:
            said = "they were trained differently" if name == "recipe" else f"{' and '.join(dict.fromkeys(values))}"
            raise InputError("networks", [entry.name for entry in entries], f"they differ in {name} ({said})")
    first = entries[0].config
    shape = {name: first[name] for name in OPTIONS}
    if loaded:
        ids, labels = tuple(entry.id for entry in entries), tuple(entry.label for entry in entries)
        return Pair(dataset=dataset, load=ids, labels=labels, **shape)
    seeds, orders = (tuple(entry.config[name] for entry in entries) for name in ("seed", "order_seed"))
    return Pair(
        dataset=first["dataset"],
        dtype=first["dtype"],
        recipe=first["recipe"],
        seeds=seeds,
        order_seeds=orders,
        **shape,
    )


def training(entry: Entry) -> Pair | None:
    """The experiment that trains this network again, beside one of another seed; None for a loaded one."""
    if entry.origin == "loaded":
        return None
    config = entry.config
    other = config["seed"] + 1 if config["seed"] == 0 else 0
    shape = {name: config[name] for name in (*OPTIONS, "dataset", "dtype", "recipe")}
    try:
        return Pair(seeds=(config["seed"], other), order_seeds=(config["order_seed"], other), method=("none",), **shape)
    except InputError:
        return None


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


def _spelled(value: Any) -> str:
    return str(sorted(value.items())) if isinstance(value, dict) else str(value)
