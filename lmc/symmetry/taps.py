"""Reading a group's activations out of a captured graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_aggregate, map_arg

from lmc.symmetry.axes import Axis, Fixed, Group, SymmetryError, spans
from lmc.symmetry.capture import Captured


@dataclass(frozen=True)
class Tap:
    """Where a group's units lie in a node's output.

    Attributes:
        group: the group's name.
        node: the node's name.
        dim: the axis that holds the group.
        start, stop: the run of that axis; stop None means all of it, whatever the batch size.
        sizes: the factors of the run, row-major; -1 once where it may grow with the batch.
        place: which of the factors is the group.
    """

    group: str
    node: str
    dim: int
    start: int
    stop: int | None
    sizes: tuple[int, ...]
    place: int

    def read(self, value: Tensor) -> Tensor:
        """The activations `[samples, units]`: all other axes and factors are samples."""
        value = value.narrow(self.dim, self.start, (self.stop or value.shape[self.dim]) - self.start)
        if len(self.sizes) > 1:
            value = value.unflatten(self.dim, self.sizes)
        units = value.movedim(self.dim + self.place, -1)
        return units.reshape(-1, units.shape[-1])


def taps_of(node: Node, axes: tuple[Axis, ...]) -> Iterator[Tap]:
    """One tap for every group that lies along an axis of the node's output."""
    seen: set[str] = set()
    for dim, axis in enumerate(axes):
        try:
            runs = spans(axis)
        except SymmetryError:
            continue
        for start, stop, factors in runs:
            sizes = [factor.size for factor in factors]
            fixed = [place for place, factor in enumerate(factors) if isinstance(factor, Fixed)]
            if fixed and len(runs) == 1:
                sizes[fixed[0]] = -1
            for place, factor in enumerate(factors):
                if isinstance(factor, Group) and factor.name not in seen:
                    seen.add(factor.name)
                    end = stop if len(runs) > 1 else None
                    yield Tap(factor.name, node.name, dim, start, end, tuple(sizes), place)


def read_taps(
    captured: Captured, state: Mapping[str, Tensor], x: Tensor, taps: Collection[Tap]
) -> dict[str, list[Tensor]]:
    """Run the graph until the last tap and return what the taps read, in graph order, by group.

    Raises:
        KeyError: the state lacks an entry that the graph uses.
    """
    wanted: dict[str, list[Tap]] = {}
    for tap in taps:
        wanted.setdefault(tap.node, []).append(tap)
    found: dict[str, list[Tensor]] = {}
    last_use = _last_uses(captured)
    inplace = any(_changes_input(node) for node in captured.module.graph.nodes)
    values: dict[Node, Any] = {}
    for node in captured.module.graph.nodes:
        if not wanted:
            break
        if node.op == "output" or _is_check(node):
            continue
        values[node] = _evaluate(captured, node, values, state, x)
        for tap in wanted.pop(node.name, ()):
            reading = tap.read(values[node])
            # A later in-place operation would change a reading that is only a view.
            found.setdefault(tap.group, []).append(reading.clone() if inplace else reading)
        for used in last_use.get(node, ()):
            values.pop(used, None)
    return found


def _evaluate(
    captured: Captured, node: Node, values: Mapping[Node, Any], state: Mapping[str, Tensor], x: Tensor
) -> Any:
    if node.op == "placeholder":
        return _placeholder(captured, node.name, state, x) if node.users else None
    if node.op == "get_attr":
        return getattr(captured.module, str(node.target))
    if node.target is torch.ops.aten.sym_size.int:
        tensor, dim = node.args
        return values[tensor].shape[dim]  # type: ignore[index]
    dtype = _dtype_of(state, x)

    def here(value: Any) -> Any:
        """The graph repeats the type and device it was traced with; the run has its own."""
        if isinstance(value, torch.dtype) and value == captured.dtype:
            return dtype
        return x.device if isinstance(value, torch.device) else value

    args, kwargs = map_arg((node.args, node.kwargs), lambda used: values[used])
    assert callable(node.target)
    return node.target(*map_aggregate(args, here), **map_aggregate(kwargs, here))


def _placeholder(captured: Captured, name: str, state: Mapping[str, Tensor], x: Tensor) -> Any:
    if name in captured.inputs:
        return x
    if name in captured.stored:
        return state[captured.stored[name]]
    constant = captured.constants[name]
    if isinstance(constant, Tensor):
        same = constant.dtype == captured.dtype
        return constant.to(device=x.device, dtype=_dtype_of(state, x) if same else constant.dtype)
    return constant


def _dtype_of(state: Mapping[str, Tensor], x: Tensor) -> torch.dtype:
    if x.is_floating_point():
        return x.dtype
    return next((tensor.dtype for tensor in state.values() if tensor.is_floating_point()), x.dtype)


def _is_check(node: Node) -> bool:
    """Assertions on types and sizes that export adds: they hold for the traced batch only."""
    name = str(node.target)
    return "_assert" in name or "sym_constrain" in name


def _changes_input(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _last_uses(captured: Captured) -> dict[Node, list[Node]]:
    """For every node the values that nothing after it needs."""
    last: dict[Node, Node] = {}
    for node in captured.module.graph.nodes:
        if node.op != "output" and not _is_check(node):
            for used in node.all_input_nodes:
                last[used] = node
    uses: dict[Node, list[Node]] = {}
    for used, node in last.items():
        uses.setdefault(node, []).append(used)
    return uses
