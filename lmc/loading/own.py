"""The layouts of our own architectures: what a state dict of theirs says about the options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from lmc.loading.layout import Guess, State, count_of, has, norm_of
from models import get_architecture

_TITLE = "LMC Explorer's {}"
# Sides that are tried first where several fit: those of the known data sets.
_USUAL_SIDES = (28, 32, 8, 64, 16)


def guesses(state: State) -> Iterator[Guess]:
    """The architectures of ours whose telltale names are there."""
    for arch, telltale in _TELLTALES.items():
        if has(state, telltale):
            yield _OPTIONS[arch](state)


def _mlp(state: State) -> Guess:
    width, inputs = state["layers.0.weight"].shape
    norm = "batch" if "norms.0.running_mean" in state else "layer" if "norms.0.weight" in state else "none"
    return _guess("mlp", state, width, count_of(state, "layers.", ".weight"), norm, (inputs,))


def _cnn(state: State) -> Guess:
    width, channels = state["convs.0.weight"].shape[:2]
    depth, norm = count_of(state, "convs.", ".weight"), norm_of(state, "norms.0")
    units = state["hidden.weight"].shape[1]

    def fits(side: int) -> bool:
        for _ in range(depth):
            side = side // 2 if side >= 2 else side
        return units == side**2 * width * 2 ** (depth - 1)

    return _guess("cnn", state, width, depth, norm, (channels, *[_side(fits)] * 2))


def _vgg(state: State, arch: str) -> Guess:
    width, channels = state["convs.0.weight"].shape[:2]
    depth = count_of(state, "convs.", ".weight") + 3
    return _guess(arch, state, width, depth, norm_of(state, "norms.0"), (channels, 32, 32))


def _resnet(state: State) -> Guess:
    width, channels = state["stem.weight"].shape[:2]
    depth = 2 * count_of(state, "blocks.", ".conv1.weight") + 2
    return _guess("resnet", state, width, depth, norm_of(state, "stem_norm"), (channels, 32, 32))


def _vit(state: State) -> Guess:
    from models.vit import patch_size

    width, channels, patch, _ = state["patches.weight"].shape
    depth = count_of(state, "blocks.", ".query.weight")

    def fits(side: int) -> bool:
        return patch_size(side) == patch and (-(-side // patch)) ** 2 == state["positions"].shape[0]

    return _guess("vit", state, width, depth, "layer", (channels, *[_side(fits)] * 2))


def _side(fits: Callable[[int], bool]) -> int:
    """The first side of an image that fits, or a usual one so that the differences can be named."""
    return next((side for side in (*_USUAL_SIDES, *range(8, 257)) if fits(side)), _USUAL_SIDES[0])


def _guess(arch: str, state: State, width: int, depth: int, norm: str, shape: tuple[int, ...]) -> Guess:
    title = _TITLE.format(get_architecture(arch).title)
    classes = state["classifier.weight" if arch == "vgg_pool5" else "head.weight"].shape[0]
    return Guess(title=title, arch=arch, width=width, depth=depth, norm=norm, classes=classes, shape=shape)


_TELLTALES = {
    "mlp": {"layers.0.weight": 2, "head.weight": 2},
    "cnn": {"convs.0.weight": 4, "hidden.weight": 2, "head.weight": 2},
    "vgg": {"convs.0.weight": 4, "head.weight": 2},
    "vgg_pool5": {"convs.0.weight": 4, "classifier.weight": 2},
    "vgg_classifier": {"convs.0.weight": 4, "hidden.0.weight": 2, "head.weight": 2},
    "resnet": {"stem.weight": 4, "blocks.0.conv1.weight": 4, "head.weight": 2},
    "vit": {"patches.weight": 4, "positions": 2, "head.weight": 2},
}
_OPTIONS: dict[str, Callable[[State], Guess]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "vgg": partial(_vgg, arch="vgg"),
    "vgg_pool5": partial(_vgg, arch="vgg_pool5"),
    "vgg_classifier": partial(_vgg, arch="vgg_classifier"),
    "resnet": _resnet,
    "vit": _vit,
}
