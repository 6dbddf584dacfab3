"""Several checkpoint files at once: those that are networks go into the store, the others are named with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmc.errors import CheckFailed, InputError
from lmc.experiments.files import Imported, clean_label, import_file, printable
from lmc.experiments.options import check_name
from lmc.experiments.work import Report, part, quiet
from lmc.shelf import Keeper


@dataclass(frozen=True)
class Gathered:
    """What became of one file: a `network`, or a sentence `refused`."""

    file: str
    network: Imported | None = None
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data: file and refused, or file, id, label, the five options of its shape, report and datasets."""
        if self.network is None:
            return {"file": self.file, "refused": self.refused}
        content = asdict(self.network)
        shape = content.pop("shape")
        return {"file": self.file, **content, **shape}


def import_files(
    files: Sequence[str | Path],
    store: Keeper,
    labels: Sequence[str] = (),
    activation: str | None = None,
    report: Report = quiet,
) -> list[Gathered]:
    """Load each file into the store; one that is no network is refused, and the others are loaded all the same.

    `labels` are what the networks are called (default: the files' stems, made printable); a network that is there
    already gets the new label and activation. Raises InputError for labels that cannot be used, StoreError if the
    store cannot be written.
    """
    if labels and len(labels) != len(files):
        raise InputError("label", list(labels), f"give one for each of the {len(files)} files")
    found = []
    for i, file in enumerate(files):
        name = check_name("label", labels[i]) if labels else printable(str(file))
        label = name if labels else clean_label(name)
        step = part(report, i / len(files), (i + 1) / len(files))
        step(0.0, f"reading {label}")
        found.append(gather(Path(file), name, label, store, activation))
        step(1.0, f"reading {label}")
    return found


def gather(source: Path | bytes, name: str, label: str, store: Keeper, activation: str | None) -> Gathered:
    """What becomes of one file, given as its path or its content; `name` is how a refusal calls it."""
    try:
        network = import_file(source, label, store, activation=activation)
    except InputError as error:
        return Gathered(
            name, refused=f"{name} cannot be used; {error.right}." if error.option == "load" else str(error)
        )
    except CheckFailed as error:
        return Gathered(name, refused=f"{name} cannot be used; {error}.")
    about = store.load_about(network.id)
    if about is None:
        return Gathered(name, refused=f"{name} was deleted while it was read; load it again.")
    config = {**about["config"], **network.shape}
    changes = {"label": label, "config": config, "loaded": list(network.report), "datasets": list(network.datasets)}
    store.update_about(network.id, changes)
    return Gathered(name, network)
