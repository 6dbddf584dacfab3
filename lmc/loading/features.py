"""The layout of VGG in torchvision and its many relatives: `features.N` and `classifier`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from lmc.loading.layout import Guess, State, has
from models.vgg import CONVOLUTIONS

_CONVOLUTION = re.compile(r"features\.\d+\.weight")
# Where the linear layers are, by our name: torchvision's three with activation and dropout between, or one alone.
_THREE = {"hidden.0": "classifier.0", "hidden.1": "classifier.3", "head": "classifier.6"}
_ONE = ({"classifier": "classifier"}, {"classifier": "classifier.0"})


def guesses(state: State) -> Iterator[Guess]:
    """A VGG with three linear layers or with one, if the telltale names are there."""
    if not has(state, {"features.0.weight": 4}):
        return
    if has(state, {"classifier.0.weight": 2, "classifier.3.weight": 2, "classifier.6.weight": 2}):
        yield _guess(state, "torchvision's VGG", "vgg_classifier", _THREE)
        return
    for linear in _ONE:
        if has(state, {f"{linear['classifier']}.weight": 2}):
            yield _guess(state, "VGG with features and one linear classifier", "vgg_pool5", linear)


def convolutions_at(depth: int, step: int) -> list[int]:
    """Places of the convolutions in a sequence where each takes `step` places and each stage's pooling one.

    Empty for a depth that VGG does not have.
    """
    places, place = [], 0
    for convolutions in CONVOLUTIONS.get(depth, ()):
        places += [place + step * k for k in range(convolutions)]
        place += step * convolutions + 1
    return places


def _guess(state: State, title: str, arch: str, linear: Mapping[str, str]) -> Guess:
    width, channels = state["features.0.weight"].shape[:2]
    norm = "batch" if "features.1.running_mean" in state else "none"
    depth = sum(bool(_CONVOLUTION.fullmatch(name)) and state[name].ndim == 4 for name in state) + 3
    at = convolutions_at(depth, step=3 if norm == "batch" else 2)

    def theirs(ours: str) -> str:
        module, _, end = ours.rpartition(".")
        if module in linear:
            return f"{linear[module]}.{end}"
        kind, number = module.split(".")
        return f"features.{at[int(number)] + (kind == 'norms')}.{end}"

    biases = {f"features.{place}.bias": f"norms.{k}.running_mean" for k, place in enumerate(at)}
    return Guess(
        title=title,
        arch=arch,
        width=width,
        depth=depth,
        norm=norm,
        classes=state[f"{list(linear.values())[-1]}.weight"].shape[0],
        shape=(channels, 32, 32),
        theirs=theirs,
        biases=biases if norm == "batch" else {},
        notes=("a pooling after the last stage is assumed, as the names are torchvision's",),
    )
