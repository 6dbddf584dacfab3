"""Networks in memory, with the interface of a store: what travels to a worker and what comes back from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass
class Kept:
    """One network: what is known of it, and its checkpoints by epoch."""

    about: dict[str, Any]
    checkpoints: dict[int, Arrays] = field(default_factory=dict, repr=False)


class States(Protocol):
    """Where the state of a training that is not finished is kept, under a name of 16 hexadecimal digits."""

    def load_state(self, name: str) -> bytes | None: ...
    def save_state(self, name: str, content: bytes) -> None: ...
    def delete_state(self, name: str) -> None: ...


class Keeper(States, Protocol):
    """What a run needs of a store (`lmc.store.Store`, or a shelf)."""

    def load_about(self, id: str) -> dict[str, Any] | None: ...
    def load_checkpoint(self, id: str, epoch: int) -> Arrays | None: ...
    def save_network(
        self, id: str, about: Mapping[str, Any], checkpoints: Mapping[int, Mapping[str, np.ndarray]]
    ) -> None: ...
    def update_about(self, id: str, changes: Mapping[str, Any]) -> None: ...
    def lock(self, kind: str, id: str, patience: float = -1) -> contextlib.AbstractContextManager[None]: ...


def kept(keeper: Keeper, id: str, epochs: Iterable[int]) -> Kept | None:
    """What the keeper holds of the network at these epochs, None if some of it is not there."""
    about = keeper.load_about(id)
    states = {epoch: keeper.load_checkpoint(id, epoch) for epoch in epochs}
    whole = {epoch: state for epoch, state in states.items() if state is not None}
    return None if about is None or len(whole) < len(states) else Kept(about, whole)


class Shelf:
    """The given networks, and those that are added; training states go to `states`, if there is one."""

    def __init__(self, networks: Mapping[str, Kept] | None = None, states: States | None = None) -> None:
        self.networks = dict(networks or {})
        self._states = states

    def load_about(self, id: str) -> dict[str, Any] | None:
        return self.networks[id].about if id in self.networks else None

    def load_checkpoint(self, id: str, epoch: int) -> Arrays | None:
        return self.networks[id].checkpoints.get(epoch) if id in self.networks else None

    def save_network(
        self, id: str, about: Mapping[str, Any], checkpoints: Mapping[int, Mapping[str, np.ndarray]]
    ) -> None:
        kept = self.networks.setdefault(id, Kept(dict(about)))
        for epoch, arrays in checkpoints.items():
            kept.checkpoints.setdefault(epoch, dict(arrays))

    def update_about(self, id: str, changes: Mapping[str, Any]) -> None:
        self.networks[id].about.update(changes)

    @contextlib.contextmanager
    def lock(self, kind: str, id: str, patience: float = -1) -> Iterator[None]:  # noqa: ARG002 - nobody shares it
        yield

    def load_state(self, name: str) -> bytes | None:
        return self._states.load_state(name) if self._states else None

    def save_state(self, name: str, content: bytes) -> None:
        if self._states:
            self._states.save_state(name, content)

    def delete_state(self, name: str) -> None:
        if self._states:
            self._states.delete_state(name)
