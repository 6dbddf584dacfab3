"""What stands in the files of a store: digests, and reading and writing that never leaves or trusts half a file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lmc.result import Result
from lmc.store.layout import WRITING

_DAMAGE = (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile)


class Damaged(Exception):
    """A file does not hold what was written to it; the text says how that shows."""


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """64 hex digits of the SHA-256 of names, dtypes, shapes and values."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        found.update(arrays[name].tobytes())
    return found.hexdigest()


def packed_result(result: Result) -> tuple[bytes, bytes]:
    """The contents of `result.json`, whose first line is the digest of all that follows, and of `arrays.npz`."""
    content = json.dumps({name: getattr(result, name) for name in Result.__dataclass_fields__ if name != "arrays"})
    packed = io.BytesIO()
    np.savez_compressed(packed, **result.arrays)  # type: ignore[arg-type]
    return f"{_result_digest(content, packed.getvalue())}\n{content}".encode(), packed.getvalue()


def read_result(folder: Path, id: str) -> Result:
    """The result in `folder`. Raises OSError if it cannot be read, Damaged if it is not what was written.

    It has two files, and between the reading of them another process may delete it and write it again: what does not
    fit is read once more before it is called damaged.
    """
    with contextlib.suppress(*_DAMAGE):
        return _result_in(folder, id)
    try:
        return _result_in(folder, id)
    except _DAMAGE as error:
        raise Damaged(str(error)) from None


def packed_checkpoint(id: str, epoch: int, state: Mapping[str, np.ndarray]) -> bytes:
    """The file of a checkpoint of network `id`; its header names both and the digest of the tensors."""
    arrays = {name: np.asarray(value, order="C") for name, value in state.items()}
    return save(arrays, metadata={"network": id, "epoch": str(epoch), "digest": digest(arrays)})


def read_checkpoint(path: Path, id: str, epoch: int) -> dict[str, np.ndarray]:
    """The state in a file. Raises OSError if it cannot be read, Damaged if it is not what was written."""
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            written = file.metadata() or {}
    except (ValueError, SafetensorError) as error:
        raise Damaged(str(error)) from None
    if written != {"network": id, "epoch": str(epoch), "digest": digest(arrays)}:
        raise Damaged("the digest does not fit the tensors, or it is another network")
    return arrays


def read_about(path: Path) -> dict[str, Any]:
    """What is known of a network. Raises OSError if it cannot be read, Damaged if it is no JSON object."""
    try:
        about = json.loads(path.read_text())
    except ValueError as error:
        raise Damaged(str(error)) from None
    if not isinstance(about, dict):
        raise Damaged("it is no JSON object")
    return about


def packed_state(content: bytes) -> tuple[bytes, bytes]:
    """A saved state of a training as it is written, in two parts: a line that is its digest, and the content."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n", content


def read_state(path: Path) -> bytes:
    """The content of a saved state. Raises OSError if it cannot be read, Damaged if it is not what was written."""
    with path.open("rb") as file:
        written, content = file.readline().strip(), file.read()
    if written != hashlib.sha256(content).hexdigest().encode():
        raise Damaged("the digest does not fit the state")
    return content


def write_file(path: Path, *parts: bytes) -> None:
    """Write the parts one after another to a temporary name and rename it. Raises OSError and leaves nothing behind."""
    handle, name = tempfile.mkstemp(prefix=WRITING, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _result_in(folder: Path, id: str) -> Result:
    written, content = (folder / "result.json").read_text().split("\n", 1)
    packed = (folder / "arrays.npz").read_bytes()
    if written != _result_digest(content, packed):
        raise ValueError("the digest does not fit the result")
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        result = Result(**json.loads(content), arrays=dict(arrays))
    if result.id != id:
        raise ValueError("it is the result of another config")
    return result


def _result_digest(content: str, packed: bytes) -> str:
    return hashlib.sha256(content.encode() + b"\n" + packed).hexdigest()
