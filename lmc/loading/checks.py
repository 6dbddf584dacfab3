"""What a state dict must be before anything is done with it, whichever file it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models import MAX_PARAMETERS

MAX_BYTES = 8 * MAX_PARAMETERS + 2**26  # float64, and 64 MiB for names and whatever else lies in the file
MAX_TENSORS = 10_000
_MAX_NAME, _MAX_AXES = 200, 8
_NAME = re.compile(r"\w+([.-]\w+)*", re.ASCII)
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")


class Refused(ValueError):
    """A file that is not loaded; the text says why and what would be right, as the rest of a sentence."""


def unwrapped(content: object) -> Mapping[Any, Any]:
    """The state dict inside what training scripts usually put around it."""
    for _ in _WRAPPERS:
        if isinstance(content, Mapping):
            inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
            if inner is not None:
                content = inner
    if not isinstance(content, Mapping):
        raise Refused(
            f"it holds an object of type {type(content).__name__}; a state dict would be right: model.state_dict()"
        )
    return content


def checked_state(entries: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Finite tensors by name: numbers float32, or float64 where they were, whole numbers int64; nothing shared.

    The prefixes of `DataParallel` and `torch.compile` are taken off when every name has them.

    Raises:
        Refused: a name, a type, a size or a value that no network has; the text names the entry.
    """
    if not entries:
        raise Refused("it holds no tensors")
    if len(entries) > MAX_TENSORS:
        raise Refused(f"it holds {len(entries):,} entries; at most {MAX_TENSORS:,} are read")
    for name in entries:
        _check_name(name)
    total = 0
    for name, value in entries.items():
        _check_kind(name, value)
        total += value.numel()  # before anything is copied: a view can claim far more than its storage holds
        if total > MAX_PARAMETERS:
            raise Refused(f"it holds more than {MAX_PARAMETERS:,} numbers, the most that are read")
    names = _without_prefixes(list(entries))
    return {name: _plain(name, value) for name, value in zip(names, entries.values(), strict=True)}


def _check_name(name: object) -> None:
    if not isinstance(name, str) or len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        shown = repr(name[:60]) if isinstance(name, str) else f"by a value of type {type(name).__name__}"
        raise Refused(
            f"one of its tensors is named {shown}; "
            f"names like layers.0.weight would be right, of at most {_MAX_NAME} letters, digits, _, - and dots"
        )


def _check_kind(name: str, value: object) -> None:
    if type(value) not in (Tensor, nn.Parameter):
        raise Refused(f"its entry {name} is of type {type(value).__name__}; tensors alone would be right")
    assert isinstance(value, Tensor)
    dense = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    if not dense or not (value.is_floating_point() or value.dtype in _INTEGERS):
        kind = str(value.dtype if dense else value.layout).removeprefix("torch.")
        raise Refused(f"its tensor {name} is {kind}; dense floating-point numbers would be right")
    if value.ndim > _MAX_AXES or value.numel() == 0:
        raise Refused(f"its tensor {name} has the shape {tuple(value.shape)}, which no network has")


def _without_prefixes(names: list[str]) -> list[str]:
    for prefix in _PREFIXES * 2:
        if all(name.startswith(prefix) for name in names):
            names = [name.removeprefix(prefix) for name in names]
    return names


def _plain(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value.detach().to(torch.int64, copy=True).contiguous()
    dtype = torch.float64 if value.dtype == torch.float64 else torch.float32
    value = value.detach().to(dtype, copy=True).contiguous()
    if not torch.isfinite(value).all():
        raise Refused(
            f"its tensor {name} holds numbers that are not finite; a network whose training went well is right"
        )
    if name.endswith("running_var") and (value < 0).any():
        raise Refused(f"its tensor {name} holds negative variances")
    return value
