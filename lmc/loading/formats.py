"""Bytes to tensors, by kind of file. Nothing in a file is executed, and nothing is unpacked that it did not hold."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from lmc.loading.checks import MAX_BYTES, MAX_TENSORS, Refused
from lmc.loading.pickles import check_pickle

_MAX_HEADER = 2**22  # bytes
_MAX_ENTRIES = 4 * MAX_TENSORS  # a checkpoint may hold an optimiser's tensors too
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before version 1.6 begins with this pickle
_DAMAGED = "it is damaged or incomplete, or no {}; save or copy it again"


def parse(content: bytes) -> Any:
    """What lies in the bytes of a safetensors or PyTorch file; what kind it is they say themselves.

    Raises:
        Refused: another kind of file, a damaged one, or one that asks for more than tensors.
    """
    if content.startswith(b"PK\x03\x04"):
        return _guarded(_read_archive, content, "PyTorch file")
    if content.startswith(_LEGACY):
        return _guarded(_read_legacy, content, "PyTorch file")
    if content[8:9] == b"{":
        return _guarded(_read_safetensors, content, "safetensors file")
    if not content:
        raise Refused("it is empty; a safetensors file, or a state dict saved by torch.save, would be right")
    raise Refused("it is neither safetensors nor a PyTorch file; a state dict saved by torch.save would be right")


def metadata(content: bytes) -> dict[str, str]:
    """What a safetensors header says besides its tensors; empty for other files. Raises Refused if damaged."""
    if content[8:9] != b"{":
        return {}
    found = _guarded(_header, content, "safetensors file").get("__metadata__", {})
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Refused(_DAMAGED.format("safetensors file"))
    return found


def _guarded(read: Any, content: bytes, kind: str) -> Any:
    try:
        return read(content)
    except Refused:
        raise
    except Exception:  # damaged bytes fail in every way that the readers below them can
        raise Refused(_DAMAGED.format(kind)) from None


def _read_safetensors(content: bytes) -> dict[str, Tensor]:
    header = _header(content)
    if len(header) > MAX_TENSORS + 1:
        raise Refused(f"it holds more than {MAX_TENSORS:,} tensors")
    return safetensors.torch.load(content)


def _header(content: bytes) -> dict[str, Any]:
    size = int.from_bytes(content[:8], "little")
    if size > _MAX_HEADER:
        raise Refused(f"its header claims {size:,} bytes; at most {_MAX_HEADER:,} are read")
    header = json.loads(content[8 : 8 + size], object_pairs_hook=_once)
    if 8 + size > len(content) or not isinstance(header, dict):
        raise Refused(_DAMAGED.format("safetensors file"))
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise Refused("it names something twice")
    return dict(pairs)


def _read_archive(content: bytes) -> Any:
    """A zip as `torch.save` writes it.

    Its parts are put into a new one before torch reads them: two readers of zips can disagree about a forged file,
    and then what was checked would not be what is loaded.
    """
    if content.count(b"PK\x01\x02") > _MAX_ENTRIES:
        raise Refused(f"it has more than {_MAX_ENTRIES:,} entries")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        _check_entries(entries)
        folder = next((e.filename.removesuffix("data.pkl") for e in entries if e.filename.endswith("/data.pkl")), None)
        if folder is None:
            raise Refused("it is a zip without data.pkl; a state dict saved by torch.save would be right")
        wanted = ("data.pkl", "version", "byteorder", "data/")
        parts = {
            e.filename.removeprefix(folder): archive.read(e) for e in entries if _is_in(e.filename, folder, wanted)
        }

    def claim(key: str, size: int) -> None:
        if size > len(parts[f"data/{key}"]):
            raise Refused("one of its tensors is longer than what is stored of it")

    check_pickle(io.BytesIO(parts["data.pkl"]), claim)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, part in parts.items():
            archive.writestr(f"archive/{name}", part)
    out.seek(0)
    return torch.load(out, map_location="cpu", weights_only=True)


def _is_in(name: str, folder: str, wanted: tuple[str, ...]) -> bool:
    return name.startswith(folder) and name.removeprefix(folder).startswith(wanted)


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    if any(e.compress_type != zipfile.ZIP_STORED for e in entries):
        raise Refused("it is a compressed zip, which torch.save does not write; the file that it wrote would be right")
    if sum(e.file_size for e in entries) > MAX_BYTES:
        raise Refused(f"it unpacks to more than {MAX_BYTES:,} bytes")
    if len({e.filename for e in entries}) < len(entries):
        raise Refused("it names something twice")


def _read_legacy(content: bytes) -> Any:
    """The form before zips: pickles of a magic number, a version, a machine, the content and its storages' keys."""
    stream = io.BytesIO(content)
    claimed: dict[str, int] = {}
    for _ in range(5):
        check_pickle(stream, claimed.__setitem__)
    if sum(claimed.values()) > len(content):
        raise Refused("one of its tensors is longer than what is stored of it")
    stream.seek(0)
    return torch.load(stream, map_location="cpu", weights_only=True)
