"""An experiment is a value: what determines a result, and nothing else."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from lmc.data import dataset_info, list_datasets
from lmc.errors import InputError
from lmc.experiments.options import check_choice, check_number, option
from lmc.experiments.recipe import Recipe, make_recipe
from lmc.seeds import seed_for
from models import get_architecture, list_models

METHODS = ("none", "random", "weight", "activation")
DTYPES = ("float32", "float64")
MAX_SEED = 2**31 - 1


def content_id(kind: str, revision: int, content: dict[str, Any]) -> str:
    """16 hex digits of the SHA-256 of what determines a result."""
    text = json.dumps([kind, revision, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network to train: the unit that is stored and shared between experiments."""

    revision: ClassVar[int] = 1

    dataset: str
    arch: str
    width: int
    depth: int
    norm: str
    activation: str
    dtype: str
    seed: int
    order_seed: int
    recipe: Recipe

    @property
    def id(self) -> str:
        return content_id("network", self.revision, self.to_json())

    @property
    def label(self) -> str:
        """The seed, or `seed/order` where they differ."""
        return str(self.seed) if self.seed == self.order_seed else f"{self.seed}/{self.order_seed}"

    @property
    def family(self) -> tuple[Any, ...]:
        """All but the seeds: networks of one family can be trained in one stack."""
        return (self.dataset, self.arch, self.width, self.depth, self.norm, self.activation, self.dtype, self.recipe)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "recipe": self.recipe.to_json()}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What every experiment shares: the networks and the matching. Validates itself; raises InputError."""

    name: ClassVar[str]
    revision: ClassVar[int]
    group_size: ClassVar[int]

    dataset: str = option("digits", "data set; `python -m lmc data` lists them")
    arch: str = option("mlp", "architecture")
    width: int = option(32, "units in each hidden layer")
    depth: int = option(3, "number of hidden layers")
    norm: str = option("none", "normalisation after each hidden layer")
    activation: str = option("relu", "activation function")
    seeds: tuple[int, ...] = option((0, 1), "initialisation seeds", low=0, high=MAX_SEED)
    order_seeds: tuple[int, ...] = option(
        (), "data-order seeds, one a network (default: the seeds)", low=0, high=MAX_SEED
    )
    recipe: Recipe = option("default", "named training recipe")
    method: tuple[str, ...] = option(
        ("none", "weight", "activation"), "matching methods; none is always in the result", choices=METHODS
    )
    restarts: int = option(1, "starts of weight matching; the best objective wins", low=1, high=1000)
    match_seed: int = option(0, "seed of the matching's random choices", low=0, high=MAX_SEED)
    activation_kernel: str = option(
        "pearson", "similarity that activation matching maximises: pearson or dot", choices=("pearson", "dot")
    )
    points: int = option(25, "points on the segment, both ends included", low=2, high=1001)
    groups: int = option(15, "at most this many groups of networks, by a seeded draw beyond that", low=1, high=1000)
    dtype: str = option("float32", "numbers of networks and matching: float32 or float64", choices=DTYPES)

    def __post_init__(self) -> None:
        self._check_networks()
        self._check_seeds()
        methods = (self.method,) if isinstance(self.method, str) else tuple(self.method)
        for method in methods:
            check_choice("method", method, METHODS)
        self._set("method", tuple(m for m in METHODS if m == "none" or m in methods))
        check_choice("activation_kernel", self.activation_kernel, ("pearson", "dot"))
        check_choice("dtype", self.dtype, DTYPES)
        for name in ("restarts", "match_seed", "points", "groups"):
            self._check_whole(name)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_whole(self, name: str, limits: tuple[int, int] | None = None) -> None:
        metadata = {"low": limits[0], "high": limits[1]} if limits else self.__dataclass_fields__[name].metadata
        self._set(name, check_number(name, getattr(self, name), metadata, whole=True))

    def _check_networks(self) -> None:
        check_choice("dataset", self.dataset, list_datasets())
        check_choice("arch", self.arch, list_models())
        architecture = get_architecture(self.arch)
        self._check_whole("width", architecture.widths)
        self._check_whole("depth", architecture.depths)
        check_choice("norm", self.norm, architecture.norms)
        check_choice("activation", self.activation, architecture.activations)
        recipe: object = self.recipe
        if isinstance(recipe, str):
            self._set("recipe", make_recipe(recipe))
        elif isinstance(recipe, dict):
            named: dict[str, Any] = {k: tuple(v) if k == "milestones" else v for k, v in recipe.items()}
            self._set("recipe", make_recipe(**named))
        elif not isinstance(recipe, Recipe):
            raise InputError("recipe", recipe, "the name of a recipe or a Recipe would be right")
        images = dataset_info(self.dataset).train_images
        if self.recipe.batch_size > images:
            raise InputError(
                "batch_size", self.recipe.batch_size, f"at most the {images} training images of {self.dataset}"
            )

    def _check_seeds(self) -> None:
        for name in ("seeds", "order_seeds"):
            values = getattr(self, name)
            if not isinstance(values, Iterable) or isinstance(values, str):
                raise InputError(name, values, "a list of whole numbers would be right")
            limits = self.__dataclass_fields__[name].metadata
            self._set(name, tuple(check_number(name, v, limits, whole=True) for v in values))
        if len(self.seeds) < self.group_size:
            raise InputError("seeds", self.seeds, f"{self.name} needs at least {self.group_size} networks")
        if self.order_seeds and len(self.order_seeds) != len(self.seeds):
            raise InputError("order_seeds", self.order_seeds, f"give one for each of the {len(self.seeds)} seeds")
        if self.order_seeds == self.seeds:
            self._set("order_seeds", ())
        named = self._named()
        if len(set(named)) < len(named):
            right = "two networks would be the same; use different seeds, or different order seeds for equal seeds"
            raise InputError("seeds", self.seeds, right)

    def _named(self) -> list[tuple[int, int]]:
        """The initialisation and data-order seed of each network."""
        return list(zip(self.seeds, self.order_seeds or self.seeds, strict=True))

    @property
    def id(self) -> str:
        return content_id(self.name, self.revision, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `from_json` makes an equal value; the recipe is spelled out."""
        out = asdict(self)
        out = {key: list(value) if isinstance(value, tuple) else value for key, value in out.items()}
        return {**out, "order_seeds": list(self.order_seeds or self.seeds), "recipe": self.recipe.to_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The value that `to_json` described; raises InputError for an unknown field or a bad value."""
        names = {spec.name for spec in fields(cls)}
        for key in content:
            if key not in names:
                raise InputError(key, content[key], f"the fields of {cls.name} are {', '.join(sorted(names))}")
        return cls(**content)

    def networks(self) -> tuple[Network, ...]:
        """The networks, in the order of the seeds."""
        shared = {
            n: getattr(self, n) for n in ("dataset", "arch", "width", "depth", "norm", "activation", "dtype", "recipe")
        }
        return tuple(Network(seed=seed, order_seed=order, **shared) for seed, order in self._named())

    def members(self) -> list[tuple[int, ...]]:
        """The groups, as places in `networks()`: all that can be drawn, or a seeded draw of `groups` of them."""
        every = list(itertools.combinations(range(len(self.seeds)), self.group_size))
        if len(every) <= self.groups:
            return every
        seed = seed_for("groups", *itertools.chain(*self._named()))
        chosen = random.Random(seed).sample(range(len(every)), self.groups)
        return [every[i] for i in sorted(chosen)]
