"""Shared by all tests: no test sees the user's own store, and workers that share the cores take one thread each."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import settings

settings.register_profile("calm", deadline=None)  # machines are busy at times, and that is no fault of the code
settings.load_profile("calm")


@pytest.fixture(scope="session", autouse=True)
def _own_store(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("LMC_STORE", str(tmp_path_factory.mktemp("default-store")))
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _one_thread_a_worker():
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        patch = pytest.MonkeyPatch()
        patch.setenv("OMP_NUM_THREADS", "1")  # for children
        import torch

        torch.set_num_threads(1)
        yield
        patch.undo()
    else:
        yield


@pytest.fixture(scope="session")
def digits():
    """The digits, float32."""
    from lmc.data import load

    return load("digits")


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory):
    """One store for all tests of a worker that only add to it; the shipped networks are left out."""
    from lmc.store import Store

    return Store(tmp_path_factory.mktemp("shared-store"), shipped=None)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB of its own, and a function that makes it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    subprocess.run(["umount", "-l", str(folder)], check=True)
