"""One operation of a graph as a rule sees it, and the register of rules.

A rule gets a `Call`, unifies the axes that must move together and returns the terms of the output's axes.
It returns None, or lets a `SymmetryError` pass, when the call is outside what it covers; the tracer then
fixes every axis that the operation touches, which loses symmetry but never breaks the function.

A rule is right when the operation, given inputs permuted along their terms, gives its output permuted along
the terms that the rule returned, whatever the permutations of the groups are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from torch import Tensor
from torch.fx import Node

from lmc.symmetry.axes import Axis, Fixed, SymmetryError, Unifier, groups_in
from lmc.symmetry.capture import shape_of
from lmc.symmetry.reshaped import Reshaped, Terms

# What is known of a node: one tensor's terms, or several tensors', perhaps not worked out yet.
Known = Terms | Reshaped | list[Terms] | list[Reshaped]


class Tracer(Protocol):
    """What a call needs to know of the trace it belongs to."""

    unifier: Unifier
    deferred: list[tuple[Axis, Node]]
    terms: dict[Node, Known]

    def terms_of(self, node: Node) -> Terms | None:
        """The terms of a node's tensor, None for anything else."""

    def statistics_of(self, node: Node) -> Terms:
        """The terms of a buffer that joins its channel instead of staying fixed."""


class Call:
    """One operation of the graph, as a rule sees it."""

    def __init__(self, tracer: Tracer, node: Node) -> None:
        self.tracer = tracer
        self.node = node
        value = node.meta.get("val")
        several = value if isinstance(value, tuple | list) else [value]
        self.shapes = [shape_of(part) or () for part in several]  # of all outputs
        self.shape = self.shapes[0] if several else ()
        self.unifier = tracer.unifier

    def __getitem__(self, name: str) -> Any:
        """An argument by its name in the operator's schema, or its default.

        Raises:
            SymmetryError: the operator has no argument of this name.
        """
        for position, argument in enumerate(self.node.target._schema.arguments):  # type: ignore[union-attr]
            if argument.name == name:
                if position < len(self.node.args) and not argument.kwarg_only:
                    return self.node.args[position]
                return self.node.kwargs.get(name, argument.default_value)
        raise SymmetryError(f"{self.node.target} has no argument {name!r}.")

    def get(self, name: str, default: Any = None) -> Any:
        """As `call[name]`, or `default` where this overload of the operator has no such argument."""
        try:
            return self[name]
        except SymmetryError:
            return default

    def axes(self, name: str) -> Terms:
        """The terms of a tensor argument; buffers are fixed by being asked for.

        Raises:
            SymmetryError: the argument is not one tensor.
        """
        return self._terms(self[name])

    def tensors(self, name: str) -> list[Terms]:
        """The terms of an argument that is a list of tensors."""
        return [self._terms(value) for value in self[name]]

    def _terms(self, value: Any) -> Terms:
        terms = self.tracer.terms_of(value) if isinstance(value, Node) else None
        if terms is None:
            raise SymmetryError(f"{value} in {self.node.target} is not one tensor.")
        return terms

    def optional(self, name: str) -> Terms | None:
        """The terms of a tensor argument, or None when it was not given or the operator has none of the name."""
        return None if self.get(name) is None else self.axes(name)

    def statistics(self, name: str) -> Terms | None:
        """The terms of a running statistic, free to join its channel; None when it was not given."""
        return None if self[name] is None else self.tracer.statistics_of(self[name])

    def operands(self) -> list[Terms]:
        """The terms of every tensor that goes in.

        Raises:
            SymmetryError: nothing is known about one of them.
        """
        tensors = [node for node in self.node.all_input_nodes if isinstance(node.meta.get("val"), Tensor)]
        return [self._terms(node) for node in tensors]

    def reshaped(self) -> Reshaped | None:
        """The first input, when it is a reshape whose axes nobody has asked for yet."""
        known = self.tracer.terms.get(self.node.args[0])  # type: ignore[arg-type]
        return known if isinstance(known, Reshaped) and not known.asked() else None

    def unify(self, a: Axis, b: Axis) -> None:
        """Make two axes move together."""
        self.unifier.unify(a, b)

    def fix(self, *axes: Axis) -> None:
        """Hold axes along which the operation has an order of its own, such as the pixels of a convolution."""
        self.unifier.fix(*axes)

    def movable(self, axis: Axis) -> bool:
        """Whether anything along the axis may still move."""
        return any(groups_in(self.unifier.resolve(axis)))

    def require_fixed(self, axis: Axis) -> None:
        """Ask that an axis does not move; if it still would at the end it is fixed and reported."""
        self.tracer.deferred.append((axis, self.node))

    def broadcast(self, operands: Iterable[Terms], ndim: int) -> list[Axis]:
        """Axes that meet, counted from the last, move together; one entry meets any number."""
        result: list[Axis] = [Fixed(1)] * ndim
        for terms in operands:
            for position, axis in enumerate(terms, start=ndim - len(terms)):
                if axis.size == 1:
                    continue
                if result[position].size == 1:
                    result[position] = axis
                else:
                    self.unify(result[position], axis)
        return result


Rule = Callable[[Call], Known | None]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for operations, named without overload and without a trailing underscore."""

    def register(function: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"{name!r} already has a rule.")
            RULES[name] = function
        return function

    return register


def operation(node: Node) -> str:
    """The bare name of a node's operation: `aten.add_.Tensor` is `add`."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        name = getattr(node.target, "__name__", str(node.target))
        return "getitem" if node.target is operator.getitem else name
    name = schema.name.rpartition("::")[2]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def normal_dims(dims: int | Iterable[int] | None, ndim: int) -> list[int]:
    """Axis numbers counted from the front; None means all of them."""
    if dims is None:
        return list(range(ndim))
    return [dim % ndim for dim in ([dims] if isinstance(dims, int) else dims)]
