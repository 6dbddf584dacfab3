"""Weight matching (Git Re-Basin, Ainsworth et al. 2022, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lmc.matching.base import Match, Task
from lmc.permutation import Permutation, identity, random_permutation
from lmc.seeds import generator

MAX_SWEEPS = 200


def weight_matching(task: Task, *, seed: int = 0, restarts: int = 1) -> Match:
    """Maximise ⟨θ_A, π(θ_B)⟩ by coordinate ascent: one group at a time is an assignment problem.

    The groups are visited in a seeded random order; one whose neighbours have not moved since it was solved is left
    alone, as solving it again could not change it. Ends when no group can gain more than rounding. The first start
    is the identity, further `restarts` are seeded random permutations; the best objective wins.
    """
    matches = []
    for start in range(restarts):
        draws = generator("weight_matching", seed, start)
        first = identity(task.spec) if start == 0 else random_permutation(task.spec, draws)
        matches.append(_ascend(task, first, draws))
    return max(matches, key=lambda match: match.objective)


@dataclass
class _View:
    """A piece of a tensor whose every axis is one group or none: A as it is, B as permuted so far."""

    groups: tuple[str | None, ...]
    a: Tensor
    b: Tensor

    def reorder(self, group: str, order: Tensor) -> None:
        for axis, name in enumerate(self.groups):
            if name == group:
                self.b = self.b.index_select(axis, order)

    def inner(self) -> float:
        return float(torch.sum(self.a.double() * self.b.double()))


def _ascend(task: Task, start: Permutation, draws: torch.Generator) -> Match:
    device = task.inputs.device
    permutation = {group: order.to(device) for group, order in start.items()}
    views = _views(task)
    for view in views:
        for group in dict.fromkeys(g for g in view.groups if g):
            view.reorder(group, permutation[group])
    touching = {group: [v for v in views if group in v.groups] for group in permutation}
    neighbours = {
        g: {other for v in touching[g] for other in v.groups if other} - _alone(g, touching[g]) for g in permutation
    }
    scale = sum(float(v.a.double().norm() * v.b.double().norm()) for v in views)
    tolerance = 8 * torch.finfo(task.a[task.spec.parameters[0]].dtype).eps * scale
    history = [sum(view.inner() for view in views)]
    open_groups = set(permutation)
    for _ in range(MAX_SWEEPS):
        order = [list(permutation)[i] for i in torch.randperm(len(permutation), generator=draws).tolist()]
        for group in order:
            if group not in open_groups:
                continue
            open_groups.discard(group)
            gain = _improve(group, touching[group], permutation, tolerance)
            if gain > 0:
                open_groups |= neighbours[group]
                history.append(history[-1] + gain)
        if not open_groups:
            break
    found = {group: order.cpu() for group, order in permutation.items()}
    return Match(found, task.objective(found), history)


def _improve(group: str, views: list[_View], permutation: Permutation, tolerance: float) -> float:
    """Solve the assignment of one group, the others held; apply it if it gains. Returns the gain, or 0."""
    gram = sum(_gram(view, axis) for view in views for axis, name in enumerate(view.groups) if name == group)
    assert isinstance(gram, Tensor)
    scores = gram.double().cpu().numpy()
    _, columns = linear_sum_assignment(scores, maximize=True)
    gain = float(scores[range(len(columns)), columns].sum() - scores.trace())
    if gain <= tolerance:
        return 0.0
    order = torch.from_numpy(columns).to(gram.device)
    twice = any(view.groups.count(group) > 1 for view in views)
    before = sum(view.inner() for view in views) if twice else 0.0
    for view in views:
        view.reorder(group, order)
    if twice:  # both axes of one tensor move: the assignment saw only the linear part of the gain
        gain = sum(view.inner() for view in views) - before
        if gain <= tolerance:
            for view in views:
                view.reorder(group, torch.argsort(order))
            return 0.0
    permutation[group] = permutation[group][order]
    return gain


def _views(task: Task) -> list[_View]:
    views = []
    for name in task.spec.parameters:
        for piece in task.spec.pieces(name):
            if any(piece.groups):
                a, b = (state[name][piece.slices].reshape(piece.shape) for state in (task.a, task.b))
                views.append(_View(piece.groups, a, b))
    return views


def _alone(group: str, views: list[_View]) -> set[str]:
    """The group itself, unless some tensor holds it twice: then its own move changes its own problem."""
    return set() if any(view.groups.count(group) > 1 for view in views) else {group}


def _gram(view: _View, axis: int) -> Tensor:
    """Inner products `[units of A, units of B]` of the slices along `axis`."""
    a, b = (tensor.movedim(axis, 0).flatten(1) if tensor.ndim > 1 else tensor[:, None] for tensor in (view.a, view.b))
    return a @ b.T
