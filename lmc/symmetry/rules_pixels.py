"""Convolution, pooling and resizing: channels move, pixels do not."""

from __future__ import annotations

import re

from lmc.symmetry.axes import Fixed, product
from lmc.symmetry.call import Call, operation, rule
from lmc.symmetry.reshaped import Terms


@rule("conv1d", "conv2d", "conv3d")
def convolution(call: Call) -> Terms:
    """Weight `[groups·outputs, inputs, *kernel]`, input channels `groups·inputs`: a linear layer in each group.

    Groups move as blocks, and so do inputs and outputs alike in every group. Without groups, and in a
    depthwise convolution, that leaves one axis for input and one for output; depthwise they are the same.
    """
    weight, bias = call.axes("weight"), call.optional("bias")
    inputs, pixels = _channels_and_pixels(call, "input", len(weight) - 2)
    groups = call.unifier.fresh(call["groups"])
    outputs = call.unifier.fresh(weight[0].size // groups.size)
    call.unify(inputs[-1], product((groups, weight[1])))
    call.unify(weight[0], product((groups, outputs)))
    call.fix(*weight[2:])
    if bias is not None:
        call.unify(bias[0], weight[0])
    return (*inputs[:-1], weight[0], *pixels)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(call: Call) -> Terms:
    """Weight `[groups·inputs, outputs, *kernel]`: a convolution with its two channel axes exchanged."""
    weight, bias = call.axes("weight"), call.optional("bias")
    inputs, pixels = _channels_and_pixels(call, "input", len(weight) - 2)
    groups = call.unifier.fresh(call["groups"])
    call.unify(weight[0], product((groups, call.unifier.fresh(weight[0].size // groups.size))))
    call.unify(inputs[-1], weight[0])
    call.fix(*weight[2:])
    channel = product((groups, weight[1]))
    if bias is not None:
        call.unify(bias[0], channel)
    return (*inputs[:-1], channel, *pixels)


@rule(
    *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg") for n in (1, 2, 3)),
    *(f"max_pool{n}d_with_indices" for n in (1, 2, 3)),
    *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "bicubic2d")),
)
def pool(call: Call) -> Terms | list[Terms]:
    """Each channel by itself, with the same windows: values and places of maxima move with the channel."""
    found = re.search(r"(\d)d", operation(call.node))
    assert found is not None
    name = "input" if call.get("input") is not None else "self"
    channels, pixels = _channels_and_pixels(call, name, int(found[1]))
    result = (*channels, *pixels)
    return [result] * len(call.shapes) if len(call.shapes) > 1 else result


def _channels_and_pixels(call: Call, name: str, spatial: int) -> tuple[Terms, Terms]:
    """The input's axes before its pixels, which are fixed, and the output's pixels."""
    inputs = call.axes(name)
    call.fix(*inputs[-spatial:])
    return inputs[:-spatial], tuple(map(Fixed, call.shape[-spatial:]))
