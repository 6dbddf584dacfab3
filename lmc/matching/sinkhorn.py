"""Differentiable matching with soft permutations (Peña et al. 2023, 'Re-basin via implicit Sinkhorn differentiation').

The gradient goes through the Sinkhorn iterations themselves, which for as few of them as here is no more work.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from lmc.matching.base import Course, Match, Report, Task, Watch, moving, quiet, unseen
from lmc.matching.cycle_consistent import rounded
from lmc.matching.judge import Judge
from lmc.permutation import Permutation, apply_permutation, identity
from lmc.seeds import generator
from lmc.simplex import centroid
from lmc.stacking import State
from lmc.symmetry import PermutationSpec

LOSSES = ("l2", "midpoint", "random")
STEPS = 300
RATE = 0.1  # of Adam
TEMPERATURES = (1.0, 0.1)  # of the first step and the last
ITERATIONS = 20
ROUND = 10  # steps from one rounding to the next
POINTS = 5  # of the segment on which random points are judged


def sinkhorn(
    task: Task,
    *,
    loss: str = "midpoint",
    seed: int = 0,
    steps: int = STEPS,
    report: Report = quiet,
    watch: Watch = unseen,
) -> Match:
    """Descend a loss of soft permutations, which Sinkhorn iterations make of scores, and round them by assignment.

    The scores begin at 0, where a soft permutation prefers no order, and the temperature falls step by step. Blocks
    of units (heads) have scores of their own, and those of the units in them follow. Every few steps the soft
    permutations are rounded; of these permutations and the identity the one is taken that has the lowest loss: of
    `l2` the squared distance of A and the permuted B; of `midpoint` and `random` (points of the segment) that of
    minibatches is descended, and the mean loss there on images that are held back decides.

    Raises:
        ValueError: the loss is unknown, or needs labels that the task does not have.
    """
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; choose one of: {', '.join(LOSSES)}")
    course = Course(watch)
    if not moving(task.spec):
        return Match(identity(task.spec), 0.0)
    distance = _Distance(task) if loss == "l2" else _Segment(task, loss == "random", generator("sinkhorn", seed))
    scores = Scores(task.spec, task.a[task.spec.parameters[0]])
    optimizer = torch.optim.Adam(scores.values.values(), lr=RATE)
    own = {name: task.b[name] for name in moving(task.spec)}
    best = identity(task.spec)
    course.add(distance.of(best))
    for step in range(steps):
        report(step / steps, f"step {step + 1} of {steps}, loss {course.last:.3f}")
        soft = scores.soft(_temperature(step, steps))
        optimizer.zero_grad()
        distance.descend(softly_permuted(task.spec, soft, own))
        optimizer.step()
        reached = course.last
        if (step + 1) % ROUND == 0 or step + 1 == steps:
            trial = rounded(task.spec, {group: matrix.detach()[None] for group, matrix in soft.items()})[0]
            if (found := distance.of(trial)) < reached:
                best, reached = trial, found
        course.add(reached)
    return Match(best, task.objective(best), course.steps)


def doubly_stochastic(scores: Tensor, temperature: float, iterations: int = ITERATIONS) -> Tensor:
    """The soft permutations `[..., units, units]` that Sinkhorn iterations in log space make of scores.

    Columns sum to 1, rows as nearly as the iterations get. At low temperature they tend to the permutation with the
    highest sum of scores.
    """
    logs = scores / temperature
    for _ in range(iterations):
        logs = balanced(logs)
    return logs.exp()


def balanced(logs: Tensor) -> Tensor:
    """One Sinkhorn iteration on logarithms `[..., units, units]`: rows are made to sum to 1, then columns."""
    logs = logs - logs.logsumexp(-1, keepdim=True)
    return logs - logs.logsumexp(-2, keepdim=True)


def softly_permuted(spec: PermutationSpec, soft: Mapping[str, Tensor], parameters: State) -> State:
    """Parameters under soft permutations, group → `[units, units]` with a row for every place.

    With the matrices of permutations this is `apply_permutation`. Differentiable by `soft`.
    """
    found = {}
    for name, tensor in parameters.items():
        found[name] = tensor.clone()
        for piece in spec.pieces(name):
            block = piece.take(tensor)
            for axis, group in enumerate(piece.groups):
                if group:
                    block = torch.tensordot(soft[group], block, ([1], [axis])).movedim(0, axis)
            found[name][piece.slices] = block.reshape(found[name][piece.slices].shape)
    return found


class Scores:
    """What the soft permutations of all groups are made of.

    A group has scores `[units, units]`; units in blocks have some for every pair of blocks, `[blocks, blocks, units,
    units]`.
    """

    def __init__(self, spec: PermutationSpec, like: Tensor) -> None:
        self.spec = spec
        self.values = {name: like.new_zeros(self._shape(name)).requires_grad_() for name in spec.groups}

    def _shape(self, name: str) -> tuple[int, ...]:
        units = self.spec.groups[name]
        if name not in self.spec.blocks:
            return units, units
        blocks = self.spec.groups[self.spec.blocks[name]]
        return blocks, blocks, units // blocks, units // blocks

    def soft(self, temperature: float) -> dict[str, Tensor]:
        """Group → soft permutation `[units, units]`, of units in blocks shared out as the blocks are."""
        alike: dict[torch.Size, list[str]] = {}
        for name, scores in self.values.items():
            alike.setdefault(scores.shape, []).append(name)
        found: dict[str, Tensor] = {}
        for names in alike.values():  # of one size at once
            made = doubly_stochastic(torch.stack([self.values[name] for name in names]), temperature)
            found |= dict(zip(names, made, strict=True))
        for name, blocks in self.spec.blocks.items():
            tiles = found[blocks][:, :, None, None] * found[name]
            found[name] = tiles.transpose(1, 2).reshape(self.spec.groups[name], -1)
        return found


class _Distance:
    """The squared distance of A and the permuted B."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def descend(self, moved: State) -> None:
        """Add the gradient of the soft permutations that made `moved`."""
        torch.stack([(self.task.a[name] - tensor).square().sum() for name, tensor in moved.items()]).sum().backward()

    def of(self, permutation: Permutation) -> float:
        """The squared distance under a permutation, summed in float64."""
        moved = apply_permutation(self.task.spec, permutation, self.task.b)
        names = moving(self.task.spec)
        return sum(float((self.task.a[name].double() - moved[name].double()).square().sum()) for name in names)


class _Segment:
    """The loss at the midpoint of A and the permuted B, or at random points between them."""

    def __init__(self, task: Task, anywhere: bool, draws: torch.Generator) -> None:
        self.task, self.anywhere, self.draws = task, anywhere, draws
        self.judge = Judge(task.traced, task.inputs, task.labels)
        lams = (np.arange(POINTS) + 0.5) / POINTS
        self.judged = np.stack([1 - lams, lams], 1) if anywhere else centroid(2)

    def descend(self, moved: State) -> None:
        """Add the gradient of the soft permutations that made `moved`, on a minibatch."""
        lam = float(torch.rand((), generator=self.draws)) if self.anywhere else 0.5
        mixed = {name: torch.lerp(self.task.a[name], tensor, lam) for name, tensor in moved.items()}
        rest = {name: tensor for name, tensor in self.task.a.items() if name not in mixed}
        fixed = {n: torch.lerp(t, self.task.b[n], lam) if t.is_floating_point() else t for n, t in rest.items()}
        batch = self.judge.draw(self.draws)
        gradients = self.judge.gradient({**fixed, **mixed}, list(mixed), batch)
        torch.autograd.backward(list(mixed.values()), gradients)

    def of(self, permutation: Permutation) -> float:
        """The mean loss under a permutation on the held-back images."""
        moved = apply_permutation(self.task.spec, permutation, self.task.b)
        return self.judge.held([self.task.a, moved], self.judged)


def _temperature(step: int, steps: int) -> float:
    """From the first to the last in equal ratios."""
    first, last = TEMPERATURES
    return float(first * (last / first) ** (step / max(1, steps - 1)))
