"""Activation matching (Git Re-Basin, section 3.1; Pearson correlation as in Li et al. 2015 and REPAIR)."""

from __future__ import annotations

import torch
from torch import Tensor

from lmc.matching.assignment import assign_together
from lmc.matching.base import Match, Task
from lmc.permutation import identity

IMAGES = 1_024  # images in one pass, fewer when their activations fill more than
NUMBERS = 2**25  # numbers


def activation_matching(task: Task, *, kernel: str = "pearson") -> Match:
    """Pair the units that answer alike on the training images; every group is one assignment problem of its own.

    Blocks of units (heads) go with what their units reach together. A group that no activation carries keeps its order.
    `kernel` is `pearson` (correlation) or `dot` (uncentred inner product) of post-activation values.
    """
    if kernel not in ("pearson", "dot"):
        raise ValueError(f"unknown kernel {kernel!r}; choose one of: pearson, dot")
    similarity = task.correlation if kernel == "pearson" else unit_similarity(task, kernel)
    permutation = identity(task.spec)
    for groups in task.spec.together():
        if set(groups) <= similarity.keys() | set(task.spec.blocks.values()):
            permutation |= assign_together(task.spec, groups, similarity)[0]
    return Match(permutation, task.objective(permutation))


@torch.no_grad()
def unit_similarity(task: Task, kernel: str) -> dict[str, Tensor]:
    """Similarity of every unit of A with every unit of B, group → `[units, units]` float64, in one pass.

    Sums are kept in float64. A unit that never changes (a dead one) has correlation 0 with all. Groups that no
    activation carries are left out, and blocks, whose units speak for them.
    """
    sums: dict[str, _Moments] = {}
    for images in task.inputs.split(_images(task)):
        of_a, of_b = task.traced.activations(task.a, images), task.traced.activations(task.b, images)
        for group in of_a.keys() - task.spec.blocks.values():
            values = of_a[group]
            sums.setdefault(group, _Moments()).add(values.double(), of_b[group].double())
    found = [group for group in task.spec.groups if group in sums]
    return {group: sums[group].pearson() if kernel == "pearson" else sums[group].dot() for group in found}


def _images(task: Task) -> int:
    """How many images can go through at once: convolutions have an activation for every pixel."""
    few = task.inputs[:2]
    numbers = sum(values.numel() for values in task.traced.activations(task.a, few).values()) // len(few)
    return max(2, min(IMAGES, NUMBERS // max(1, numbers)))


class _Moments:
    """Running sums of two sets of samples `[samples, units]`."""

    def __init__(self) -> None:
        self.count = 0
        self.a = self.b = self.aa = self.bb = self.ab = torch.zeros(())

    def add(self, a: Tensor, b: Tensor) -> None:
        if not self.count:  # sums are kept around the first samples' means, so that little cancels later
            self.centre_a, self.centre_b = a.mean(0), b.mean(0)
            self.a = self.b = self.aa = self.bb = self.ab = torch.zeros((), dtype=a.dtype, device=a.device)
        a, b = a - self.centre_a, b - self.centre_b
        self.count += len(a)
        self.a, self.b = self.a + a.sum(0), self.b + b.sum(0)
        self.aa, self.bb = self.aa + (a * a).sum(0), self.bb + (b * b).sum(0)
        self.ab = self.ab + a.T @ b

    def pearson(self) -> Tensor:
        n = self.count
        covariance = self.ab / n - torch.outer(self.a, self.b) / n**2
        scale_a, scale_b = (self.aa / n - (self.a / n) ** 2), (self.bb / n - (self.b / n) ** 2)
        scale = torch.outer(scale_a.clamp_min(0).sqrt(), scale_b.clamp_min(0).sqrt())
        return torch.where(scale > 1e-12, covariance / scale.clamp_min(1e-12), 0.0)

    def dot(self) -> Tensor:
        n = self.count
        mean_a, mean_b = self.a / n + self.centre_a, self.b / n + self.centre_b
        return self.ab / n - torch.outer(self.a, self.b) / n**2 + torch.outer(mean_a, mean_b)
