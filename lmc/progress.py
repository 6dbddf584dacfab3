"""Progress of a run: on a terminal, as plain lines, or in a file that another process watches."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self, TextIO

HEARTBEAT = 0.25  # seconds between two looks at the stop file and two signs of life


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


def beginning() -> dict[str, Any]:
    """What a run that has not spoken yet is doing."""
    now = time.time()
    return {"state": "running", "share": 0.0, "text": "starting", "started": now, "alive": now}


class ProgressFile:
    """Keeps `progress.json` in a folder up to date, and turns a file `stop` there into an interrupt.

    The file holds state (`running`, `done`, `failed`, `stopped`), share, text, the times (seconds since the epoch) of
    the start and of the last sign of life, and the error in one sentence. Another process reads it with `read`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.content = beginning()
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # it may have been started with SIGINT ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._write()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def __call__(self, share: float, text: str) -> None:
        self.content.update(share=share, text=text)

    def end(self, state: str, error: str = "") -> None:
        """Write the last word: `done`, `failed` or `stopped`."""
        self._ended.set()
        self.content.update(state=state, error=error)
        self._write()

    def _watch(self) -> None:
        import _thread

        stopping = False
        while not self._ended.wait(HEARTBEAT):
            self._write()
            if (self.folder / "stop").exists() and not stopping:
                stopping = True  # once: a second interrupt would hit the farewell
                _thread.interrupt_main()

    def _write(self) -> None:
        with self._lock:
            if self._ended.is_set() and self.content["state"] == "running":
                return
            temporary = self.folder / f".progress-{os.getpid()}"
            temporary.write_text(json.dumps({**self.content, "alive": time.time()}))
            temporary.replace(self.folder / "progress.json")


def read(folder: Path) -> dict[str, Any] | None:
    """What the run in `folder` last said of itself, or None."""
    try:
        content = json.loads((folder / "progress.json").read_text())
    except (OSError, ValueError):
        return None
    return (
        content
        if isinstance(content, dict) and {"state", "share", "text", "started", "alive"} <= set(content)
        else None
    )
