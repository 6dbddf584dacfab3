"""Networks and results on disk, found again by the id of their config.

A store is a folder:

    networks/ID/network.json             config, label, learning curves, versions
    networks/ID/epoch-00060.safetensors  a checkpoint, with a digest of its tensors in the header
    results/ID/result.json, arrays.npz   a finished experiment; result.json begins with a line that is its digest
    runs/ID/                             progress of a run (lmc.engine)
    damaged/                             what could not be read, set aside

Everything is written to a temporary name and renamed, so a reader never sees half a file. Below every store lies a
read-only layer: the networks and results that ship with the project. No torch is needed to read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lmc.errors import StoreError
from lmc.result import Result

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "pretrained"
_ID = re.compile(r"[0-9a-f]{16}")


def default_root() -> Path:
    """`$LMC_STORE`, else the user's data folder."""
    if os.environ.get("LMC_STORE"):
        return Path(os.environ["LMC_STORE"])
    try:
        from platformdirs import user_data_path
    except ImportError:
        return Path.home() / ".cache" / "lmc"
    return user_data_path("lmc-explorer", appauthor=False)


class Store:
    """The store in the folder `root`, made if missing.

    Raises StoreError if the folder cannot be written.
    """

    def __init__(self, root: str | Path | None = None, *, shipped: Path | None = SHIPPED) -> None:
        self.root = Path(root or default_root())
        self._unreadable: set[Path] = set()
        try:
            self.root = self.root.expanduser().resolve()
            for name in ("networks", "results", "runs"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except (OSError, RuntimeError) as error:
            raise self._refused(error) from None
        self._layers = [self.root] + ([shipped] if shipped else [])

    def _refused(self, error: Exception) -> StoreError:
        reason = getattr(error, "strerror", None) or error
        return StoreError(
            f"the store folder {self.root} cannot be written ({reason}); "
            "choose another with --store or the variable LMC_STORE"
        )

    # Results

    def save_result(self, result: Result) -> None:
        """Write a finished result, unless it is there already. Raises StoreError if the disk refuses."""
        if self.load_result(result.id) is not None:
            return
        content = json.dumps({name: getattr(result, name) for name in Result.__dataclass_fields__ if name != "arrays"})
        packed = io.BytesIO()
        np.savez_compressed(packed, **result.arrays)  # type: ignore[arg-type]
        with self._writing(self.root / "results" / _checked(result.id)) as folder:
            (folder / "arrays.npz").write_bytes(packed.getvalue())
            (folder / "result.json").write_text(f"{_result_digest(content, packed.getvalue())}\n{content}")

    def load_result(self, id: str) -> Result | None:
        """The result `id`, or None; a damaged one is set aside and counts as missing."""
        for folder in self._find("results", id):
            try:
                return _read_result(folder, id)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(f"the result in {folder} cannot be read ({error.strerror}); try again") from None
            except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
                self._set_aside(folder)
        return None

    def has_result(self, id: str) -> bool:
        """Whether a result `id` is there, unread."""
        return any((folder / "result.json").exists() for folder in self._find("results", id))

    def results(self) -> Iterator[Result]:
        """All readable results of this store, newest first; shipped ones are left out."""
        folders = [p for p in (self.root / "results").iterdir() if _ID.fullmatch(p.name)]
        for folder in sorted(folders, key=lambda p: p.stat().st_mtime, reverse=True):
            result = self.load_result(folder.name)
            if result is not None:
                yield result

    def load_result_text(self, id: str) -> dict[str, Any] | None:
        """The result `id` without its arrays, as plain data and unchecked: for lists, which need be quick. Or None."""
        for folder in self._find("results", id):
            with contextlib.suppress(OSError, ValueError):
                content = json.loads((folder / "result.json").read_text().split("\n", 1)[1])
                if isinstance(content, dict):
                    return content
        return None

    # Networks

    def save_network(
        self,
        id: str,
        about: Mapping[str, Any],
        checkpoints: Mapping[int, Mapping[str, np.ndarray]],
    ) -> None:
        """Add checkpoints (epoch → state) to the network `id`; those already there are left alone."""
        folder = self.root / "networks" / _checked(id)
        try:
            folder.mkdir(exist_ok=True)
            for epoch, state in checkpoints.items():
                path = folder / _checkpoint_name(epoch)
                if not path.exists():
                    arrays = {name: np.asarray(value, order="C") for name, value in state.items()}
                    written = {"network": id, "epoch": str(epoch), "digest": digest(arrays)}
                    _write(path, save(arrays, metadata=written))
            if not (folder / "network.json").exists():
                _write(folder / "network.json", json.dumps(dict(about)).encode())
        except OSError as error:
            raise self._refused(error) from None

    def load_checkpoint(self, id: str, epoch: int) -> dict[str, np.ndarray] | None:
        """The state of network `id` after `epoch`, or None; a damaged file is set aside and counts as missing."""
        for folder in self._find("networks", id):
            path = folder / _checkpoint_name(epoch)
            if not path.exists():
                continue
            try:
                return _read_checkpoint(path, id, epoch)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(f"the network in {path} cannot be read ({error.strerror}); try again") from None
            except (ValueError, SafetensorError):
                self._set_aside(path)
        return None

    def load_about(self, id: str) -> dict[str, Any] | None:
        """Config, label, curves and versions of network `id`, or None."""
        for folder in self._find("networks", id):
            with contextlib.suppress(OSError):
                try:
                    about = json.loads((folder / "network.json").read_text())
                    if isinstance(about, dict):
                        return about
                except ValueError:
                    pass
                self._set_aside(folder / "network.json")
        return None

    def networks(self) -> Iterator[dict[str, Any]]:
        """What `load_about` says of every network, newest first; shipped ones come last."""
        for layer in self._layers:
            folders = [p for p in (layer / "networks").glob("*") if _ID.fullmatch(p.name)]
            for folder in sorted(folders, key=lambda p: (p.stat().st_mtime, p.name), reverse=True):
                about = self.load_about(folder.name)
                if about is not None:
                    yield about

    def update_about(self, id: str, changes: Mapping[str, Any]) -> None:
        """Change entries of what `load_about` says of a network of this store. Raises StoreError if it holds none."""
        with self.lock("about", id):
            about = None if self.is_shipped(id) else self.load_about(id)
            if about is None:
                raise StoreError(f"the store {self.root} holds no network {id} of its own")
            try:
                _write(self.root / "networks" / id / "network.json", json.dumps({**about, **changes}).encode())
            except OSError as error:
                raise self._refused(error) from None

    def files(self, id: str) -> dict[str, os.stat_result]:
        """The files of network `id` by name; none if there is no such network."""
        for folder in self._find("networks", id):
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                return {entry.name: entry.stat() for entry in entries if not entry.name.startswith(".")}
        return {}

    def delete_network(self, id: str) -> None:
        """Remove the network from this store; results that were made with it stay. Shipped ones cannot be removed.

        Raises StoreError while a run holds it.
        """
        try:
            with self.lock("network", id, patience=0.2):
                shutil.rmtree(self.root / "networks" / _checked(id), ignore_errors=True)
        except TimeoutError:
            raise StoreError("a run uses this network; try again when that has ended") from None

    def is_shipped(self, id: str) -> bool:
        """Whether the network came with the project, and this store has no copy of its own."""
        return not (self.root / "networks" / _checked(id)).is_dir()

    def changes(self, kind: str) -> dict[str, int]:
        """Id → when it last changed, in ns, of all `networks` or `results`, shipped ones included; nothing is read."""
        found: dict[str, int] = {}
        for layer in reversed(self._layers):  # the store's own copy wins
            with contextlib.suppress(FileNotFoundError), os.scandir(layer / kind) as entries:
                found |= {entry.name: entry.stat().st_mtime_ns for entry in entries if _ID.fullmatch(entry.name)}
        return found

    def run_folder(self, id: str) -> Path:
        """Where the progress of a run is kept."""
        return self.root / "runs" / _checked(id)

    @contextlib.contextmanager
    def lock(self, kind: str, id: str, patience: float = -1) -> Iterator[None]:
        """Hold the lock of one run or network, across processes; without filelock installed there is none.

        Raises TimeoutError when another holds it for longer than `patience` seconds (default: wait for ever).
        """
        try:
            from filelock import FileLock
        except ImportError:
            yield
            return
        (self.root / "locks").mkdir(exist_ok=True)
        with FileLock(self.root / "locks" / f"{kind}-{_checked(id)}", timeout=patience):
            yield

    def _find(self, kind: str, id: str) -> Iterator[Path]:
        for layer in self._layers:
            folder = layer / kind / _checked(id)
            if folder.is_dir() and folder not in self._unreadable:
                yield folder

    @contextlib.contextmanager
    def _writing(self, target: Path) -> Iterator[Path]:
        folder = target.with_name(f".writing-{os.getpid()}-{time.time_ns()}")
        try:
            folder.mkdir()
            yield folder
            if target.exists():
                target.rename(folder.with_name(folder.name + "-old"))
            folder.rename(target)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder.with_name(folder.name + "-old"), ignore_errors=True)

    def _set_aside(self, path: Path) -> None:
        """Move what cannot be read to `damaged/`; a file of the shipped layer is left alone."""
        if not path.is_relative_to(self.root):
            self._unreadable.add(path)
            return
        (self.root / "damaged").mkdir(exist_ok=True)
        name = "-".join(path.relative_to(self.root).parts)
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            path.rename(self.root / "damaged" / f"{name}-{time.time_ns()}")


def with_seconds(result: Result, seconds: float) -> Result:
    """The same result, produced in `seconds`."""
    return replace(result, seconds=round(seconds, 3))


def _checked(id: str) -> str:
    if not _ID.fullmatch(id):
        raise StoreError(f"{id!r} is no id; an id has 16 hexadecimal digits")
    return id


def _checkpoint_name(epoch: int) -> str:
    return f"epoch-{epoch:05d}.safetensors"


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """64 hex digits of the SHA-256 of names, dtypes, shapes and values."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        found.update(arrays[name].tobytes())
    return found.hexdigest()


def _result_digest(content: str, packed: bytes) -> str:
    return hashlib.sha256(content.encode() + b"\n" + packed).hexdigest()


def _read_result(folder: Path, id: str) -> Result:
    digest, content = (folder / "result.json").read_text().split("\n", 1)
    packed = (folder / "arrays.npz").read_bytes()
    if digest != _result_digest(content, packed):
        raise ValueError("the digest does not fit the result")
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        result = Result(**json.loads(content), arrays=dict(arrays))
    if result.id != id:
        raise ValueError("it is the result of another config")
    return result


def _read_checkpoint(path: Path, id: str, epoch: int) -> dict[str, np.ndarray]:
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if (file.metadata() or {}) != {"network": id, "epoch": str(epoch), "digest": digest(arrays)}:
            raise ValueError("the digest does not fit the tensors, or it is another network")
    return arrays


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
