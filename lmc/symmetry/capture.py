"""A model's graph of whole operations, taken by `torch.export` without touching the model."""

from __future__ import annotations

import copy
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from lmc.symmetry.axes import SymmetryError

# Export keeps process-wide state, so two threads must not trace at once.
_EXPORTING = threading.RLock()


@dataclass(frozen=True)
class Captured:
    """An exported graph in eval mode.

    Attributes:
        module: the graph; its nodes carry shapes, module paths and source lines in `meta`.
        stored: placeholder name to state-dict name, for parameters and buffers.
        constants: placeholder name to a tensor that is not in the state dict.
        inputs: the placeholders of the user's inputs.
        batch: the batch size that the graph is bound to, or None when any will do.
        dtype: the floating-point type the model had, which casts in the graph repeat.
    """

    module: GraphModule
    stored: dict[str, str]
    constants: dict[str, Tensor]
    inputs: tuple[str, ...]
    batch: int | None
    dtype: torch.dtype


def evaluation_copy(model: nn.Module) -> nn.Module:
    """A deep copy in eval mode without gradients, so that tracing leaves the model alone."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def capture(model: nn.Module, example: Tensor) -> Captured:
    """Export `model`, which must be in eval mode, on an example batch `[N, …]` with N ≥ 2.

    Raises:
        SymmetryError: the model cannot be exported.
    """
    dynamic = ({0: torch.export.Dim.AUTO},)
    with _EXPORTING, _quiet(), _same_random_state():
        try:
            program = torch.export.export(model, (example,), dynamic_shapes=dynamic, strict=False)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
            raise SymmetryError(
                "The model cannot be exported: control flow that depends on the data needs a "
                f"PermutationSpec written by hand ({type(error).__name__}: {reason})."
            ) from error
    return _captured(program, model, example)


def _captured(program: Any, model: nn.Module, example: Tensor) -> Captured:
    kinds = torch.export.graph_signature.InputKind
    saved = model.state_dict()
    buffers = dict(model.named_buffers(remove_duplicate=False))
    stored: dict[str, str] = {}
    constants: dict[str, Tensor] = {}
    inputs: list[str] = []
    for spec in program.graph_signature.input_specs:
        name, target = spec.arg.name, spec.target
        if spec.kind == kinds.USER_INPUT:
            inputs.append(name)
        elif target in saved:
            stored[name] = target
        else:
            value = program.constants.get(target, buffers.get(target))
            constants[name] = value.detach().clone() if isinstance(value, Tensor) else value
    placeholder = next(node for node in program.graph.nodes if node.name == inputs[0])
    size = placeholder.meta["val"].shape[0]
    # A model that calls len(x) turns the symbol into a number.
    batch = size if isinstance(size, int) else size.node.maybe_as_int()
    dtypes = [tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()]
    return Captured(
        module=program.graph_module,
        stored=stored,
        constants=constants,
        inputs=tuple(inputs),
        batch=batch,
        dtype=dtypes[0] if dtypes else example.dtype,
    )


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of a tensor in a node's `meta`, with the example's batch size; None for other values."""
    if not isinstance(value, Tensor):
        return None
    return tuple(size if isinstance(size, int) else int(size.node.hint) for size in value.shape)


def place_of(node: Node) -> str:
    """The operation, module path and source line of a node, for people to read."""
    modules = list((node.meta.get("nn_module_stack") or {}).values())
    path = modules[-1][0] if modules else ""
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines() if line.strip()]
    source = " ".join(lines[-2:]) if lines else "source line unknown"
    return f"{node.target} in {path or 'the model itself'}: {source}"


class _OtherThreads:
    """A stream that drops what the thread that made it writes: export prints the graph of a failure."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._silent = threading.get_ident()

    def write(self, text: str) -> int:
        """Pass the text on if another thread wrote it."""
        return len(text) if threading.get_ident() == self._silent else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep export's log off the screen: a failure is raised as one sentence instead."""
    loggers = [logging.getLogger(name) for name in ("torch.fx.experimental.symbolic_shapes", "torch.export")]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with redirect_stderr(_OtherThreads(sys.stderr)):
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Give back the global random state as it was found."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        yield
