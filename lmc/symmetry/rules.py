"""What every operation does to the axes of its tensors: one small function an operation.

A rule gets a `Call`, unifies the axes that must move together and returns the terms of the output's axes.
It returns None, or lets a `SymmetryError` pass, when the call is outside what it covers; the tracer then
fixes every axis that the operation touches, which loses symmetry but never breaks the function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from torch import Tensor
from torch.fx import Node

from lmc.symmetry.axes import Axis, Fixed, SymmetryError, Unifier, product

Terms = tuple[Axis, ...]


class Tracer(Protocol):
    """What a call needs to know of the trace it belongs to."""

    unifier: Unifier
    deferred: list[tuple[Axis, Node]]

    def terms_of(self, node: Node) -> Terms | list[Terms] | None:
        """The terms of a node's tensor, a list for several tensors, None for anything else."""

    def statistics_of(self, node: Node) -> Terms:
        """The terms of a buffer that joins its channel instead of staying fixed."""


class Call:
    """One operation of the graph, as a rule sees it."""

    def __init__(self, tracer: Tracer, node: Node, shape: tuple[int, ...]) -> None:
        self.tracer = tracer
        self.node = node
        self.shape = shape  # of the output; () for several outputs
        self.unifier = tracer.unifier

    def __getitem__(self, name: str) -> Any:
        """An argument by its name in the operator's schema, or its default."""
        for position, argument in enumerate(self.node.target._schema.arguments):  # type: ignore[union-attr]
            if argument.name == name:
                if position < len(self.node.args) and not argument.kwarg_only:
                    return self.node.args[position]
                return self.node.kwargs.get(name, argument.default_value)
        raise SymmetryError(f"{self.node.target} has no argument {name!r}.")

    def axes(self, name: str) -> Terms:
        """The terms of a tensor argument; buffers are fixed by being asked for.

        Raises:
            SymmetryError: the argument is not one tensor.
        """
        value = self[name]
        terms = self.tracer.terms_of(value) if isinstance(value, Node) else None
        if not isinstance(terms, tuple):
            raise SymmetryError(f"the argument {name!r} of {self.node.target} is not one tensor.")
        return terms

    def optional(self, name: str) -> Terms | None:
        """The terms of a tensor argument, or None when it was not given."""
        return None if self[name] is None else self.axes(name)

    def statistics(self, name: str) -> Terms | None:
        """The terms of a running statistic, free to join its channel; None when it was not given."""
        return None if self[name] is None else self.tracer.statistics_of(self[name])

    def operands(self) -> list[Terms]:
        """The terms of every tensor that goes in.

        Raises:
            SymmetryError: nothing is known about one of them.
        """
        tensors = [node for node in self.node.all_input_nodes if isinstance(node.meta.get("val"), Tensor)]
        terms = [self.tracer.terms_of(node) for node in tensors]
        if not all(isinstance(found, tuple) for found in terms):
            raise SymmetryError(f"an input of {self.node.target} has no terms.")
        return terms  # type: ignore[return-value]

    def unify(self, a: Axis, b: Axis) -> None:
        """Make two axes move together."""
        self.unifier.unify(a, b)

    def require_fixed(self, axis: Axis) -> None:
        """Ask that an axis does not move; if it still would at the end it is fixed and reported."""
        self.tracer.deferred.append((axis, self.node))


Rule = Callable[[Call], Terms | list[Terms] | None]
RULES: dict[str, Rule] = {}

# The operations whose outputs are a unit's activation.
NONLINEARITIES = frozenset(
    [
        "relu",
        "relu6",
        "gelu",
        "tanh",
        "sigmoid",
        "silu",
        "elu",
        "selu",
        "celu",
        "leaky_relu",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "mish",
        "softplus",
        "softsign",
        "log_sigmoid",
    ]
)
# One tensor in, the same axes out, every entry by itself.
UNARY = frozenset(
    [
        "dropout",
        "alpha_dropout",
        "contiguous",
        "clone",
        "alias",
        "identity",
        "detach",
        "lift_fresh",
        "lift_fresh_copy",
        "to",
        "_to_copy",
        "neg",
        "abs",
        "exp",
        "expm1",
        "log",
        "log1p",
        "sqrt",
        "rsqrt",
        "square",
        "reciprocal",
        "erf",
        "sin",
        "cos",
        "clamp",
        "clamp_min",
        "clamp_max",
        "pow",
    ]
)
ELEMENTWISE = frozenset(["add", "sub", "rsub", "mul", "div", "maximum", "minimum"])


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


@rule(*NONLINEARITIES, *UNARY, *ELEMENTWISE)
def pointwise(call: Call) -> Terms:
    """Entry by entry with broadcasting: axes that meet move together, as in a residual addition."""
    result: list[Axis] = [Fixed(1)] * len(call.shape)
    for terms in call.operands():
        for position, axis in enumerate(terms, start=len(result) - len(terms)):
            if axis.size == 1:
                continue
            if result[position].size == 1:
                result[position] = axis
            else:
                call.unify(result[position], axis)
    return tuple(result)


@rule("linear")
def linear(call: Call) -> Terms | None:
    """The input's last axis is the weight's axis 1; bias and output are its axis 0."""
    inputs, weight, bias = call.axes("input"), call.axes("weight"), call.optional("bias")
    if len(weight) != 2:
        return None
    call.unify(inputs[-1], weight[1])
    if bias is not None:
        call.unify(bias[-1], weight[0])
    return (*inputs[:-1], weight[0])


@rule("matmul", "mm", "bmm")
def matmul(call: Call) -> Terms | None:
    """Rows by columns: the axes summed over are one, batch axes broadcast."""
    left, right = call.operands() if len(call.operands()) == 2 else ((), ())
    if len(left) < 2 or len(right) < 2:
        return None
    call.unify(left[-1], right[-2])
    batch: list[Axis] = [Fixed(1)] * (len(call.shape) - 2)
    for terms in (left[:-2], right[:-2]):
        for position, axis in enumerate(terms, start=len(batch) - len(terms)):
            if batch[position].size > 1 and axis.size > 1:
                call.unify(batch[position], axis)
            elif axis.size > 1:
                batch[position] = axis
    return (*batch, left[-2], right[-1])


@rule("layer_norm")
def layer_norm(call: Call) -> Terms:
    """Weight and bias move with the axes normalised over; mean and variance do not see an order."""
    inputs = call.axes("input")
    for name in ("weight", "bias"):
        affine = call.optional(name)
        if affine is not None:
            for axis, along in zip(affine, inputs[len(inputs) - len(affine) :], strict=True):
                call.unify(axis, along)
    return inputs


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze")
def reshape(call: Call) -> Terms:
    """The same entries row-major: the products of all axes before and after are the same term."""
    inputs = call.operands()[0]
    outputs = tuple(call.unifier.fresh(size) for size in call.shape)
    call.unify(product(inputs), product(outputs))
    return outputs


@rule("transpose", "swapaxes", "swapdims")
def transpose(call: Call) -> Terms:
    """Two axes trade places."""
    inputs = list(call.operands()[0])
    a, b = normal_dims(call.node.args[1:3], len(inputs))  # type: ignore[arg-type]
    inputs[a], inputs[b] = inputs[b], inputs[a]
    return tuple(inputs)


@rule("t", "numpy_T")
def reverse(call: Call) -> Terms:
    """Axes in the opposite order."""
    return call.axes("self")[::-1]


@rule("permute")
def permute(call: Call) -> Terms:
    """Axes in the order asked for."""
    inputs = call.axes("self")
    return tuple(inputs[dim] for dim in normal_dims(call["dims"], len(inputs)))


@rule("softmax", "log_softmax", "_softmax", "_log_softmax")
def softmax(call: Call) -> Terms:
    """Over an axis that does not move: classes or tokens, never units."""
    inputs = call.axes("self")
    call.require_fixed(inputs[call["dim"]])
    return inputs


@rule("mean")
def mean(call: Call) -> Terms:
    """Over axes that do not move: pixels or tokens."""
    inputs = call.axes("self")
    default = str(getattr(call.node.target, "_overloadname", "")) == "default"
    dims = normal_dims(None if default else call["dim"] or None, len(inputs))
    for dim in dims:
        call.require_fixed(inputs[dim])
    kept = not default and call["keepdim"]
    ones: Terms = (Fixed(1),) if kept else ()
    return tuple(axis for dim, term in enumerate(inputs) for axis in (ones if dim in dims else (term,)))
