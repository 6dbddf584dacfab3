"""Config fields that describe themselves: the command line, the picker and the checks read the same metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from lmc.errors import InputError

MAX_NAME = 80  # characters


def option(
    default: Any,
    help: str,  # noqa: A002 - the word of argparse and Streamlit
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """A dataclass field with the text and limits that are shown and enforced everywhere."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": tuple(choices)})


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """`value` if it is one of `choices`, else an InputError that lists them."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(name, value, f"choose one of: {', '.join(choices)}")
    return value


def check_name(name: str, value: str) -> str:
    """`value` if it can stand in tables, addresses and commands: 1 to 80 printable characters, no `|`, no first `-`."""
    if not 0 < len(value) <= MAX_NAME or not value.isprintable() or "|" in value or value.startswith("-"):
        raise InputError(name, value, "1 to 80 printable characters, without | and a - at the start, would be right")
    return value


def check_number(name: str, value: object, limits: Mapping[str, Any], *, whole: bool) -> int | float:
    """`value` as a number between `limits["low"]` and `limits["high"]`, else an InputError that says them."""
    low, high = limits["low"], limits["high"]
    kind = "a whole number" if whole else "a number"
    right = f"{kind} from {_readable(low)} to {_readable(high)} would be right"
    value = value.item() if isinstance(value, np.number) else value
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(name, value, right)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(name, value, right)
    if not low <= value <= high or (whole and value != int(value)):
        raise InputError(name, value, right)
    return int(value) if whole else float(value)


def _readable(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"
