"""All that the store knows of one result or network, as lines of two columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lmc.errors import InputError, StoreError
from lmc.experiments import EXPERIMENTS
from lmc.experiments.spelling import command
from lmc.library import Library, training
from lmc.listing import aligned, moment, size
from lmc.store import Store


def show_lines(store: Store, id: str) -> list[str]:
    """What the result or network is, how it is computed again, its numbers, and how it is kept.

    Raises StoreError if what the store says of it cannot be read.
    """
    text = store.load_result_text(id)
    if text is not None:
        rows = _result_rows(store, text)
    else:
        about = store.load_about(id)
        if about is None:
            raise StoreError(f"it cannot be read; python -m lmc runs verify {id} says why")
        rows = _network_rows(store, id, about)
    heads, *rest = [("id", id), *rows, *_keeping_rows(store, "networks" if text is None else "results", id)]
    return aligned(heads, rest)


def _result_rows(store: Store, text: dict[str, Any]) -> list[tuple[str, str]]:
    config = text["config"]
    labels = config.get("labels") or [""] * len(text["networks"])
    networks = (_network(store, id, label) for id, label in zip(text["networks"], labels, strict=False))
    return [
        ("experiment", text["experiment"]),
        ("command", _command(text["experiment"], config)),
        *(("network", network) for network in networks),
        *((name, f"{value:.6g}") for name, value in text["metrics"].items()),
        ("took", f"{text['seconds']:.1f} s"),
        ("made with", _versions(text["made_with"])),
    ]


def _network(store: Store, id: str, label: str) -> str:
    about = store.load_about(id)
    if about is None:
        return f"{id}  {label}".rstrip() + "  (no longer in the store)"
    return f"{id}  {label or about.get('label', '')}".rstrip()


def _network_rows(store: Store, id: str, about: dict[str, Any]) -> list[tuple[str, str]]:
    library = Library(store)
    entry = next((one for one in library.networks() if one.id == id), None)
    if entry is None:
        return [("network", str(about.get("label", ""))), ("config", json.dumps(about.get("config")))]
    config = training(entry)
    uses = library.uses().get(id, [])
    return [
        ("network", f"{entry.name}, {entry.origin}"),
        ("command", command(config)) if config else ("config", json.dumps(entry.config)),
        ("data sets", ", ".join(entry.datasets)),
        ("checkpoints", " ".join(f"{epoch}" for epoch in entry.checkpoints)),
        *([] if entry.error is None else [("test error", f"{entry.error:.4f}")]),
        *(("part of", f"{use.id}  {use.experiment}") for use in uses),
        *([("made with", _versions(about["made_with"]))] if "made_with" in about else []),
    ]


def _keeping_rows(store: Store, kind: str, id: str) -> list[tuple[str, str]]:
    kept = store.kept(kind, id)
    if kept is None:
        return [("kept", "shipped with the project")]
    return [
        ("size", size(kept.size)),
        ("written", moment(kept.written)),
        ("used", moment(kept.used)),
        ("pinned", "yes" if kept.pinned else "no"),
    ]


def _command(experiment: str, config: dict[str, Any]) -> str:
    try:
        return command(EXPERIMENTS[experiment].from_json(config))
    except (KeyError, TypeError, InputError):  # of another version
        return f"this version cannot run {experiment} {json.dumps(config)}"


def _versions(made_with: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in made_with.items())
