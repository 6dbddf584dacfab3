"""Tensors put together and taken apart along an axis."""

from __future__ import annotations

from torch.fx import Node

from lmc.symmetry.axes import Axis, Fixed, concatenation
from lmc.symmetry.call import Call, Known, rule
from lmc.symmetry.reshaped import Reshaped, Terms


@rule("cat", "concat", "concatenate")
def cat(call: Call) -> Terms:
    """One axis is the sum of the inputs' axes, the others are one."""
    # An empty vector may be concatenated with anything.
    tensors = [terms for terms in call.tensors("tensors") if len(terms) == len(call.shape)]
    dim = call["dim"] % len(call.shape)
    result = _one(call, tensors, dim)
    result[dim] = concatenation(terms[dim] for terms in tensors)
    return tuple(result)


@rule("stack")
def stack(call: Call) -> Terms:
    """The inputs' axes are one, and the new axis has their order."""
    tensors = call.tensors("tensors")
    dim = call["dim"] % len(call.shape)
    result = _one(call, tensors, None)
    return (*result[:dim], Fixed(len(tensors)), *result[dim:])


def _one(call: Call, tensors: list[Terms], apart: int | None) -> list[Axis]:
    """The axes that several tensors share, all but `apart`."""
    first, *others = tensors
    for terms in others:
        for dim, (a, b) in enumerate(zip(first, terms, strict=True)):
            if dim != apart:
                call.unify(a, b)
    return list(first)


@rule("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split")
def split(call: Call) -> list[Terms]:
    """Runs of an axis, one after the other."""
    inputs = call.axes("self")
    dim, start, result = call["dim"] % len(inputs), 0, []
    for shape in call.shapes:
        result.append(_with_part(call, inputs, dim, start, shape[dim]))
        start += shape[dim]
    return result


@rule("slice", "narrow")
def run(call: Call) -> Terms | None:
    """A run of an axis, cut from it; every n-th entry only of an axis that does not move."""
    inputs, dim = call.axes("self"), call["dim"]
    dim, start = dim % len(inputs), call["start"] or 0
    stride = call.get("step", 1)
    size, length = inputs[dim].size, call.shape[dim]
    if length == size:
        return inputs
    if stride != 1 or isinstance(start, Node):
        call.fix(inputs[dim])
        return (*inputs[:dim], Fixed(length), *inputs[dim + 1 :])
    return _with_part(call, inputs, dim, max(start + size, 0) if start < 0 else start, length)


@rule("select")
def select(call: Call) -> Known | None:
    """One entry of an axis: it cannot move any more, and the axis is gone."""
    if isinstance(call["index"], Node):
        return None
    ndim = len(call.shape) + 1
    return _entry(call, call["dim"] % ndim, call["index"])


@rule("unbind")
def unbind(call: Call) -> list[Terms] | list[Reshaped]:
    """Every entry of an axis."""
    dim = call["dim"] % (len(call.shape) + 1)
    return [_entry(call, dim, index) for index in range(len(call.shapes))]  # type: ignore[return-value]


def _entry(call: Call, dim: int, index: int) -> Terms | Reshaped:
    waiting = call.reshaped()
    if waiting is not None:
        size = call.node.args[0].meta["val"].shape[dim]  # type: ignore[union-attr]
        found = waiting.selected(dim, index % size) if isinstance(size, int) else None
        if found is not None:
            return found
    inputs = call.operands()[0]
    terms = _with_part(call, inputs, dim, index % inputs[dim].size, 1)
    return (*terms[:dim], *terms[dim + 1 :])


def _with_part(call: Call, inputs: Terms, dim: int, start: int, length: int) -> Terms:
    return (*inputs[:dim], call.unifier.part(inputs[dim], start, length), *inputs[dim + 1 :])


@rule("glu")
def glu(call: Call) -> Terms:
    """The first half of an axis times the sigmoid of the second."""
    inputs = call.axes("self")
    dim = call["dim"] % len(inputs)
    half = call.shape[dim]
    first, second = (call.unifier.part(inputs[dim], start, half) for start in (0, half))
    call.unify(first, second)
    return (*inputs[:dim], first, *inputs[dim + 1 :])


@rule("pad", "constant_pad_nd")
def pad(call: Call) -> Terms:
    """Constants on both sides of an axis that may move, and move themselves; other padding is of fixed axes."""
    result = list(call.axes("self"))
    widths = call["pad"]
    for place in range(len(widths) // 2):
        dim = len(result) - 1 - place
        before, after = widths[2 * place], widths[2 * place + 1]
        if before == after == 0:
            continue
        if call.get("mode", "constant") != "constant" or not call.movable(result[dim]):
            call.fix(result[dim])
            result[dim] = Fixed(call.shape[dim])
            continue
        kept = result[dim].size + min(before, 0) + min(after, 0)
        inner = call.unifier.part(result[dim], max(-before, 0), kept)
        result[dim] = concatenation((call.unifier.fresh(max(before, 0)), inner, call.unifier.fresh(max(after, 0))))
    return tuple(result)


@rule("flip", "roll")
def reorder(call: Call) -> Terms | None:
    """Entries in another order along axes that must not move."""
    inputs = call.axes("self")
    if not call["dims"]:
        return None
    call.fix(*(inputs[dim] for dim in call["dims"]))
    return inputs
