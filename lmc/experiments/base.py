"""An experiment is a value: what determines a result, and nothing else."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lmc.data import DatasetInfo
from lmc.errors import InputError
from lmc.experiments.known import distinct, known_architecture, known_dataset
from lmc.experiments.networks import OPTIONS, Loaded, Network, content_id
from lmc.experiments.options import check_choice, check_name, check_number, option
from lmc.experiments.recipe import Recipe, make_recipe
from lmc.result import Piece, Result, Table
from lmc.seeds import seed_for
from models import Architecture, list_models

if TYPE_CHECKING:
    from lmc.experiments.work import Work

INSTANT = ("none", "random", "weight", "activation")
"""Methods that take moments for small networks."""

METHODS = (*INSTANT, "straight_through", "sinkhorn", "annealing")
WEIGHT_KERNELS = ("dot", "cosine")
WEIGHT_ORDERS = ("random", "forward", "backward")
ACTIVATION_KERNELS = ("pearson", "dot")
ACTIVATION_LAYERS = ("last", "all")
SINKHORN_LOSSES = ("midpoint", "l2", "random")
CORRECTIONS = ("reset", "repair")
DTYPES = ("float32", "float64")
MAX_SEED = 2**31 - 1
ID = re.compile(r"[0-9a-f]{16}")
SHAPE = ("dataset", *OPTIONS, "dtype")
WHOLE = (
    "restarts", "match_seed", "match_images", "match_steps", "anneal_steps", "points", "groups", "eval_images",
    "reset_images",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What every experiment shares: the networks and the matching. Validates itself; raises InputError.

    Width, depth and norm that are not given are the architecture's own. With `load`, ids of networks from files,
    nothing is trained: seeds and recipe do not matter and are set to their defaults.
    """

    name: ClassVar[str]
    revision: ClassVar[int]
    group_size: ClassVar[int]
    methods: ClassVar[tuple[str, ...]] = METHODS

    dataset: str = option("digits", "data set; `python -m lmc data` lists them")
    arch: str = option("mlp", "architecture")
    width: int = option(None, "units in each hidden layer; of vgg, resnet and cnn: channels of the first")
    depth: int = option(None, "number of hidden layers; of vgg and resnet the number in the name, such as 16 or 20")
    norm: str = option(None, "normalisation after each hidden layer")
    activation: str = option(None, "activation function")
    seeds: tuple[int, ...] = option((0, 1), "initialisation seeds", low=0, high=MAX_SEED)
    order_seeds: tuple[int, ...] = option(
        (), "data-order seeds, one a network (default: the seeds)", low=0, high=MAX_SEED
    )
    load: tuple[str, ...] = option((), "networks from files instead of seeds: files, or ids of networks in the store")
    labels: tuple[str, ...] = option((), "names of the loaded networks (default: the files')")
    recipe: Recipe = option("default", "named training recipe")
    method: tuple[str, ...] = option(
        ("none", "weight", "activation"), "matching methods; none is always in the result", choices=METHODS
    )
    restarts: int = option(1, "starts of weight matching; the best objective wins", low=1, high=1000)
    match_seed: int = option(0, "seed of the matching's random choices", low=0, high=MAX_SEED)
    weight_kernel: str = option(
        "dot",
        "similarity that weight matching maximises: dot, the inner product of all weights, or cosine, in which every "
        "tensor of a unit counts alike",
        choices=WEIGHT_KERNELS,
    )
    weight_order: str = option(
        "random", "order in which weight matching visits the layers: random, forward or backward", choices=WEIGHT_ORDERS
    )
    hold: tuple[str, ...] = option(
        (), "groups of units that keep their order under every method, called as in the table layers"
    )
    activation_kernel: str = option(
        "pearson", "similarity that activation matching maximises: pearson or dot", choices=ACTIVATION_KERNELS
    )
    activation_layers: str = option(
        "last",
        "values by which activation matching compares units: those after the last nonlinearity that carries them, or "
        "after all that do",
        choices=ACTIVATION_LAYERS,
    )
    match_images: int = option(
        10_000,
        "match on at most so many training images: a fixed draw with equal classes",
        low=10,
        high=10_000_000,
    )
    match_steps: int = option(300, "steps of straight_through and sinkhorn", low=1, high=100_000)
    anneal_steps: int = option(10_000, "swaps that annealing tries", low=1, high=1_000_000)
    sinkhorn_loss: str = option(
        "midpoint",
        "what sinkhorn minimises: the loss at the midpoint, that at random points between, or l2, the distance of the "
        "weights",
        choices=SINKHORN_LOSSES,
    )
    points: int = option(25, "points on the segment, both ends included", low=2, high=1001)
    groups: int = option(15, "at most this many groups of networks, by a seeded draw beyond that", low=1, high=1000)
    correction: str = option(
        "reset",
        "of the networks on a path: reset (BatchNorm statistics measured anew) or repair (also every unit's mean and "
        "deviation set between those of the ends; the path is no longer the straight line)",
        choices=CORRECTIONS,
    )
    eval_images: int = option(
        10_000,
        "measure on at most so many images a split: a fixed draw with equal classes",
        low=10,
        high=10_000_000,
    )
    reset_images: int = option(
        2_000, "training images that statistics of BatchNorm and REPAIR are taken on", low=2, high=1_000_000
    )
    dtype: str = option("float32", "numbers of networks and matching: float32 or float64", choices=DTYPES)

    def __post_init__(self) -> None:
        info = self._check_shape()
        if self.load:
            self._check_load()
        else:
            self._check_seeds()
        self._check_recipe(info)
        if not isinstance(self.method, Iterable):
            raise InputError("method", self.method, f"choose any of: {', '.join(self.methods)}")
        methods = (self.method,) if isinstance(self.method, str) else tuple(self.method)
        for method in methods:
            check_choice("method", method, self.methods)
        self._set("method", tuple(m for m in self.methods if m == "none" or m in methods))
        check_choice("weight_kernel", self.weight_kernel, WEIGHT_KERNELS)
        check_choice("weight_order", self.weight_order, WEIGHT_ORDERS)
        check_choice("activation_kernel", self.activation_kernel, ACTIVATION_KERNELS)
        check_choice("activation_layers", self.activation_layers, ACTIVATION_LAYERS)
        self._check_hold()
        check_choice("sinkhorn_loss", self.sinkhorn_loss, SINKHORN_LOSSES)
        check_choice("dtype", self.dtype, DTYPES)
        check_choice("correction", self.correction, CORRECTIONS)
        for name in WHOLE:
            self._check_whole(name)

    def _check_hold(self) -> None:
        """Whether they are names; which groups there are is known when the architecture has been traced."""
        if not isinstance(self.hold, Iterable):
            raise InputError("hold", self.hold, "a list of names would be right")
        names = (self.hold,) if isinstance(self.hold, str) else tuple(str(name) for name in self.hold)
        self._set("hold", tuple(sorted({check_name("hold", name) for name in names})))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_whole(self, name: str, limits: tuple[int, int] | None = None) -> None:
        metadata = {"low": limits[0], "high": limits[1]} if limits else self.__dataclass_fields__[name].metadata
        self._set(name, check_number(name, getattr(self, name), metadata, whole=True))

    def _check_shape(self) -> DatasetInfo:
        """Data set and architecture, and whether they go together."""
        info = known_dataset(self.dataset)
        if not self.load:  # some can be loaded only
            check_choice("arch", self.arch, list_models())
        architecture = known_architecture(self.arch)
        if refused := architecture.refusal(info.input_shape):
            raise InputError("arch", self.arch, refused)
        for name in ("width", "depth", "norm", "activation"):
            if getattr(self, name) is None:
                self._set(name, getattr(architecture, f"default_{name}"))
        self._check_units(architecture)
        check_choice("norm", self.norm, architecture.norms)
        check_choice("activation", self.activation, architecture.activations)
        return info

    def _check_units(self, architecture: Architecture) -> None:
        self._check_whole("width", architecture.widths)
        if self.width % architecture.width_step:
            raise InputError("width", self.width, f"{self.arch} needs a multiple of {architecture.width_step}")
        self._check_whole("depth", architecture.depths)
        if self.depth not in architecture.depth_choices:
            depths = ", ".join(map(str, architecture.depth_choices))
            raise InputError("depth", self.depth, f"{self.arch} has depth {depths}")

    def _check_recipe(self, info: DatasetInfo) -> None:
        recipe: object = "default" if self.load else self.recipe
        if isinstance(recipe, str):
            self._set("recipe", make_recipe(recipe))
        elif isinstance(recipe, dict):
            named: dict[str, Any] = {
                str(key): tuple(value) if isinstance(value, list) else value for key, value in recipe.items()
            }
            self._set("recipe", make_recipe(**named))
        elif not isinstance(recipe, Recipe):
            raise InputError("recipe", recipe, "the name of a recipe or a Recipe would be right")
        if self.load:
            return
        if self.recipe.batch_size > info.train_images:
            right = f"at most the {info.train_images} training images of {self.dataset}"
            raise InputError("batch_size", self.recipe.batch_size, right)
        if self.norm == "batch" and self.recipe.batch_size < 2:
            raise InputError("batch_size", self.recipe.batch_size, "norm batch needs at least 2 images a step")
        if self.recipe.augment != "none" and self.recipe.augment not in info.augmentable:
            kinds = ", ".join(("none", *info.augmentable))
            right = f"it would change what a picture of {self.dataset} shows; choose one of: {kinds}"
            raise InputError("augment", self.recipe.augment, right)

    def _check_load(self) -> None:
        for name in ("load", "labels"):
            values = getattr(self, name)
            if not isinstance(values, Iterable) or isinstance(values, str):
                raise InputError(name, values, "a list would be right")
            self._set(name, tuple(str(value) for value in values))
        for id in self.load:
            if not ID.fullmatch(id):
                raise InputError("load", id, "the id of a network in the store would be right: 16 hexadecimal digits")
        if len(self.load) < self.group_size:
            raise InputError("load", self.load, f"{self.name} needs at least {self.group_size} networks")
        if len(set(self.load)) < len(self.load):
            raise InputError("load", self.load, "two of these networks are the same; use different ones")
        labels = self.labels or self.load
        if len(labels) != len(self.load):
            raise InputError("labels", self.labels, f"give one for each of the {len(self.load)} networks")
        for label in labels:
            check_name("labels", label)
        self._set("labels", distinct(labels))
        self._set("seeds", ())
        self._set("order_seeds", ())

    def _check_seeds(self) -> None:
        for name in ("seeds", "order_seeds"):
            values = getattr(self, name)
            if not isinstance(values, Iterable) or isinstance(values, str):
                raise InputError(name, values, "a list of whole numbers would be right")
            limits = self.__dataclass_fields__[name].metadata
            self._set(name, tuple(check_number(name, v, limits, whole=True) for v in values))
        self._set("load", ())
        self._set("labels", ())
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
        content = self.to_json()
        del content["labels"]  # the names of files change no number
        return content_id(self.name, self.revision, content)

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

    def networks(self) -> tuple[Network | Loaded, ...]:
        """The networks, in the order of the seeds or files."""
        shape = {name: getattr(self, name) for name in SHAPE}
        if self.load:
            return tuple(Loaded(id=id, label=label, **shape) for id, label in zip(self.load, self.labels, strict=True))
        named = self._named()
        return tuple(Network(seed=seed, order_seed=order, recipe=self.recipe, **shape) for seed, order in named)

    def members(self) -> list[tuple[int, ...]]:
        """The groups, as places in `networks()`: all that can be drawn, or a seeded draw of `groups` of them."""
        every = list(itertools.combinations(range(len(self.load or self.seeds)), self.group_size))
        if len(every) <= self.groups:
            return every
        names: Iterable[int | str] = self.load or itertools.chain.from_iterable(self._named())
        chosen = random.Random(seed_for("groups", *names)).sample(range(len(every)), self.groups)
        return [every[i] for i in sorted(chosen)]

    # Some experiments are made of others, each with a result of its own; they have nothing to run themselves.

    def children(self) -> list[Experiment]:
        """The experiments that this one is made of; most have none."""
        return []

    def turns(self) -> list[int]:
        """The places of the children in the order in which they are begun."""
        return list(range(len(self.children())))

    def gathered(self, results: Sequence[Result]) -> dict[str, Table]:
        """The tables, from the results of all children or of those that are done."""
        raise NotImplementedError

    def headlines(self, tables: dict[str, Table]) -> dict[str, float]:
        """The headline numbers of the tables of all children."""
        raise NotImplementedError

    def joined(self, results: Sequence[Result], seconds: float) -> Result:
        """The result, from those of all children in their order."""
        tables = self.gathered(results)
        check = "check.max_logit_difference"
        return Result(
            experiment=self.name,
            id=self.id,
            config=self.to_json(),
            metrics={**self.headlines(tables), check: max(result.metrics[check] for result in results)},
            tables=tables,
            networks=list(dict.fromkeys(id for result in results for id in result.networks)),
            seconds=round(seconds, 3),
            made_with=results[0].made_with,
        )

    # Running: networks are trained first, then the parts can be computed in any order and anywhere.

    def used(self) -> list[Network | Loaded]:
        """The networks that are in some group."""
        places = sorted({place for group in self.members() for place in group})
        networks = self.networks()
        return [networks[place] for place in places]

    def reads(self, part: tuple[int, ...]) -> list[tuple[Network | Loaded, tuple[int, ...]]]:
        """The networks that a part looks at, each with the epochs at which it does."""
        networks = self.networks()
        return [(networks[place], (networks[place].last_epoch,)) for place in part]

    def looked_at(self) -> dict[Network | Loaded, tuple[int, ...]]:
        """The networks that parts look at, each with all epochs at which some part does, in their order."""
        found: dict[Network | Loaded, set[int]] = {}
        for part in self.parts():
            for network, epochs in self.reads(part):
                found.setdefault(network, set()).update(epochs)
        return {network: tuple(sorted(epochs)) for network, epochs in found.items()}

    def wanted(self) -> list[tuple[Network, tuple[int, ...]]]:
        """The networks that have to be trained, each with all epochs at which some part looks at it."""
        return [(network, epochs) for network, epochs in self.looked_at().items() if isinstance(network, Network)]

    @property
    def training_share(self) -> float:
        """The share of the work that is training, as far as progress tells."""
        return 0.8 if self.wanted() else 0.1

    def parts(self) -> list[tuple[int, ...]]:
        """The independent parts, as places in `networks()`."""
        return self.members()

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """Compute one part. Reports progress; may raise Stopped or InputError."""
        raise NotImplementedError

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        """The tables of the parts that are done, in the order of the parts."""
        raise NotImplementedError

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        """The headline numbers, of all parts."""
        raise NotImplementedError

    def merged(self, pieces: Sequence[Piece], seconds: float) -> Result:
        """The result, from the pieces of all parts in their order."""
        return Result(
            experiment=self.name,
            id=self.id,
            config=self.to_json(),
            metrics={**self.metrics(pieces), "check.max_logit_difference": max(piece.check for piece in pieces)},
            tables=self.tables(pieces),
            arrays={name: array for piece in pieces for name, array in piece.arrays.items()},
            networks=[network.id for network in self.used()],
            seconds=round(seconds, 3),
            made_with=pieces[0].made_with,
        )
