"""The networks of an experiment as values: to be trained, or loaded from a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

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
class Network(Shape):
    """One network to train: the unit that is stored and shared between experiments."""

    revision: ClassVar[int] = 1

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

    @property
    def last_epoch(self) -> int:
        return self.recipe.epochs

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "recipe": self.recipe.to_json()}


@dataclass(frozen=True, kw_only=True)
class Loaded(Shape):
    """A network that came from a file: its id is the hash of its tensors, its only checkpoint is called epoch 0."""

    last_epoch: ClassVar[int] = 0

    id: str
    label: str
