"""The layouts of open_lth, the code base of the lottery-ticket papers: its CIFAR ResNet and VGG."""

from __future__ import annotations

from collections.abc import Iterator

from lmc.loading.features import convolutions_at
from lmc.loading.layout import Guess, State, count_of, has

_RESNET = {"conv.weight": 4, "bn.weight": 1, "blocks.0.conv1.weight": 4, "fc.weight": 2}
_VGG = {"layers.0.conv.weight": 4, "layers.0.bn.weight": 1, "fc.weight": 2}

_OUTER = {"stem": "conv", "stem_norm": "bn", "head": "fc"}
_INNER = {"norm1": "bn1", "norm2": "bn2", "shortcut": "shortcut.0", "shortcut_norm": "shortcut.1"}


def guesses(state: State) -> Iterator[Guess]:
    """Its ResNet or its VGG, if the telltale names are there."""
    if has(state, _RESNET):
        yield _resnet(state)
    if has(state, _VGG):
        yield _vgg(state)


def _resnet(state: State) -> Guess:
    width, channels = state["conv.weight"].shape[:2]
    return Guess(
        title="open_lth's ResNet",
        arch="resnet",
        width=width,
        depth=2 * count_of(state, "blocks.", ".conv1.weight") + 2,
        norm="batch",
        classes=state["fc.weight"].shape[0],
        shape=(channels, 32, 32),
        theirs=_resnet_name,
    )


def _resnet_name(ours: str) -> str:
    """`blocks.3.shortcut_norm.bias` is theirs `blocks.3.shortcut.1.bias`."""
    first, _, rest = ours.partition(".")
    if first != "blocks":
        return f"{_OUTER[first]}.{rest}"
    number, part, end = rest.split(".")
    return f"blocks.{number}.{_INNER.get(part, part)}.{end}"


def _vgg(state: State) -> Guess:
    width, channels = state["layers.0.conv.weight"].shape[:2]
    convolutions = sum(name.startswith("layers.") and name.endswith(".conv.weight") for name in state)
    depth = convolutions + 3
    at = convolutions_at(depth, step=1)

    def theirs(ours: str) -> str:
        first, _, rest = ours.partition(".")
        if first == "head":
            return f"fc.{rest}"
        number, end = rest.split(".")
        return f"layers.{at[int(number)]}.{'conv' if first == 'convs' else 'bn'}.{end}"

    return Guess(
        title="open_lth's VGG",
        arch="vgg",
        width=width,
        depth=depth,
        norm="batch",
        classes=state["fc.weight"].shape[0],
        shape=(channels, 32, 32),
        theirs=theirs,
        biases={f"layers.{place}.conv.bias": f"norms.{k}.running_mean" for k, place in enumerate(at)},
    )
