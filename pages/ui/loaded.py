"""Networks of the store that were read from files: how the picker names them and which go together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lmc.data import dataset_info, list_datasets
from lmc.experiments import OPTIONS
from lmc.store import Store

About = Mapping[str, Any]
_KEPT = ("id", "label", "config", "loaded")
_ANY_SIDE = ("vgg", "resnet")  # they take the mean over the last pixels


def networks(store: Store) -> tuple[About, ...]:
    """What the store knows of its networks, but for their curves; read again when one comes or goes."""
    return _networks(store, (store.root / "networks").stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _networks(store: Store, _changed: int) -> tuple[About, ...]:
    return tuple({name: about[name] for name in _KEPT if name in about} for about in store.networks())


def loaded(known: Sequence[About]) -> dict[str, About]:
    """`LABEL · ID` → what is known of each network that was read from a file."""
    return {f"{about['label']} · {about['id']}": about for about in known if "loaded" in about}


def asked_ids(given: Sequence[str]) -> list[str]:
    """The ids in an address: one for each `load`, or several in one."""
    return [word for text in given for word in text.replace(",", " ").split()]


def words_of(chosen: Sequence[About], dataset: str) -> dict[str, list[str]]:
    """The words of a config of these networks: what they are, on `dataset` or else the first that they fit."""
    config = chosen[0]["config"]
    fits = fitting(chosen, [dataset, *list_datasets()])
    return {
        "dataset": fits[:1] or [dataset],
        "load": [about["id"] for about in chosen],
        "labels": [about["label"] for about in chosen],
        **{name: [str(config[name])] for name in OPTIONS},
    }


def fitting(chosen: Sequence[About], names: Sequence[str]) -> list[str]:
    """Those of the data sets `names` that all of these networks can answer."""
    return [name for name in names if all(_fits(about["config"], name) for about in chosen)]


def differences(chosen: Sequence[About]) -> list[str]:
    """In what the networks differ that have to be alike to be mixed, such as `width: 16, 32`."""
    found = []
    for name in (*OPTIONS, "input_shape", "classes"):
        values = list(dict.fromkeys(str(about["config"][name]) for about in chosen))
        if len(values) > 1:
            found.append(f"{name.replace('_', ' ')}: {', '.join(values)}")
    return found


def _fits(config: About, name: str) -> bool:
    info = dataset_info(name)
    if len(info.classes) != config["classes"]:
        return False
    shape = list(config["input_shape"])
    if len(shape) == 1:
        return math.prod(info.input_shape) == shape[0]
    if config["arch"] in _ANY_SIDE:
        return len(info.input_shape) == 3 and info.input_shape[0] == shape[0]
    return list(info.input_shape) == shape
