"""Looking up what a config names, with errors that list what there is."""

from __future__ import annotations

from collections.abc import Iterable

from lmc.data import DatasetInfo, dataset_info, list_datasets
from lmc.errors import InputError
from lmc.experiments.options import MAX_NAME
from models import Architecture, get_architecture, list_models


def known_architecture(name: str) -> Architecture:
    """The architecture, also one that can be loaded only. Raises InputError that lists the names."""
    try:
        return get_architecture(name)
    except (ValueError, TypeError):
        raise InputError("arch", name, f"choose one of: {', '.join(list_models())}") from None


def known_dataset(name: str) -> DatasetInfo:
    """What is known of the data set. Raises InputError that lists the names, or says what a folder needs."""
    if name == "folder":
        right = "say which folder holds train/CLASS/* and test/CLASS/*, with --data-dir"
        raise InputError("dataset", "folder", right)
    try:
        return dataset_info(name)
    except (ValueError, TypeError):
        raise InputError("dataset", name, f"choose one of: {', '.join(list_datasets())}") from None


def distinct(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels, with (2), (3), … behind those that would make two labels or the names of two pairs the same."""
    found: list[str] = []
    pairs: set[str] = set()
    for label in labels:
        name, count = label, 1
        while name in found or len(pairs | {f"{a}-{name}" for a in found}) < len(pairs) + len(found):
            count += 1
            suffix = f" ({count})"
            name = label[: MAX_NAME - len(suffix)] + suffix
        pairs |= {f"{a}-{name}" for a in found}
        found.append(name)
    return tuple(found)
