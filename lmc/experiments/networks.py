"""The networks of an experiment as values: to be trained, or loaded from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

from lmc.experiments.recipe import Recipe

OPTIONS = ("arch", "width", "depth", "norm", "activation")  # what tells architectures apart


def content_id(kind: str, revision: int, content: dict[str, Any]) -> str:
    """16 hex digits of the SHA-256 of what determines a result."""
    text = json.dumps([kind, revision, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What all networks of one experiment share: they can be permuted and mixed."""

    dataset: str
    arch: str
    width: int
    depth: int
    norm: str
    activation: str
    dtype: str


@dataclass(frozen=True, kw_only=True)
class PruningPlan:
    """How a network is pruned, level after level: each prunes `share` of the weights that remain in the network of
    the level before, and trains again from the dense one's weights after epoch `rewind`. `last_layer` is keep or prune.
    """

    share: float
    rewind: int
    last_layer: str


@dataclass(frozen=True, kw_only=True)
class Network(Shape):
    """One network to train: the unit that is stored and shared between experiments.

    `twin` is the seed of a random order that the units of its first weights are put in; after epoch `fork[0]` it sees
    the data in the order of seed `fork[1]`. The checkpoints of one with `pruning` are levels in place of epochs.
    """

    revision: ClassVar[int] = 1

    seed: int
    order_seed: int
    recipe: Recipe
    twin: int | None = None
    fork: tuple[int, int] | None = None
    pruning: PruningPlan | None = None

    @property
    def id(self) -> str:
        return content_id("network", self.revision, self.to_json())

    @property
    def label(self) -> str:
        """The seed, or `seed/order` where they differ; π(…) for a twin, and the fork's order behind its epoch."""
        name = str(self.seed) if self.seed == self.order_seed else f"{self.seed}/{self.order_seed}"
        name = f"{name}@{self.fork[0]}/{self.fork[1]}" if self.fork else name
        return name if self.twin is None else f"π({name})"

    @property
    def family(self) -> tuple[Any, ...]:
        """All but the seeds: networks of one family can be trained in one stack."""
        shape = (self.dataset, self.arch, self.width, self.depth, self.norm, self.activation, self.dtype)
        return (*shape, self.recipe, self.pruning)

    @property
    def last_epoch(self) -> int:
        return self.recipe.epochs

    @property
    def dense(self) -> Self:
        """The same network before it is pruned."""
        return replace(self, pruning=None)

    def stages(self, checkpoints: Sequence[int]) -> list[tuple[int, ...]]:
        """The checkpoints in groups that are trained one after another: a pruned network goes level by level."""
        return [(level,) for level in sorted(checkpoints)] if self.pruning else [tuple(checkpoints)]

    def needs(self, checkpoints: Sequence[int]) -> list[tuple[Self, tuple[int, ...]]]:
        """What has to be trained before a stage: networks with checkpoints."""
        if self.pruning is None:
            return []
        before = min(checkpoints) - 1
        start = (self.dense, tuple(sorted({self.pruning.rewind, self.last_epoch})))
        return [start, (self, (before,))] if before else [start]

    def to_json(self) -> dict[str, Any]:
        content = {**asdict(self), "recipe": self.recipe.to_json()}
        return {name: value for name, value in content.items() if value is not None or name not in _VARIANTS}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The network that `to_json` described."""
        recipe: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content["recipe"].items()}
        found = {**content, "recipe": Recipe(**recipe)}
        if content.get("pruning"):
            found["pruning"] = PruningPlan(**content["pruning"])
        if content.get("fork"):
            found["fork"] = tuple(content["fork"])
        return cls(**found)


_VARIANTS = ("twin", "fork", "pruning")  # spelled where there is one


@dataclass(frozen=True, kw_only=True)
class Loaded(Shape):
    """A network that came from a file: its id is the hash of its tensors, its only checkpoint is called epoch 0."""

    last_epoch: ClassVar[int] = 0

    id: str
    label: str
