"""How a network's state dict is laid out in some code base, and how far a given one fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from models import get_architecture, get_model

State = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The network that a state dict would be, if it has a certain layout.

    Attributes:
        title: the layout, as it is shown.
        arch: the architecture; width, depth, norm and classes as in `models.get_model`.
        shape: an input shape that fits, `(numbers,)` or `(channels, height, width)`.
        theirs: from a name in our state dict to the one in theirs.
        biases: their name of a bias before BatchNorm → our name of the running mean that takes it in.
        notes: what a user should know.
    """

    title: str
    arch: str
    width: int
    depth: int
    norm: str
    classes: int
    shape: tuple[int, ...]
    theirs: Callable[[str], str] = str
    biases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def problem(self) -> str | None:
        """Why the architecture has no such network, as the rest of a sentence; None if it has."""
        entry = get_architecture(self.arch)
        low, high = entry.widths
        if not low <= self.width <= high or self.width % entry.width_step:
            step = f" in steps of {entry.width_step}" if entry.width_step > 1 else ""
            return f"its width would be {self.width}, and {self.arch} has widths from {low} to {high}{step}"
        if self.depth not in entry.depth_choices:
            right = ", ".join(map(str, entry.depth_choices))
            return f"its depth would be {self.depth}, and {self.arch} has the depths {right}"
        if self.norm not in entry.norms:
            return f"its norm would be {self.norm}, and {self.arch} has {', '.join(entry.norms)}"
        return entry.refusal(self.shape)

    def shapes(self) -> Shapes:
        """What the state dict of our architecture holds."""
        return expected_shapes(self.arch, self.shape, self.classes, self.width, self.depth, self.norm)


@dataclass(frozen=True)
class Fit:
    """How a state dict fits a guess: `differences` in words, and `share` of the names that are right."""

    guess: Guess
    differences: tuple[str, ...]
    share: float


@lru_cache(maxsize=64)
def expected_shapes(arch: str, input_shape: tuple[int, ...], classes: int, width: int, depth: int, norm: str) -> Shapes:
    """Name → shape of an architecture's state dict, without making its numbers."""
    with torch.device("meta"):
        model = get_model(arch, input_shape=input_shape, classes=classes, width=width, depth=depth, norm=norm)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def compare(state: State, guess: Guess) -> Fit:
    """Every name and shape against what the guess asks for; counts of batches may be missing."""
    problem = guess.problem()
    if problem:
        return Fit(guess, (problem,), 0.0)
    shapes = guess.shapes()
    wanted = {guess.theirs(ours): shape for ours, shape in shapes.items()}
    differences = [
        f"{name} is {spelled(state[name].shape)} instead of {spelled(shape)}" if name in state else f"{name} is missing"
        for name, shape in wanted.items()
        if not _is_right(state, name, shape)
    ]
    right = len(wanted) - len(differences)
    for bias, mean in guess.biases.items():
        if bias in state and tuple(state[bias].shape) != shapes[mean]:
            differences.append(f"{bias} is {spelled(state[bias].shape)} instead of {spelled(shapes[mean])}")
    extra = [name for name in state if name not in wanted and name not in guess.biases]
    differences += [f"{name} ({spelled(state[name].shape)}) has no place in it" for name in extra]
    return Fit(guess, tuple(differences), right / (len(wanted) + len(extra)))


def _is_right(state: State, name: str, shape: tuple[int, ...]) -> bool:
    return tuple(state[name].shape) == shape if name in state else is_count(name)


def converted(state: State, guess: Guess) -> dict[str, Tensor]:
    """The same network under our names.

    A bias before BatchNorm goes into the running mean: norm(x + b) with mean m is norm(x) with mean m - b.
    """
    ours = {
        name: state[guess.theirs(name)] if guess.theirs(name) in state else torch.zeros(shape, dtype=torch.int64)
        for name, shape in guess.shapes().items()
    }
    for bias, mean in guess.biases.items():
        if bias in state:
            ours[mean] = ours[mean] - state[bias]
    return ours


def is_count(name: str) -> bool:
    """Whether it is BatchNorm's number of batches, which evaluation does not use and old files lack."""
    return name.endswith("num_batches_tracked")


def has(state: State, axes: Mapping[str, int]) -> bool:
    """Whether the tensors named are there, each with so many axes."""
    return all(name in state and state[name].ndim == count for name, count in axes.items())


def count_of(state: State, prefix: str, suffix: str) -> int:
    """How many of `prefix0suffix`, `prefix1suffix`, … there are, without a gap."""
    number = 0
    while f"{prefix}{number}{suffix}" in state:
        number += 1
    return number


def norm_of(state: State, prefix: str) -> str:
    """The norm whose tensors begin with `prefix` in our image networks."""
    if f"{prefix}.running_mean" in state:
        return "batch"
    if f"{prefix}.layer.weight" in state:
        return "layer"
    return "group" if f"{prefix}.weight" in state else "none"


def spelled(shape: tuple[int, ...]) -> str:
    """A shape in words."""
    return "x".join(map(str, shape)) or "a single number"
