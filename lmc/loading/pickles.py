"""A look at a pickle without running it, before `torch.load(weights_only=True)` sees it.

`weights_only` executes no foreign code, but it can be made to exhaust the memory or the stack: measured with torch
2.15, a dictionary whose key is a tuple of three million nested tuples ends the process. So the operations are walked
through first, with only constants and tuples for values.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from io import BytesIO
from typing import Any

from lmc.loading.checks import Refused

MAX_PICKLE = 2**22  # bytes; 10,000 tensors take about 2.5 million
_MAX_NESTING = 32

# Bytes of one number, by storage class.
_ITEM = {
    **dict.fromkeys(("Double", "Long"), 8),
    **dict.fromkeys(("Float", "Int"), 4),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    **dict.fromkeys(("Char", "Byte", "Bool"), 1),
}
_STORAGES = {**{f"torch {kind}Storage": size for kind, size in _ITEM.items()}, "torch.storage UntypedStorage": 1}
_ALLOWED = {
    *_STORAGES,
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    *(f"torch {dtype}" for dtype in ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")),
    *(f"torch {dtype}" for dtype in ("uint8", "int8", "int16", "int32", "int64")),
}
_CONSTANTS = {"NONE", "NEWTRUE", "NEWFALSE", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT"} | {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"),
}
_POPS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "REDUCE": 2, "APPEND": 1, "SETITEM": 2, "BUILD": 1, "BINPERSID": 1}

Claim = Callable[[str, int], None]
"""Called with the key and the bytes of every storage that the pickle names."""


def check_pickle(stream: BytesIO, claim: Claim) -> None:
    """Walk through one pickle from where `stream` stands to its end.

    Raises:
        Refused: it would call something that no state dict needs, nests too deep or is too long.
        Exception: whatever damaged bytes lead to.
    """
    start = stream.tell()
    machine = _Machine(claim)
    for operation, argument, position in pickletools.genops(stream):
        if (position or 0) - start > MAX_PICKLE:
            raise Refused(f"its list of tensors is longer than {MAX_PICKLE >> 20} MiB")
        machine.step(operation.name, argument)


class _Machine:
    """The pickle machine without objects: a stack of (nesting, constant or tuple of them)."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.stack: list[tuple[int, Any]] = []
        self.marks: list[int] = []
        self.memo: dict[int, tuple[int, Any]] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append((0, argument))
        elif name == "GLOBAL":
            self.stack.append((0, _allowed(argument)))
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in _POPS:
            self._close(name, self._pop(len(self.stack) - _POPS[name]))
        elif name in ("TUPLE", "APPENDS", "SETITEMS"):
            self._close(name, self._pop(self.marks.pop()))
        elif name not in ("PROTO", "STOP"):
            raise Refused(f"it is a pickle with the operation {name}, which torch.save does not write")

    def _pop(self, start: int) -> list[tuple[int, Any]]:
        if not 0 <= start <= len(self.stack):
            raise Refused("it is a damaged pickle")
        popped = self.stack[start:]
        del self.stack[start:]
        return popped

    def _close(self, name: str, popped: list[tuple[int, Any]]) -> None:
        nesting = 1 + max((depth for depth, _ in popped), default=0)
        if nesting > _MAX_NESTING:
            raise Refused(f"it nests deeper than {_MAX_NESTING} levels")
        if name.startswith("TUPLE"):
            self.stack.append((nesting, tuple(value for _, value in popped)))
        elif name == "REDUCE":
            self.stack.append((nesting, None))
        elif name == "BINPERSID":
            self._storage(popped[0][1])
            self.stack.append((0, None))
        else:  # something joins the container on top
            self.stack[-1] = (max(nesting, self.stack[-1][0]), None)

    def _storage(self, named: Any) -> None:
        """`("storage", class, key, place, count, ...)` as `torch.save` names a tensor's memory."""
        kind, storage, key, _, count = named[:5]
        if kind != "storage" or not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise Refused("it is a damaged pickle")
        self.claim(key, count * _STORAGES[storage])


def _allowed(name: str) -> str:
    if name in _ALLOWED:
        return name
    raise Refused(
        f"reading it would call {name.replace(' ', '.')[:60]}, and nothing in a file is ever called; "
        "the state dict alone would be right: torch.save(model.state_dict(), FILE), or safetensors"
    )
