"""The state of a training under way as bytes, from which it goes on as if nothing had happened.

The content is a safetensors file; its header says in JSON what it is. It is only as good as it is whole: a digest
covers every number in it, and content that is damaged, or of another training, format or version of torch, counts
as none.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from lmc.stacking import State

FORMAT = 1  # raised when names or meaning of what is saved change
LARGEST_SHARE = 0.05  # of the time between two saves that saving may take
_CHECKPOINTS = "checkpoints"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Resume:
    """Where a training saves its state, and finds it again.

    Networks are trained in stacks; `places` are those of a stack in `starts`. `load(places)` is asked once a stack
    and returns what `save(places, content)` was given last, None if there is nothing. `every` is the time in seconds
    between two saves, 0 for one after every epoch. What `load` and `save` raise ends the training.
    """

    load: Callable[[tuple[int, ...]], bytes | None]
    save: Callable[[tuple[int, ...], bytes], None]
    every: float = 20.0


@dataclass(frozen=True)
class Snapshot:
    """A stack after `epoch`: all tensors that the next epoch depends on, by name, and what was kept of each network.

    `curves` and `checkpoints` (by epoch) have one entry a network.
    """

    epoch: int
    tensors: State
    curves: list[Rows]
    checkpoints: list[dict[int, State]]


class Saves:
    """Loads and saves the snapshots of one stack; `identify` gives what tells its training from every other."""

    def __init__(self, resume: Resume, places: tuple[int, ...], identify: Callable[[], str]) -> None:
        self._resume, self._places, self._identify = resume, places, identify
        self._next = time.monotonic() + resume.every

    @cached_property
    def _training(self) -> str:
        return self._identify()  # not before it is needed: short trainings save nothing

    def load(self) -> Snapshot | None:
        """What was saved of this training, if it is of use."""
        content = self._resume.load(self._places)
        return None if content is None else unpack(content, self._training)

    def offer(self, snapshot: Callable[[], Snapshot]) -> None:
        """Save it if it is time; after a save that took long, the next one is further away."""
        start = time.monotonic()
        if start < self._next:
            return
        self._resume.save(self._places, pack(snapshot(), self._training))
        end, every = time.monotonic(), self._resume.every
        self._next = end + (max(every, (end - start) / LARGEST_SHARE) if every else 0.0)


def tensors_of(parameters: Sequence[Tensor], buffers: State, optimizer: torch.optim.Optimizer) -> State:
    """All that the next epoch of a training depends on, by name; no copies."""
    return _named(parameters, buffers, [optimizer.state[tensor] for tensor in parameters])


def restore(
    saved: Mapping[str, Tensor], parameters: Sequence[Tensor], buffers: State, optimizer: torch.optim.Optimizer
) -> bool:
    """Copy what `tensors_of` gave into a training; False, and nothing is changed, if names, shapes or types differ.

    Numbers are copied into memory that torch laid out, where they lie as in a training that was not interrupted.
    """
    moments = [_moments(tensor, optimizer) for tensor in parameters]
    targets = _named(parameters, buffers, moments)
    if _layout(saved) != _layout(targets):
        return False
    for name, target in targets.items():
        target.copy_(saved[name])
    for tensor, kept in zip(parameters, moments, strict=True):
        optimizer.state[tensor] = kept
    return True


def _named(parameters: Sequence[Tensor], buffers: State, moments: Sequence[State]) -> State:
    out = {f"parameters/{i}": tensor for i, tensor in enumerate(parameters)}
    out |= {f"buffers/{name}": tensor for name, tensor in buffers.items()}
    return out | {f"optimizer/{i}/{key}": tensor for i, kept in enumerate(moments) for key, tensor in kept.items()}


def _moments(tensor: Tensor, optimizer: torch.optim.Optimizer) -> State:
    """What the optimiser keeps of one tensor between steps, blank."""
    if isinstance(optimizer, torch.optim.Adam):
        step = torch.zeros((), dtype=torch.float32, device=tensor.device)
        return {"step": step, "exp_avg": torch.zeros_like(tensor), "exp_avg_sq": torch.zeros_like(tensor)}
    return {"momentum_buffer": torch.zeros_like(tensor)} if optimizer.param_groups[0]["momentum"] else {}


def _layout(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def pack(snapshot: Snapshot, training: str) -> bytes:
    """The snapshot as safetensors; `training` says of which training it is."""
    tensors = dict(snapshot.tensors)
    for place, kept in enumerate(snapshot.checkpoints):
        for epoch, state in kept.items():
            tensors |= {f"{_CHECKPOINTS}/{place}/{epoch}/{name}": tensor for name, tensor in state.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {
        "format": FORMAT,
        "torch": str(torch.__version__),
        "training": training,
        "dtypes": sorted({str(tensor.dtype) for tensor in tensors.values()}),
        "epoch": snapshot.epoch,
        "curves": snapshot.curves,
    }
    text = json.dumps(about)
    return safetensors.torch.save(tensors, metadata={"state": text, "digest": digest(text, tensors)})


def unpack(content: bytes, training: str) -> Snapshot | None:
    """What `pack` made for this `training`, on the CPU; None if it is damaged or was made by another version.

    The tensors are views of the content's memory.
    """
    try:
        text, written, tensors = _read(content)
        if digest(text, tensors) != written:
            return None
    except Exception:  # damaged bytes fail in every way that the readers below can
        return None
    about = json.loads(text)
    expected = {"format": FORMAT, "torch": str(torch.__version__), "training": training}
    if any(about.get(key) != value for key, value in expected.items()):
        return None
    checkpoints: list[dict[int, State]] = [{} for _ in about["curves"]]
    for name in [name for name in tensors if name.startswith(f"{_CHECKPOINTS}/")]:
        _, place, epoch, inner = name.split("/", 3)
        checkpoints[int(place)].setdefault(int(epoch), {})[inner] = tensors.pop(name)
    return Snapshot(about["epoch"], tensors, about["curves"], checkpoints)


def _read(content: bytes) -> tuple[str, str, State]:
    """The header's description and digest, and the tensors."""
    size = int.from_bytes(content[:8], "little")
    notes = json.loads(content[8 : 8 + size])["__metadata__"]
    return notes["state"], notes["digest"], safetensors.torch.load(content)


def digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a text and of names, types, shapes and numbers of tensors, in whatever order they come."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
