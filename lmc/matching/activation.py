"""Activation matching (Git Re-Basin, section 3.1; Pearson correlation as in Li et al. 2015 and REPAIR)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lmc.matching.assignment import assign_together
from lmc.matching.base import Match, Task
from lmc.permutation import identity
from lmc.stacking import channels_last

KERNELS = ("pearson", "dot")
LAYERS = ("last", "all")
Layers = Literal["last", "all"]
IMAGES = 1_024  # images in one pass, fewer when their activations fill more than
NUMBERS = 2**23  # numbers
CHUNK = 2**16  # numbers that are in double precision at once: they stay in the cache


def activation_matching(task: Task, *, kernel: str = "pearson", layers: Layers = "last") -> Match:
    """Pair the units that answer alike on the training images; every group is one assignment problem of its own.

    Blocks of units (heads) go with what their units reach together. A group that no activation carries keeps its order.
    `kernel` is `pearson` (correlation) or `dot` (uncentred inner product) of post-activation values, which are those
    of the `last` nonlinearity that carries the group, or of `all` of them.

    Raises:
        ValueError: the kernel or the layers are unknown.
    """
    usual = (kernel, layers) == ("pearson", "last")
    similarity = task.correlation if usual else unit_similarity(task, kernel, layers)
    permutation = identity(task.spec)
    for groups in task.spec.together():
        if set(groups) <= similarity.keys() | set(task.spec.blocks.values()):
            permutation |= assign_together(task.spec, groups, similarity)[0]
    return Match(permutation, task.objective(permutation))


@torch.no_grad()
def unit_similarity(task: Task, kernel: str, layers: Layers = "last") -> dict[str, Tensor]:
    """Similarity of every unit of A with every unit of B, group → `[units, units]` float64, in one pass.

    Samples are images, their pixels and, of `all` layers, the nonlinearities: means and deviations are those of all of
    them joined. What the networks give is summed in float64, and how many images are taken at once changes nothing. A
    unit that never changes (a dead one) has correlation 0 with all. Groups that no activation carries are left out, and
    blocks, whose units speak for them.

    Raises:
        ValueError: the kernel or the layers are unknown.
    """
    if kernel not in KERNELS:
        raise ValueError(f"unknown kernel {kernel!r}; choose one of: {', '.join(KERNELS)}")
    if layers not in LAYERS:
        raise ValueError(f"unknown layers {layers!r}; choose one of: {', '.join(LAYERS)}")
    a, b = ({name: channels_last(tensor) for name, tensor in state.items()} for state in (task.a, task.b))
    sums: dict[str, _Moments] = {}
    for images in task.inputs.split(_images(task, layers)):
        images = channels_last(images)
        of_a, of_b = (task.traced.activations(state, images, layers) for state in (a, b))
        for group in of_a.keys() - task.spec.blocks.values():
            if group not in sums:
                sums[group] = _Moments(of_a[group][0], of_b[group][0])
            sums[group].add(of_a[group], of_b[group])
    found = [group for group in task.spec.groups if group in sums]
    return {group: sums[group].pearson() if kernel == "pearson" else sums[group].dot() for group in found}


def _images(task: Task, layers: Layers) -> int:
    """How many images can go through at once: convolutions have an activation for every pixel."""
    few = task.inputs[:2]
    numbers = sum(values.numel() for values in task.traced.activations(task.a, few, layers).values()) // len(few)
    return max(2, min(IMAGES, NUMBERS // max(1, numbers)))


class _Moments:
    """Running sums of two sets of samples `[samples, units]`, float64.

    They are kept around one of the samples, so that little cancels later and units that never change have exactly 0.
    """

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.centre_a, self.centre_b = a.double(), b.double()
        self.rounding = 8 * torch.finfo(a.dtype).eps
        self.count = 0
        self.a, self.b, self.aa, self.bb = (torch.zeros_like(self.centre_a) for _ in range(4))
        self.ab = torch.outer(self.a, self.b)

    def add(self, a: Tensor, b: Tensor) -> None:
        self.count += len(a)
        rows = max(1, CHUNK // a.shape[1])
        for x, y in zip(a.split(rows), b.split(rows), strict=True):
            x, y = x - self.centre_a, y - self.centre_b
            self.ab.addmm_(x.T, y)
            self.a += x.sum(0)
            self.b += y.sum(0)
            self.aa += x.square().sum(0)
            self.bb += y.square().sum(0)

    def pearson(self) -> Tensor:
        covariance = self.ab / self.count - torch.outer(self.a, self.b) / self.count**2
        deviation_a = self._deviation(self.a, self.aa, self.centre_a)
        deviation_b = self._deviation(self.b, self.bb, self.centre_b)
        scale = torch.outer(deviation_a, deviation_b)
        return torch.where(scale > 0, covariance / torch.where(scale > 0, scale, 1.0), 0.0)

    def _deviation(self, total: Tensor, squares: Tensor, centre: Tensor) -> Tensor:
        """The standard deviation of every unit, 0 where it is no more than rounding."""
        mean = total / self.count
        deviation = (squares / self.count - mean**2).clamp_min(0).sqrt()
        return torch.where(deviation > self.rounding * (mean + centre).abs(), deviation, 0.0)

    def dot(self) -> Tensor:
        mean_a, mean_b = self.a / self.count, self.b / self.count
        shifts = torch.outer(mean_a, self.centre_b) + torch.outer(self.centre_a, mean_b)
        return self.ab / self.count + shifts + torch.outer(self.centre_a, self.centre_b)
