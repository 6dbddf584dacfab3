"""Checkpoint files from anywhere, read without trusting them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from lmc.errors import InputError
from lmc.loading.checks import MAX_BYTES, Refused, checked_state, unwrapped
from lmc.loading.formats import metadata, parse


def read_file(source: str | Path | bytes, name: str) -> dict[str, Tensor]:
    """The state dict in a safetensors or PyTorch file, on the CPU: float32 or float64, buffers of counts int64.

    Safetensors, and what `torch.save` wrote of a state dict, also inside `{"state_dict": ...}` and its like and with
    the prefix `module.`. No file is ever unpickled but by `torch.load(weights_only=True)`, after a check.

    Args:
        source: a path, or the bytes of an uploaded file.
        name: what the user calls the file; the error names it.

    Raises:
        InputError: not such a file, too large, damaged, or with names or numbers that no network has.
    """
    try:
        return checked_state(unwrapped(parse(_content(source))))
    except Refused as refused:
        raise InputError("load", name, str(refused)) from None


def content_of(source: str | Path | bytes, name: str) -> bytes:
    """The bytes of a file, for those who need them twice. Raises InputError as `read_file` does."""
    try:
        return _content(source)
    except Refused as refused:
        raise InputError("load", name, str(refused)) from None


def read_metadata(source: str | Path | bytes, name: str) -> dict[str, str]:
    """What the header of a safetensors file says besides its tensors; empty for other files.

    Raises InputError as `read_file` does.
    """
    try:
        return metadata(_content(source))
    except Refused as refused:
        raise InputError("load", name, str(refused)) from None


def _content(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        _check_size(len(source))
        return source
    try:
        path = Path(source).expanduser()
        if not path.is_file():
            raise Refused("there is no such file" if not path.exists() else "it is not a file")
        _check_size(path.stat().st_size)
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise Refused(f"it has {size:,} bytes; at most {MAX_BYTES:,} are read")
