"""Files named in options become values: a folder of images its fingerprint, a checkpoint a network of the store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmc.data import DatasetInfo, dataset_info, list_datasets, resolve
from lmc.errors import InputError
from lmc.experiments.base import ID
from lmc.experiments.known import known_dataset
from lmc.experiments.networks import OPTIONS, Loaded
from lmc.experiments.options import MAX_NAME, check_choice
from lmc.experiments.recipe import RECIPE_FIELDS
from lmc.shelf import Keeper
from lmc.store import digest
from models import get_architecture

if TYPE_CHECKING:
    from lmc.experiments.work import Report
    from lmc.loading import Recognised

Words = dict[str, Sequence[str]]
CHECK_INPUTS = 8  # images


@dataclass(frozen=True)
class Imported:
    """A network that was read from a file and now lies in the store.

    `shape` holds arch, width, depth, norm and activation; `report` is what was recognised and ignored, in sentences;
    `datasets` are those whose inputs and classes it takes.
    """

    id: str
    label: str
    shape: dict[str, Any]
    report: tuple[str, ...]
    datasets: tuple[str, ...]


def with_files(words: Mapping[str, Sequence[str]], store: Keeper, data_dir: str | None, report: Report) -> Words:
    """The words of a config with `--dataset folder` and the files of `--load` replaced by what they hold.

    Raises InputError for a folder or file that cannot be used, and for a shape given that the files contradict.
    """
    out: Words = dict(words)
    if list(out.get("dataset", ())) == ["folder"] and data_dir is not None:
        out["dataset"] = [resolve("folder", data_dir, report=report)]
    if not out.get("load"):
        if "labels" in out:
            raise InputError("labels", " ".join(out["labels"]), "only loaded networks have them; use them with --load")
        return out
    for name in ("seeds", "order_seeds", "recipe", *RECIPE_FIELDS):
        if name in out:
            raise InputError(name, " ".join(out[name]), "loaded networks are not trained; leave it out")
    dataset = (out.get("dataset") or ["digits"])[0]
    known_dataset(dataset)
    activation = next(iter(out.get("activation", ())), None)
    networks = [_network(word, store, dataset, activation) for word in out["load"]]
    out["load"] = [network.id for network in networks]
    out.setdefault("labels", [network.label for network in networks])
    for name in OPTIONS:
        values = list(dict.fromkeys(str(network.shape[name]) for network in networks))
        if len(values) > 1:
            right = f"networks of one shape are needed, and their {name} differs: {', '.join(values)}"
            raise InputError("load", " ".join(map(str, words["load"])), right)
        if name in out and list(out[name]) != values:
            raise InputError(name, " ".join(out[name]), f"the loaded networks have {values[0]}; leave it out")
        out[name] = values
    return out


def _network(word: str, store: Keeper, dataset: str, activation: str | None) -> Imported:
    """The network of a file or an id, with the activation function that was asked for."""
    found = stored(word, store) if ID.fullmatch(word) else import_file(word, clean_label(word), store, dataset)
    if activation is not None:
        check_choice("activation", activation, get_architecture(found.shape["arch"]).activations)
        found = replace(found, shape={**found.shape, "activation": activation})
    return found


def clean_label(name: str) -> str:
    """A label from the name of a file: its stem, printable, of 1 to 80 characters, without `|` or a leading `-`.

    >>> clean_label("../nets/my|net.safetensors")
    'my net'
    """
    last = re.split(r"[/\\]", name)[-1]
    stem = last.rsplit(".", 1)[0] if last.rsplit(".", 1)[0].strip(". ") else last
    return printable(stem.replace("|", " ")).lstrip("- ")[:MAX_NAME].strip() or "network"


def printable(text: str) -> str:
    """The text in one line: everything that cannot be printed, line ends among them, becomes a space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def import_file(
    source: str | Path | bytes, label: str, store: Keeper, dataset: str | None = None, activation: str | None = None
) -> Imported:
    """Read a checkpoint, recognise and check it, and keep it in the store under the hash of its tensors.

    `dataset` is what it is to be used on, if that is known; `activation` is its activation function, which tensors do
    not show (default: what the file's header says, else the architecture's usual one). Raises InputError for a file
    that is no network, or none for that data set.
    """
    from lmc.loading import content_of, read_file, read_metadata, recognise

    name = source if isinstance(source, str) else label
    content = content_of(source, name)
    said = activation or read_metadata(content, name).get("activation")
    found = recognise(read_file(content, name), name, activation=said)
    del content
    if dataset is not None:
        info = dataset_info(dataset)
        found.check_inputs(info.input_shape, len(info.classes))
    report = (f"Recognised as {_spelled(found)}, in the layout of {found.format}", *_remarks(found), _function(found))
    arrays = {name: tensor.numpy() for name, tensor in found.state.items()}
    id = digest(arrays)[:16]
    shape = {name: getattr(found, name) for name in OPTIONS}
    datasets = tuple(name for name in list_datasets() if _takes(found, dataset_info(name)))
    about = {
        "id": id,
        "label": label,
        "config": {**shape, "input_shape": list(found.input_shape), "classes": found.classes},
        "loaded": list(report),
        "datasets": list(datasets),
        "curves": [],
        "made_with": {},
    }
    store.save_network(id, about, {Loaded.last_epoch: arrays})
    return Imported(id, label, shape, report, datasets)


def stored(id: str, store: Keeper) -> Imported:
    """The loaded network `id` of the store. Raises InputError if there is none."""
    about = store.load_about(id)
    if about is None or "loaded" not in about:
        raise InputError("load", id, "a file, or the id of a network that was loaded into this store, would be right")
    shape = {name: about["config"][name] for name in OPTIONS}
    return Imported(id, about["label"], shape, tuple(about["loaded"]), tuple(about["datasets"]))


def _takes(found: Recognised, info: DatasetInfo) -> bool:
    try:
        found.check_inputs(info.input_shape, len(info.classes))
    except InputError:
        return False
    return True


def _spelled(found: Recognised) -> str:
    architecture = get_architecture(found.arch)
    return f"{architecture.title}, width {found.width}, depth {found.depth}, norm {found.norm}"


def _remarks(found: Recognised) -> tuple[str, ...]:
    ignored = (f"Ignored: {', '.join(found.ignored)}",) if found.ignored else ()
    return (*(note[0].upper() + note[1:] for note in found.notes), *ignored)


def _function(found: Recognised) -> str:
    """Permute all hidden units at random and say that the function stayed; SymmetryError if it did not."""
    import torch

    from lmc.experiments.work import require_preserved
    from lmc.permutation import random_permutation
    from lmc.seeds import generator
    from lmc.symmetry import max_logit_difference, trace

    model = get_architecture(found.arch).build(
        input_shape=found.input_shape,
        classes=found.classes,
        width=found.width,
        depth=found.depth,
        norm=found.norm,
        activation=found.activation,
    )
    model.load_state_dict(found.state)
    inputs = torch.randn(CHECK_INPUTS, *found.input_shape, generator=generator("function check"))
    traced = trace(model, inputs[:2])
    permutation = random_permutation(traced.spec, generator("function check permutation"))
    difference = max_logit_difference(model, traced.spec, permutation, inputs=inputs)
    require_preserved(difference, f"a permutation of {found.name}")
    units = sum(traced.spec.groups.values())
    return f"Function check: {units:,} hidden units in random order change no logit by more than {difference:.0e}"
