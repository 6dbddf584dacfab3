"""The same entries in another shape or order of axes."""

from __future__ import annotations

from lmc.symmetry.axes import Axis, product
from lmc.symmetry.call import Call, Known, normal_dims, rule
from lmc.symmetry.reshaped import Reshaped, Terms


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as")
def reshape(call: Call) -> Known:
    """The same entries row-major: the products of all axes before and after are the same term."""
    return Reshaped.of(call.unifier, call.axes("self"), call.shape)


@rule("squeeze")
def squeeze(call: Call) -> Known:
    """Axes of one entry go."""
    waiting = call.reshaped()
    if waiting is None:
        return Reshaped.of(call.unifier, call.axes("self"), call.shape)
    ndim = len(call.node.args[0].meta["val"].shape)  # type: ignore[union-attr]
    return waiting.squeezed(normal_dims(call.get("dim"), ndim))


@rule("unsqueeze")
def unsqueeze(call: Call) -> Known:
    """An axis of one entry comes."""
    waiting = call.reshaped()
    if waiting is None:
        return Reshaped.of(call.unifier, call.axes("self"), call.shape)
    return waiting.unsqueezed(call["dim"] % len(call.shape))


def _in_order(call: Call, dims: list[int]) -> Known:
    waiting = call.reshaped()
    if waiting is not None:
        return waiting.permuted(dims)
    inputs = call.axes("self")
    return tuple(inputs[dim] for dim in dims)


@rule("permute")
def permute(call: Call) -> Known:
    """Axes in the order asked for."""
    return _in_order(call, normal_dims(call["dims"], len(call.shape)))


@rule("transpose", "swapaxes", "swapdims")
def transpose(call: Call) -> Known:
    """Two axes trade places."""
    dims = list(range(len(call.shape)))
    a, b = normal_dims(call.node.args[1:3], len(dims))  # type: ignore[arg-type]
    dims[a], dims[b] = b, a
    return _in_order(call, dims)


@rule("mT")
def matrix_transpose(call: Call) -> Known:
    """The last two axes trade places."""
    *others, a, b = range(len(call.shape))
    return _in_order(call, [*others, b, a])


@rule("t", "numpy_T")
def reverse(call: Call) -> Known:
    """Axes in the opposite order."""
    return _in_order(call, list(range(len(call.shape)))[::-1])


@rule("movedim", "moveaxis")
def movedim(call: Call) -> Known:
    """Some axes go elsewhere, the others keep their order."""
    ndim = len(call.shape)
    sources, targets = normal_dims(call["source"], ndim), normal_dims(call["destination"], ndim)
    moving = dict(zip(targets, sources, strict=True))
    others = (dim for dim in range(ndim) if dim not in sources)
    return _in_order(call, [moving[dim] if dim in moving else next(others) for dim in range(ndim)])


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call) -> Terms:
    """Channels `[groups, members]` become `[members, groups]`."""
    inputs, groups = call.axes("self"), call["groups"]
    outer, inner = call.unifier.fresh(groups), call.unifier.fresh(inputs[1].size // groups)
    call.unify(inputs[1], product((outer, inner)))
    return (inputs[0], product((inner, outer)), *inputs[2:])


@rule("expand", "expand_as", "broadcast_to")
def expand(call: Call) -> Terms:
    """Copies of one entry look the same in any order."""
    inputs = call.axes("self")
    result = [call.unifier.fresh(size) for size in call.shape]
    for position, axis in enumerate(inputs, start=len(result) - len(inputs)):
        if axis.size == result[position].size:
            result[position] = axis
    return tuple(result)


@rule("repeat", "tile")
def repeat(call: Call) -> Terms:
    """Copies of an axis one after the other: `[copies, axis]`, and the copies in any order."""
    inputs = call.axes("self")
    result: list[Axis] = [call.unifier.fresh(size) for size in call.shape]
    for position, axis in enumerate(inputs, start=len(result) - len(inputs)):
        result[position] = product((call.unifier.fresh(call.shape[position] // axis.size), axis))
    return tuple(result)


@rule("repeat_interleave")
def repeat_interleave(call: Call) -> Terms | None:
    """Copies of an entry beside it: `[axis, copies]`, and the copies in any order."""
    if not isinstance(call["repeats"], int) or call["dim"] is None:
        return None
    inputs = list(call.axes("self"))
    dim = call["dim"] % len(inputs)
    inputs[dim] = product((inputs[dim], call.unifier.fresh(call["repeats"])))
    return tuple(inputs)
