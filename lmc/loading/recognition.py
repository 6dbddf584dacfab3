"""Which network a state dict is: its architecture and options, and the same tensors under our names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from lmc.errors import InputError
from lmc.loading import features, open_lth, own, sequential
from lmc.loading.checks import Refused
from lmc.loading.layout import Fit, Guess, State, compare, converted, expected_shapes, spelled
from models import get_architecture

_LAYOUTS: tuple[Callable[[State], Iterator[Guess]], ...] = (
    own.guesses,
    open_lth.guesses,
    features.guesses,
    sequential.guesses,
)
# Left by tools that count operations or average weights; no network computes with them.
_IGNORED = re.compile(r"(.*\.)?(total_ops|total_params|n_averaged)")
_KNOWN = "LMC Explorer's own, open_lth's ResNet and VGG, torchvision's VGG, an nn.Sequential of linear layers"


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A loaded network.

    Attributes:
        format: whose layout it had, as it is shown.
        arch: an architecture of `models.get_architecture`, perhaps one that only loaded networks have.
        width: and depth, norm, activation, classes: as `models.get_model` takes them.
        input_shape: inputs that fit: `(numbers,)` for an mlp, else `(channels, height, width)`; `check_inputs` tells
            whether others do.
        state: the tensors under our names.
        ignored: names in the file that no network computes with.
        notes: what the file does not show and was assumed, in sentences without a full stop.
    """

    name: str
    format: str
    arch: str
    width: int
    depth: int
    norm: str
    activation: str
    input_shape: tuple[int, ...]
    classes: int
    state: dict[str, Tensor] = field(repr=False)
    ignored: tuple[str, ...]
    notes: tuple[str, ...]

    def check_inputs(self, input_shape: tuple[int, ...], classes: int) -> None:
        """Whether the network takes such inputs and has so many classes.

        Raises:
            InputError: it does not; the text says what it takes.
        """
        if classes != self.classes:
            raise InputError("load", self.name, f"it has {self.classes} classes, and the data set has {classes}")
        refusal = get_architecture(self.arch).refusal(input_shape)
        if refusal:
            raise InputError("load", self.name, refusal)
        wanted = expected_shapes(self.arch, input_shape, classes, self.width, self.depth, self.norm)
        if any(tuple(self.state[name].shape) != shape for name, shape in wanted.items()):
            raise InputError("load", self.name, self._wrong_inputs(input_shape))

    def _wrong_inputs(self, input_shape: tuple[int, ...]) -> str:
        given = spelled(input_shape)
        if len(self.input_shape) == 1:
            return f"it takes inputs of {self.input_shape[0]} numbers, and those of the data set are {given}"
        return f"it takes images like {spelled(self.input_shape)}, and those of the data set are {given}"


def recognise(state: Mapping[str, Tensor], name: str, *, activation: str | None = None) -> Recognised:
    """Find the architecture that a state dict belongs to.

    Layouts are told apart by names and shapes: those of our own architectures, open_lth's ResNet and VGG,
    torchvision's VGG and its relatives with one linear layer, and perceptrons of numbered linear layers. A network is
    recognised when every name has its place and every shape is right.

    Args:
        state: checked tensors by name, as `read_file` returns them.
        name: what the user calls the file; the error names it.
        activation: the activation function, which no state dict shows; else the architecture's usual one.

    Raises:
        InputError: no layout fits; the text names the first differences from the nearest one.
    """
    ignored = tuple(key for key in state if _IGNORED.fullmatch(key))
    kept = {key: value for key, value in state.items() if key not in ignored}
    try:
        fit = _best(kept)
    except Refused as refused:
        raise InputError("load", name, str(refused)) from None
    if fit is None:
        first = ", ".join(list(kept)[:3]) or "none"
        raise InputError("load", name, f"its names ({first}, ...) are of no known layout; known are {_KNOWN}")
    if fit.differences:
        raise InputError("load", name, _nearest(fit))
    return _recognised(kept, name, fit.guess, ignored, activation)


def _best(state: State) -> Fit | None:
    fits = [compare(state, guess) for layout in _LAYOUTS for guess in layout(state)]
    return max(fits, key=lambda fit: (not fit.differences, fit.share), default=None)


def _nearest(fit: Fit) -> str:
    more = len(fit.differences) - 3
    listed = "; ".join(fit.differences[:3]) + (f"; and {more} more" if more > 0 else "")
    options = f"width {fit.guess.width}, depth {fit.guess.depth}, norm {fit.guess.norm}"
    return f"it is nearest to {fit.guess.title} with {options}, but {listed}"


def _recognised(state: State, name: str, guess: Guess, ignored: tuple[str, ...], activation: str | None) -> Recognised:
    entry = get_architecture(guess.arch)
    notes = guess.notes
    if activation is None:
        activation = entry.default_activation
        notes += (f"the activation {activation} is assumed: a state dict does not show it",)
    if activation not in entry.activations:
        raise InputError("activation", activation, f"{guess.arch} has {', '.join(entry.activations)}")
    if any(bias in state for bias in guess.biases):
        notes += ("biases before BatchNorm went into its running means, which changes no output",)
    return Recognised(
        name=name,
        format=guess.title,
        arch=guess.arch,
        width=guess.width,
        depth=guess.depth,
        norm=guess.norm,
        activation=activation,
        input_shape=guess.shape,
        classes=guess.classes,
        state=converted(state, guess),
        ignored=ignored,
        notes=notes,
    )
