"""Segments between networks, and the loss and error of many networks at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lmc.stacking import State, channels_last, is_small

ROWS = 10_000  # network-image pairs in one pass: activations of small networks stay in the cache
LARGE_POINTS = 1  # large networks of a segment that are in memory at once
IMAGES = 720  # images in one pass of a large network


def grid(points: int) -> list[float]:
    """`points` values of λ from 0 to 1, both included."""
    return np.linspace(0.0, 1.0, points).tolist()


def interpolate(a: Mapping[str, Tensor], b: Mapping[str, Tensor], lams: Sequence[float] | Tensor) -> State:
    """θ_λ = (1−λ)θ_A + λθ_B for every λ, stacked: `[points, *shape]`; the ends equal A and B exactly.

    Tensors that are not floating point are taken from A.
    """
    out = {}
    for name, start in a.items():
        if not start.is_floating_point():
            out[name] = start.expand(len(lams), *start.shape)
            continue
        lam = torch.as_tensor(lams, dtype=start.dtype, device=start.device).view(-1, *[1] * start.ndim)
        shape = (len(lams), *start.shape)
        out[name] = torch.lerp(start.expand(shape), b[name].expand(shape), lam)  # one pass, exact at both ends
    return out


def chunks(model: nn.Module, lams: Sequence[float]) -> Iterator[Sequence[float]]:
    """The grid in parts to go through at once: all of it for a small network, few points of a large one."""
    step = len(lams) if is_small(model) else LARGE_POINTS
    for start in range(0, len(lams), step):
        yield lams[start : start + step]


@torch.no_grad()
def evaluate(model: nn.Module, states: Mapping[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy (nats) and classification error in [0, 1] of stacked states, float64 `[stack]` each.

    `model` is a template whose own numbers are not used; `x` is `[N, ...]`, `y` is `[N]`, on the states' device.
    """
    loss = torch.zeros(_count(states), dtype=torch.float64, device=x.device)
    wrong = torch.zeros_like(loss)
    for places, images, logits in _passes(model, states, x):
        labels = y[images].expand(logits.shape[:-1])
        picked = logits.gather(-1, labels[..., None])[..., 0]
        loss[places] += (logits.logsumexp(-1) - picked).sum(-1, dtype=torch.float64)
        wrong[places] += (logits.argmax(-1) != labels).sum(-1)
    return loss / len(y), wrong / len(y)


@torch.no_grad()
def predict(model: nn.Module, states: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Class probabilities `[stack, N, classes]` of stacked states on the images `x`."""
    parts: dict[int, list[Tensor]] = {}
    for places, _, logits in _passes(model, states, x):
        parts.setdefault(places.start, []).append(logits.softmax(-1))
    return torch.cat([torch.cat(chunks, 1) for chunks in parts.values()])


def _passes(model: nn.Module, states: Mapping[str, Tensor], x: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """(places, images, logits `[places, images, classes]`) over all stacked states and images, in chunks."""
    model.eval()
    count = _count(states)
    if not is_small(model):
        for k in range(count):
            state = {name: channels_last(tensor[k]) for name, tensor in states.items()}
            for start in range(0, len(x), IMAGES):
                images = slice(start, min(start + IMAGES, len(x)))
                yield slice(k, k + 1), images, functional_call(model, state, (x[images],))[None]
        return
    batched = vmap(lambda state, images: functional_call(model, state, (images,)), in_dims=(0, None))
    step = max(1, ROWS // min(count, ROWS))
    for start in range(0, len(x), step):
        images = slice(start, min(start + step, len(x)))
        yield slice(0, count), images, batched(dict(states), x[images])


def _count(states: Mapping[str, Tensor]) -> int:
    return len(next(iter(states.values())))
