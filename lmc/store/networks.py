"""Networks in a store: their checkpoints, and what is known of them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmc.errors import StoreError
from lmc.store.content import Damaged, packed_checkpoint, read_about, read_checkpoint, write_file
from lmc.store.folders import Folders
from lmc.store.layout import PINNED, USED, checked, checkpoint_name


class Networks(Folders):
    """The networks of a store, and those that ship with the project."""

    def save_network(
        self,
        id: str,
        about: Mapping[str, Any],
        checkpoints: Mapping[int, Mapping[str, np.ndarray]],
    ) -> None:
        """Add checkpoints (epoch → state) to the network `id`; those already there are left alone.

        Raises StoreError if the disk refuses.
        """
        folder = self.root / "networks" / checked(id)
        try:
            try:
                self._add(folder, about, checkpoints)
            except FileNotFoundError:  # somebody deleted it just now
                self._add(folder, about, checkpoints)
        except OSError as error:
            raise self._refused(error) from None

    def load_checkpoint(self, id: str, epoch: int) -> dict[str, np.ndarray] | None:
        """The state of network `id` after `epoch`, or None; a damaged file is set aside and counts as missing.

        The network counts as used now.
        """
        for folder in self._find("networks", id):
            path = folder / checkpoint_name(epoch)
            try:
                arrays = read_checkpoint(path, id, epoch)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise StoreError(f"the network in {path} cannot be read ({error.strerror}); try again") from None
            except Damaged:
                self._set_aside(path)
                continue
            self._mark_used(folder)
            return arrays
        return None

    def load_about(self, id: str) -> dict[str, Any] | None:
        """Config, label, curves and versions of network `id`, or None."""
        for folder in self._find("networks", id):
            try:
                return read_about(folder / "network.json")
            except OSError:
                continue
            except Damaged:
                self._set_aside(folder / "network.json")
        return None

    def networks(self) -> Iterator[dict[str, Any]]:
        """What `load_about` says of every network, newest first; shipped ones come last."""
        for layer in self._layers:
            for id in self._newest_first("networks", layer):
                about = self.load_about(id)
                if about is not None:
                    yield about

    def update_about(self, id: str, changes: Mapping[str, Any]) -> None:
        """Change entries of what `load_about` says of a network of this store. Raises StoreError if it holds none."""
        with self.lock("about", id):
            about = None if self.is_shipped(id) else self.load_about(id)
            if about is None:
                raise StoreError(f"the store {self.root} holds no network {id} of its own")
            try:
                write_file(self.root / "networks" / id / "network.json", json.dumps({**about, **changes}).encode())
            except OSError as error:
                raise self._refused(error) from None

    def files(self, id: str) -> dict[str, os.stat_result]:
        """The files of network `id` by name; none if there is no such network."""
        for folder in self._find("networks", id):
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                return {entry.name: entry.stat() for entry in entries if _holds_data(entry.name)}
        return {}

    def holds(self, id: str, epochs: Iterable[int]) -> bool:
        """Whether there is a network `id` with checkpoints after all these epochs; nothing is read."""
        files = self.files(id)
        return "network.json" in files and all(checkpoint_name(epoch) in files for epoch in epochs)

    def delete_network(self, id: str) -> None:
        """Remove the network from this store; results that were made with it stay. Nothing happens if it holds none.

        Raises StoreError for a shipped or pinned one, and while a run holds it.
        """
        try:
            self._delete("networks", id)
        except TimeoutError:
            raise StoreError("a run uses this network; try again when that has ended") from None

    def is_shipped(self, id: str) -> bool:
        """Whether the network came with the project, and this store has no copy of its own."""
        return self._own("networks", id) is None

    def _add(self, folder: Path, about: Mapping[str, Any], checkpoints: Mapping[int, Mapping[str, np.ndarray]]) -> None:
        folder.mkdir(exist_ok=True)
        self._mark_used(folder)
        for epoch, state in checkpoints.items():
            path = folder / checkpoint_name(epoch)
            if not path.exists():
                write_file(path, packed_checkpoint(folder.name, epoch, state))
        if not (folder / "network.json").exists():
            write_file(folder / "network.json", json.dumps(dict(about)).encode())


def _holds_data(name: str) -> bool:
    return not name.startswith(".") and name not in (USED, PINNED)
