"""Matching with a straight-through estimator (Git Re-Basin, Ainsworth et al. 2022, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lmc.matching.base import Course, Match, Report, Task, Watch, moving, quiet, unseen
from lmc.matching.judge import Judge
from lmc.matching.weight import ascend, weight_matching
from lmc.permutation import Permutation, apply_permutation
from lmc.seeds import generator
from lmc.simplex import Weights, centroid, combine
from lmc.stacking import State, unstack

STEPS = 300
RATE = 0.1  # of Adam, in root mean squares of a tensor


def straight_through(
    task: Task,
    *,
    seed: int = 0,
    restarts: int = 1,
    steps: int = STEPS,
    report: Report = quiet,
    watch: Watch = unseen,
) -> Match:
    """Minimise the loss at the midpoint of A and the permuted B.

    A free point starts at A. In every step its projection onto the permutations of B is found by weight matching from
    the last step's permutation; the loss of the midpoint between A and that on a minibatch is differentiated, and the
    gradient passes straight through the projection to the free point. Of all permutations on the way, the first of
    which is that of weight matching with these `restarts`, the one is taken whose midpoint has the lowest loss on
    images that are held back.

    Raises:
        ValueError: the task has no labels.
    """
    course = Course(watch)
    judge = Judge(task.traced, task.inputs, task.labels)
    start = weight_matching(task, seed=seed, restarts=restarts, report=before(report)).permutation
    middle = centroid(2)
    descent = Descent(judge, [task.a, task.b], [start], middle, course)
    (found,) = descent.run(lambda: middle[0], steps, generator("straight_through", seed), report)
    return Match(found, task.objective(found), course.steps)


def before(report: Report) -> Report:
    """A report for what comes before the first step: it takes no share."""
    return lambda _, text: report(0.0, f"weight matching, {text}")


class Descent:
    """Straight-through descent with a free point for every network but the first, which stays as it is.

    `start` are the permutations of the others. The mean loss of the mixtures `judged` `[points, networks]` on the
    held-back images decides which permutations are best; `course` gets the lowest at the start and after every step.
    """

    def __init__(
        self,
        judge: Judge,
        states: Sequence[State],
        start: Sequence[Permutation],
        judged: Weights,
        course: Course,
    ) -> None:
        self.judge, self.states, self.judged = judge, states, judged
        self.spec = judge.traced.spec
        self.names = moving(self.spec)
        self.best = list(start)
        self.course = course
        self._known: dict[bytes, float] = {}
        self._move(start)

    def run(
        self, weigh: Callable[[], Weights], steps: int, draws: torch.Generator, report: Report
    ) -> list[Permutation]:
        """The best permutations after `steps` steps; `weigh` gives the weights `[networks]` of a step's mixture."""
        if not self.names:
            return self.best
        free = _Free(self.states[0], self.names, len(self.now))
        for step in range(steps):
            report(step / steps, f"step {step + 1} of {steps}, loss in between {self.course.last:.3f}")
            weights = weigh()
            mixture = unstack(combine(self.moved, weights[None]), 0)
            free.step(self.judge.gradient(mixture, self.names, self.judge.draw(draws)), weights[1:])
            self._move([self._projected(place, point, draws) for place, point in enumerate(free.points())])
        return self.best

    def _projected(self, place: int, point: State, draws: torch.Generator) -> Permutation:
        """The permutation that brings a network near its free point, from the one it has."""
        there = {**self.states[0], **point}
        task = Task(self.judge.traced, there, self.states[place + 1], self.judge.inputs)
        return ascend(task, self.now[place], draws)

    def _move(self, permutations: Sequence[Permutation]) -> None:
        """Go to these permutations, and keep them if they are the best so far."""
        key = b"".join(order.numpy().tobytes() for permutation in permutations for order in permutation.values())
        self.now = list(permutations)
        moved = [apply_permutation(self.spec, p, s) for p, s in zip(self.now, self.states[1:], strict=True)]
        self.moved = [self.states[0], *moved]
        if key not in self._known:
            self._known[key] = self.judge.held(self.moved, self.judged)
        loss = self._known[key]
        if not self.course.steps or loss < self.course.last:
            self.best = self.now
            self.course.add(loss)
        else:
            self.course.add(self.course.last)


class _Free:
    """Points that all start at one network, and take the steps of Adam in proportion to every tensor's own scale."""

    def __init__(self, start: State, names: Sequence[str], count: int) -> None:
        tensors = {name: start[name] for name in names}
        self.shapes = {name: tensor.shape for name, tensor in tensors.items()}
        self.scale = torch.cat([_scale(tensor).expand(tensor.numel()) for tensor in tensors.values()])
        first = torch.cat([tensor.reshape(-1) for tensor in tensors.values()]) / self.scale
        self.values = first.repeat(count, 1)  # `[points, numbers]`, in units of `scale`
        self.optimizer = torch.optim.Adam([self.values], lr=RATE, fused=True)

    def step(self, gradients: Sequence[Tensor], weights: Weights) -> None:
        """Every point goes down the gradient of the mixture by its weight in it."""
        flat = self.scale * torch.cat([gradient.reshape(-1) for gradient in gradients])
        self.values.grad = torch.as_tensor(weights, dtype=flat.dtype, device=flat.device)[:, None] * flat
        self.optimizer.step()

    def points(self) -> list[State]:
        sizes = [shape.numel() for shape in self.shapes.values()]
        return [
            {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), row.split(sizes), strict=True)}
            for row in self.values * self.scale
        ]


def _scale(tensor: Tensor) -> Tensor:
    """Root mean square of a tensor's numbers; 1 if they are all 0."""
    scale = tensor.square().mean().sqrt()
    return torch.where(scale > 0, scale, 1.0)
