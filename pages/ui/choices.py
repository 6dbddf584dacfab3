"""What the picker offers and where its widgets start: both follow the data set, the architecture and the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from lmc.data import dataset_info, list_datasets
from lmc.experiments import Pair, Recipe, get_architecture, list_models, make_recipe
from pages.ui.loaded import About

FIELDS = {**Recipe.__dataclass_fields__, **Pair.__dataclass_fields__}
FIRST = ("digits", "mlp", "default")
"""Data set, architecture and recipe of an address that names none."""
BUILT_IN = ("digits", "moons", "spirals")
SHAPE = ("width", "depth", "norm", "activation")
_NUMBERS = (
    "width", "epochs", "batch_size", "warmup", "restarts", "match_seed", "match_images", "match_steps", "anneal_steps",
    "groups", "points", "eval_images", "reset_images",
)  # fmt: skip


def starts(dataset: str, arch: str, recipe: str, optimizer: str | None = None) -> dict[str, Any]:
    """Key → value of every widget when no more than this was chosen, in the type that its widget has."""
    architecture = get_architecture(arch)
    base = make_recipe(recipe, optimizer=optimizer)
    found: dict[str, Any] = {spec.name: spec.default for spec in fields(Pair)}
    found |= {name: getattr(architecture, f"default_{name}") for name in SHAPE}
    found |= {spec.name: getattr(base, spec.name) for spec in fields(Recipe)}
    found |= {"dataset": dataset, "arch": arch, "recipe": recipe}
    allowed = augmentations(dataset)
    if base.augment not in allowed:
        found["augment"] = allowed[-1]
    return {name: _shown(name, value) for name, value in found.items()}


def _shown(name: str, value: Any) -> Any:
    """`method` and `load` are lists in their widgets, other lists are texts."""
    if name in ("method", "load"):
        return list(value)
    if name in _NUMBERS:
        return value
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "0" if value == 0 else str(value)


def architectures(dataset: str) -> list[str]:
    """The architectures into which the data set can go."""
    shape = dataset_info(dataset).input_shape
    return [name for name in list_models() if get_architecture(name).refusal(shape) is None]


def augmentations(dataset: str) -> list[str]:
    """The kinds of augmentation that leave the meaning of the data alone."""
    return ["none", *dataset_info(dataset).augmentable]


def suggested_recipe(dataset: str, arch: str) -> str:
    """The recipe to begin with: large sets take ten epochs, and deep convolutional networks on them SGD."""
    if dataset in BUILT_IN:
        return "default"
    return "short_sgd" if arch in ("vgg", "resnet") else "short"


def datasets(known: Sequence[About], asked: Sequence[str]) -> list[str]:
    """The named data sets, and the folders of images that the address or a `known` network names."""
    named = [name for name in list_datasets() if _is_known(name)]
    seen = [*asked, *(str(about["config"].get("dataset")) for about in known)]
    folders = dict.fromkeys(name for name in seen if name.startswith("folder:") and _is_known(name))
    return [*named, *folders]


def _is_known(name: str) -> bool:
    try:
        return bool(dataset_info(name).input_shape)
    except ValueError:
        return False


def nearest_width(arch: str, width: float) -> int:
    """The width nearest to `width` that the architecture has."""
    architecture = get_architecture(arch)
    (low, high), step = architecture.widths, architecture.width_step
    return min(high, max(low, step * round(width / step)))
