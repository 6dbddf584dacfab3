"""Calls that travel as bytes, and are taken apart where they run.

Dask unpickles what it is sent before a task begins; a worker that cannot, as it lacks this program or has another
version of it, ends without a word to who asked. So Dask is given `pickle.loads` and bytes, which every Python knows:
what they hold is unpickled by the task itself, after it has compared the programs. The scheduler needs no program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pickle import PickleBuffer, dumps, loads
from typing import Any

from lmc.engine.versions import program, require_same


class _Call:
    """Unpickled, it is the value of the call."""

    def __init__(self, content: bytes, held: list[PickleBuffer]) -> None:
        self._content, self._held = content, held

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _called, (program(), self._content, self._held)


def packed(function: Callable[..., Any], args: Sequence[Any], held: int = 0) -> bytes:
    """What `pickle.loads` turns into `function(*args)` on a worker.

    With `held`, `pickle.loads(…, buffers=…)` is given as many pickles, and the function one more argument: the list of
    what they hold.
    """
    places = [PickleBuffer(b"") for _ in range(held)]
    return dumps(_Call(dumps((function, tuple(args))), places), protocol=5, buffer_callback=lambda _: None)


def _called(theirs: Mapping[str, str], content: bytes, held: Sequence[bytes]) -> Any:
    from distributed import get_worker

    require_same(theirs, get_worker().address)
    function, args = loads(content)
    return function(*args, [loads(one) for one in held]) if held else function(*args)
