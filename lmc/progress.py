"""Progress of a run on a terminal, or as plain lines."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO


class Lines:
    """A report that writes to a terminal as a bar (tqdm, if installed) and elsewhere as a line every few seconds."""

    def __init__(self, stream: TextIO = sys.stderr, every: float = 5.0) -> None:
        self.stream, self.every, self.last = stream, every, time.monotonic()
        self.bar: Any = None
        if stream.isatty():
            with contextlib.suppress(ImportError):
                from tqdm import tqdm

                self.bar = tqdm(total=100, file=stream, bar_format="{l_bar}{bar}| {elapsed}<{remaining}")

    def __call__(self, share: float, text: str) -> None:
        if self.bar is not None:
            self.bar.set_description(text, refresh=False)
            self.bar.update(round(100 * share, 1) - self.bar.n)
        elif time.monotonic() - self.last > self.every:
            self.last = time.monotonic()
            print(f"{share:4.0%} {text}", file=self.stream, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def part(report: Callable[[float, str], None], start: float, end: float) -> Callable[[float, str], None]:
    """A report for a piece of work that takes the share `start` to `end` of the whole."""
    return lambda share, text: report(start + (end - start) * share, text)
