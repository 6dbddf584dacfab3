"""More than a thousand files that are no network: damaged, forged, hostile. Each is a name and bytes."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import struct
import subprocess
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator

import safetensors.torch
import torch

File = tuple[str, bytes]
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "0.weight": torch.randn(4, 6),
        "0.bias": torch.randn(4),
        "2.weight": torch.randn(3, 4),
        "2.bias": torch.randn(3),
    }


def saved(content: object, legacy: bool = False) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=not legacy)
    return out.getvalue()


def whole_files() -> dict[str, bytes]:
    return {
        "safetensors": safetensors.torch.save(state()),
        "zip": saved(state()),
        "wrapped": saved({"state_dict": OrderedDict(state()), "epoch": 3}),
        "legacy": saved(state(), legacy=True),
    }


def header(entries: object, data: bytes = b"\0" * 16, size: int | None = None) -> bytes:
    """A safetensors file with any header and any claim about its size."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def archive(pickled: bytes, records: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip laid out as torch.save does it."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", compression) as made:
        warnings.simplefilter("ignore")  # names given twice
        for name, content in [("data.pkl", pickled), ("version", b"3\n"), ("byteorder", b"little")]:
            made.writestr(f"archive/{name}", content)
        for name, content in (records or {}).items():
            made.writestr(f"archive/data/{name}", content)
    return out.getvalue()


def pickle_of(zipped: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(zipped)) as opened:
        return opened.read("archive/data.pkl")


class Calls:
    """Unpickled by anything that unpickles, it makes a file."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


def truncated() -> Iterator[File]:
    for kind, content in whole_files().items():
        for share in range(100):
            yield f"{kind} cut at {share}%", content[: len(content) * share // 100]
        for last in range(1, 9):
            yield f"{kind} without its last {last} bytes", content[:-last]


def hostile(canary: str) -> Iterator[File]:
    makes = f"open({canary!r}, 'w').close()"
    calls = {
        "os.system": Calls(os.system, f"touch {canary}"),
        "eval": Calls(eval, makes.replace(".close()", "")),
        "exec": Calls(exec, makes),
        "Popen": Calls(subprocess.Popen, ["touch", canary]),
        "open": Calls(open, canary, "w"),
        "torch.load": Calls(torch.load, canary),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "bytearray": Calls(bytearray, 10**10),
    }
    places = {
        "alone": lambda call: call,
        "value": lambda call: {"0.weight": torch.zeros(2), "0.bias": call},
        "wrapped": lambda call: {"state_dict": {"0.weight": call}},
        "beside": lambda call: {"state_dict": state(), "optimizer": [{"deep": (1, [call])}]},
        "key": lambda call: OrderedDict([((call,), 1)]),
    }
    for name, call in calls.items():
        for place, put in places.items():
            for protocol in range(6):
                content = put(call)
                plain = _plain(content)
                label = f"{name} {place} protocol {protocol}"
                yield f"{label}, pickle", pickle.dumps(plain, protocol)
                yield f"{label}, zip", archive(pickle.dumps(plain, protocol))
                yield f"{label}, legacy", _legacy(pickle.dumps(plain, protocol))
            yield f"{name} {place}, torch.save", saved(put(call))
            yield f"{name} {place}, old torch.save", saved(put(call), legacy=True)


def _plain(content: object) -> object:
    """The same without tensors, which pickle alone would spell with calls of its own."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return 0 if isinstance(content, torch.Tensor) else content


def _legacy(pickled: bytes) -> bytes:
    head = [pickle.dumps(part, 2) for part in (LEGACY_MAGIC, 1001, {"little_endian": True})]
    return b"".join(head) + pickled + pickle.dumps([], 2)


def numbers() -> Iterator[File]:
    for value in (float("nan"), float("inf"), float("-inf")):
        for name, tensor in state().items():
            for place in range(tensor.numel()):
                changed = state()
                changed[name].view(-1)[place] = value
                yield f"{name}[{place}] = {value}, safetensors", safetensors.torch.save(changed)
                if place < 3:
                    yield f"{name}[{place}] = {value}, zip", saved(changed)
    yield "negative variance", saved({"1.running_var": torch.tensor([1.0, -1e-3])})
    for dtype in (torch.bool, torch.complex64, torch.complex128):
        yield str(dtype), saved({"w": torch.ones(3, dtype=dtype)})
    yield "safetensors bool", safetensors.torch.save({"w": torch.ones(3, dtype=torch.bool)})
    yield "sparse", saved({"w": torch.eye(3).to_sparse()})
    yield "no numbers", saved({"w": torch.zeros(0, 3)})
    yield "no numbers, safetensors", safetensors.torch.save({"w": torch.zeros(0, 3)})
    yield "nine axes", saved({"w": torch.zeros(1, 1, 1, 1, 1, 1, 1, 1, 1)})
    yield "a million million numbers of one", saved({"w": torch.zeros(1).expand(10**6, 10**6)})
    yield "three times 10^8 of one", saved({f"w{k}": torch.zeros(1).expand(10**8) for k in range(3)})


NAMES = [
    *(
        "../w",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:\\w",
        "a..b",
        ".w",
        "w.",
        "",
        " ",
        "a b",
        "w\n",
        "w\0",
    ),
    *("~/w", "$HOME", "%2e%2e", "ä.weight", "ｗ", "w;rm", "<b>", "{0}", "a" * 201, "a." * 150 + "b", "-", "w'", 'w"'),
]


def names() -> Iterator[File]:
    for name in NAMES:
        yield f"name {name[:20]!r}, zip", saved({"0.weight": torch.zeros(2), name: torch.zeros(2)})
        yield f"name {name[:20]!r}, legacy", saved({name: torch.zeros(2)}, legacy=True)
        yield f"name {name[:20]!r}, safetensors", safetensors.torch.save({name: torch.zeros(2)})
    for key in (1, None, 1.5, (1, 2), True, b"w"):
        yield f"key {key!r}", saved({key: torch.zeros(2)})
    yield "too many", saved(dict.fromkeys((f"w{k}" for k in range(10_001)), torch.zeros(1)))
    many = {f"w{k}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * k, 4 * k + 4]} for k in range(10_001)}
    yield "too many, safetensors", header(many, b"\0" * 4 * len(many))
    for content in (
        [],
        {},
        None,
        3,
        "text",
        torch.zeros(3),
        [torch.zeros(3)],
        {"state_dict": {}},
        {"w": [1.0]},
        {"w": {}},
    ):
        yield f"content {content!r}", saved(content)


def headers() -> Iterator[File]:
    good = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    for size in (0, 1, 7, 200, 2**22 + 1, 2**31, 2**32, 2**40, 2**63, 2**64 - 1):
        yield f"header of {size}", header({"w": good}, size=size)
    changes = [
        *({"shape": shape} for shape in ([5], [3], [2, 3], [-4], [2**62, 4], [10**30], ["4"], "4", None, [1.5], [[4]])),
        *(
            {"data_offsets": ends}
            for ends in ([0, 17], [0, 15], [16, 0], [4, 20], [-16, 0], [0, 2**63], [0], "0:16", None)
        ),
        *({"dtype": dtype} for dtype in ("F64", "F33", "f32", "", None, 7, "BOOL", "C64", "OBJECT")),
    ]
    for change in changes:
        yield f"entry {change}", header({"w": good | change})
    for left in good:
        yield f"entry without {left}", header({"w": {k: v for k, v in good.items() if k != left}})
    yield "names twice", header(b'{"w": %s, "w": %s}' % ((json.dumps(good).encode(),) * 2))
    yield "overlap", header({"v": good, "w": good})
    yield "a gap", header({"w": good | {"data_offsets": [16, 32]}}, b"\0" * 32)
    yield "bytes left over", header({"w": good}, b"\0" * 32)
    yield "metadata alone", header({"__metadata__": {"arch": "mlp"}}, b"")
    yield "metadata of numbers", header({"__metadata__": {"arch": 3}, "w": good})
    yield "nested header", header(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    yield "nested lists", header(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    for text in (
        b"{",
        b"{}",
        b"{]",
        b'{"w"}',
        b"{\xff\xfe}",
        b'{"w": NaN}',
        b"{'w': 1}",
        b'{"w": 1}',
        b'{"w": []}',
        b"{" * 999,
    ):
        yield f"header {text[:9]!r}", header(text)


def archives() -> Iterator[File]:
    good = saved(state())
    pickled = pickle_of(good)
    records = {str(k): tensor.numpy().tobytes() for k, tensor in enumerate(state().values())}
    yield "deflated", archive(pickled, records, zipfile.ZIP_DEFLATED)
    yield "bomb", archive(pickled, {**records, "0": b"\0" * 10**8}, zipfile.ZIP_DEFLATED)
    yield "bzip2", archive(pickled, records, zipfile.ZIP_BZIP2)
    for key in records:
        yield f"no record {key}", archive(pickled, {k: v for k, v in records.items() if k != key})
        for size in range(len(records[key])):
            yield f"record {key} of {size}", archive(pickled, {**records, key: records[key][:size]})
    duplicate = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(duplicate, "w") as made:
        warnings.simplefilter("ignore")
        for _ in range(2):
            made.writestr("archive/data.pkl", pickled)
    yield "data.pkl twice", duplicate.getvalue()
    claims_more = bytearray(good)
    for place in _all(good, b"PK\x01\x02"):
        claims_more[place + 20 : place + 28] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    yield "sizes of 4 GiB claimed", bytes(claims_more)
    encrypted = bytearray(good)
    for place in _all(good, b"PK\x01\x02"):
        encrypted[place + 8] |= 1
    yield "encrypted", bytes(encrypted)
    yield "no entries", b"PK\x05\x06" + b"\0" * 18
    yield "many entries", b"PK\x03\x04" + b"PK\x01\x02" * 40_001
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as made:
        made.writestr("word/document.xml", "<w/>")
    yield "a document", other.getvalue()


def _all(content: bytes, signature: bytes) -> list[int]:
    places, place = [], content.find(signature)
    while place >= 0:
        places.append(place)
        place = content.find(signature, place + 1)
    return places


def pickles() -> Iterator[File]:
    for depth in (40, 1000, 300_000, 3_000_000):
        yield f"tuples nested {depth}", archive(b"\x80\x02})" + b"\x85" * depth + b"K\x01s.")
        yield f"lists nested {depth}", archive(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
        yield f"tuples nested {depth}, legacy", _legacy(b"\x80\x02})" + b"\x85" * depth + b"K\x01s.")
    yield "five million operations", archive(b"\x80\x02" + b"]0" * 2_500_000 + b"}.")
    lying = pickle_of(saved({"w": torch.zeros(1)})).replace(b"cpuq\x06K\x01", b"cpuq\x06J" + struct.pack("<i", 10**9))
    yield "a storage of 10^9", archive(lying, {"0": b"\0" * 4})
    yield "a storage of 10^9, legacy", _legacy(lying)
    yield "a text as a length", archive(b"\x80\x02L" + b"9" * 10_000 + b"L\n.")
    for operations in (
        b"0",
        b"t",
        b"s",
        b"R",
        b"a",
        b"h\x00",
        b"Q",
        b"b",
        b"(",
        b"",
        b"\xff",
        b"}(u",
        b"cos\nsystem\n",
        b"ios\nsystem\n",
    ):
        yield f"operations {operations!r}", archive(b"\x80\x02" + operations + b".")
    for protocol in range(6):
        yield f"a plain pickle, protocol {protocol}", pickle.dumps({"w": [1.0]}, protocol)


def others() -> Iterator[File]:
    texts = {
        "empty": b"",
        "text": b"these are not the weights",
        "long text": b"weights\n" * 100_000,
        "html": b"<!DOCTYPE html><html>404</html>",
        "json": b'{"0.weight": [[1.0]]}',
        "csv": b"name,value\nw,1\n",
        "png": b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
        "gzip": gzip.compress(saved(state())),
        "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 64,
        "numpy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n" + b"\0" * 8,
        "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "tar": b"storages" + b"\0" * 249 + b"ustar" + b"\0" * 250,
        "zeros": b"\0" * 4096,
        "utf-16": "weights".encode("utf-16"),
    }
    yield from texts.items()
    for seed in range(60):
        generator = random.Random(seed)
        noise = generator.randbytes(generator.randrange(1, 3000))
        yield f"noise {seed}", noise
        yield f"noise {seed} as zip", b"PK\x03\x04" + noise
        yield f"noise {seed} as safetensors", struct.pack("<Q", len(noise)) + b"{" + noise


def every(canary: str) -> Iterator[File]:
    yield from truncated()
    yield from hostile(canary)
    yield from numbers()
    yield from names()
    yield from headers()
    yield from archives()
    yield from pickles()
    yield from others()
