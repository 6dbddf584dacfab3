"""Operations that treat every entry by itself, and those that reduce an axis to one value."""

from __future__ import annotations

from lmc.symmetry.axes import Axis, Fixed
from lmc.symmetry.call import Call, Known, normal_dims, rule
from lmc.symmetry.reshaped import Terms

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
        "prelu",
    ]
)
# The same tensor again.
SAME = frozenset(
    [
        "alias",
        "clone",
        "contiguous",
        "detach",
        "dropout",
        "alpha_dropout",
        "feature_dropout",
        "feature_alpha_dropout",
        "identity",
        "lift_fresh",
        "lift_fresh_copy",
    ]
)
# One tensor in, the same axes out, every entry by itself.
UNARY = frozenset(
    [
        "to",
        "_to_copy",
        "neg",
        "abs",
        "sign",
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
ELEMENTWISE = frozenset(
    [
        "add",
        "sub",
        "rsub",
        "mul",
        "div",
        "maximum",
        "minimum",
        "lerp",
        "addcmul",
        "addcdiv",
        "where",
        "masked_fill",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
    ]
)
# What comes out does not depend on the order of what goes in.
REDUCTIONS = frozenset(
    ["mean", "sum", "var", "std", "var_mean", "std_mean", "amax", "amin", "logsumexp", "linalg_vector_norm", "norm"]
)


@rule(*(NONLINEARITIES - {"prelu"}), *UNARY, *ELEMENTWISE)
def pointwise(call: Call) -> Terms:
    """Entry by entry with broadcasting: axes that meet move together, as in a residual addition."""
    return tuple(call.broadcast(call.operands(), len(call.shape)))


@rule(*SAME)
def same(call: Call) -> Known:
    """What goes in comes out."""
    return call.reshaped() or call.operands()[0]


@rule("prelu")
def prelu(call: Call) -> Terms:
    """A slope for each channel, axis 1, or one for all."""
    inputs, slopes = call.axes("self"), call.axes("weight")
    if slopes and slopes[0].size > 1:
        call.unify(slopes[0], inputs[min(1, len(inputs) - 1)])
    return inputs


@rule("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "zeros", "ones", "full")
def constant(call: Call) -> Terms:
    """Equal entries look the same in any order."""
    return tuple(call.unifier.fresh(size) for size in call.shape)


@rule(*REDUCTIONS)
def reduction(call: Call) -> Terms | list[Terms]:
    """Sums and the like over any axes, permuted or not, are the same; the other axes pass through."""
    inputs = call.axes("self")
    given = call.get("dim")
    # An empty list means all axes, as None does.
    dims = normal_dims(None if given == [] else given, len(inputs))
    ones: Terms = (Fixed(1),) if call.get("keepdim") else ()
    kept: list[Axis] = []
    for dim, axis in enumerate(inputs):
        kept += ones if dim in dims else (axis,)
    return [tuple(kept)] * len(call.shapes) if len(call.shapes) > 1 else tuple(kept)


@rule("softmax", "log_softmax", "_softmax", "_log_softmax")
def softmax(call: Call) -> Terms:
    """Over an axis that does not move: classes or tokens, never units."""
    inputs = call.axes("self")
    call.require_fixed(inputs[call["dim"]])
    return inputs
