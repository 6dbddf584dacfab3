"""Small networks and results, made to look old, and stores on disks that are full or read-only for real."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lmc import Result, Store

ROOT = Path(__file__).resolve().parents[2]


class Shop:
    """A store with a few handles that tests need. Ids are single digits, repeated."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def network(self, digit: str, age: float = 3600.0, **about) -> str:
        """A network of 8 kB that was used `age` seconds ago."""
        id = digit * 16
        self.store.save_network(id, {"label": digit, **about}, {1: {"w": np.full(1024, float(int(digit, 16)))}})
        return self.aged("networks", id, age)

    def result(self, digit: str, networks=(), age: float = 3600.0) -> str:
        """A result of 8 kB that was used `age` seconds ago."""
        id = digit * 16
        noise = np.random.default_rng(int(digit, 16)).integers(0, 256, 8000).astype(np.uint8)
        self.store.save_result(
            Result(
                experiment="pair", id=id, config={}, metrics={}, tables={}, networks=list(networks), seconds=1.0,
                made_with={}, arrays={"noise": noise},
            )
        )  # fmt: skip
        return self.aged("results", id, age)

    def aged(self, kind: str, id: str, age: float) -> str:
        then = time.time() - age
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile by another process
            os.utime(self.store.root / kind / id / "used", (then, then))
        return id

    def there(self) -> set[str]:
        """The first digits of what the store holds."""
        return {one.id[0] for one in self.store.inventory()}

    def leftovers(self) -> list[Path]:
        return [path for path in self.store.root.rglob(".*") if path.name.startswith((".writing-", ".deleting-"))]


@pytest.fixture
def shop(tmp_path):
    return Shop(Store(tmp_path / "store", shipped=None))


@pytest.fixture
def child():
    """A function that starts Python on some code, in the project's folder, with arguments; ends with the test."""
    started = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
