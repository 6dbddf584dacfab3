"""The layout of plain perceptrons: numbered linear layers, in an `nn.Sequential` or named `fc1`, `fc2`, …"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from lmc.loading.checks import Refused
from lmc.loading.layout import Guess, State, spelled

_NUMBERED = re.compile(r"(.*?)(\d+)\.(\w+)")


def guesses(state: State) -> Iterator[Guess]:
    """A perceptron, if all names are `PREFIX`, a number and the name of a parameter, with one prefix."""
    found = [_NUMBERED.fullmatch(name) for name in state]
    prefixes = {match[1] for match in found if match}
    if None in found or len(prefixes) != 1:
        return
    prefix = prefixes.pop()
    linear = sorted(int(m[2]) for m in found if m and m[3] == "weight" and state[m[0]].ndim == 2)
    if len(linear) >= 2:
        yield _guess(state, prefix, linear)


def _guess(state: State, prefix: str, linear: list[int]) -> Guess:
    norm = _norm(state, f"{prefix}{linear[0] + 1}")
    _check_order(prefix, linear, norm)
    _check_width(state, prefix, linear)
    width, inputs = state[f"{prefix}{linear[0]}.weight"].shape

    def theirs(ours: str) -> str:
        kind, *number, end = ours.split(".")
        place = linear[-1] if kind == "head" else linear[int(number[0])] + (kind == "norms")
        return f"{prefix}{place}.{end}"

    unseen = all(b - a == 1 for a, b in pairwise(linear))
    return Guess(
        title="a perceptron of numbered layers",
        arch="mlp",
        width=width,
        depth=len(linear) - 1,
        norm=norm,
        classes=state[f"{prefix}{linear[-1]}.weight"].shape[0],
        shape=(inputs,),
        theirs=theirs,
        notes=("an activation after every hidden layer is assumed: the names do not show it",) if unseen else (),
    )


def _norm(state: State, name: str) -> str:
    if f"{name}.weight" not in state or state[f"{name}.weight"].ndim != 1:
        return "none"
    return "batch" if f"{name}.running_mean" in state else "layer"


def _check_order(prefix: str, linear: list[int], norm: str) -> None:
    """Between two linear layers a sequence has room for the norm and an activation; a plain list has none."""
    least = 2 if norm == "none" else 3
    gaps = {b - a for a, b in pairwise(linear)}
    if min(gaps) < least and not (prefix and norm == "none" and gaps == {1}):
        between = "an activation" if norm == "none" else f"{norm} norm and an activation"
        raise Refused(
            f"its linear layers stand at {', '.join(map(str, linear[:6]))} of a sequence, which leaves no room for "
            f"{between} after each; linear layer, norm if any, activation, and so on would be right"
        )


def _check_width(state: State, prefix: str, linear: list[int]) -> None:
    weights = [state[f"{prefix}{place}.weight"] for place in linear[:-1]]
    widths = [weight.shape[0] for weight in weights]
    if len(set(widths)) > 1:
        raise Refused(f"its hidden layers have {spelled(tuple(widths[:6]))} units; one width for all would be right")
