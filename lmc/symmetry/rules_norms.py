"""Normalisation layers: their parameters and statistics move with what they normalise."""

from __future__ import annotations

from lmc.symmetry.axes import Sum, concatenation, product
from lmc.symmetry.call import Call, rule
from lmc.symmetry.reshaped import Terms


@rule("layer_norm", "rms_norm")
def layer_norm(call: Call) -> Terms:
    """Weight and bias move with the axes normalised over; mean and variance do not see an order."""
    inputs = call.axes("input")
    for name in ("weight", "bias"):
        affine = call.optional(name)
        if affine is not None:
            for axis, along in zip(affine, inputs[len(inputs) - len(affine) :], strict=True):
                call.unify(axis, along)
    return inputs


@rule("batch_norm", "instance_norm")
def batch_norm(call: Call) -> Terms:
    """Parameters and running statistics, one each a channel, move with the channel, axis 1."""
    inputs = call.axes("input")
    parts = [call.optional(name) for name in ("weight", "bias")]
    parts += [call.statistics(name) for name in ("running_mean", "running_var")]
    for part in parts:
        if part is not None:
            call.unify(part[0], inputs[1])
    return inputs


@rule("group_norm")
def group_norm(call: Call) -> Terms:
    """Channels are `[groups, members]`: whole groups move, and members alike in every group.

    Members could move in each group on its own, but then no group could take another's place. Only where the
    channels are a concatenation, whose parts can hardly be whole groups that are alike, that is the choice.
    """
    inputs, groups = call.axes("input"), call["num_groups"]
    channel = inputs[1]
    members = channel.size // groups
    if isinstance(call.unifier.resolve(channel), Sum):
        call.unify(channel, concatenation(call.unifier.fresh(members) for _ in range(groups)))
    else:
        call.unify(channel, product((call.unifier.fresh(groups), call.unifier.fresh(members))))
    for name in ("weight", "bias"):
        affine = call.optional(name)
        if affine is not None:
            call.unify(affine[0], channel)
    return inputs
