"""Weight matching (Git Re-Basin, Ainsworth et al. 2022, section 3.2)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

from lmc.matching.ascent import LARGE, Problem, total, views_of
from lmc.matching.base import Match, Task
from lmc.permutation import Permutation, identity, random_permutation
from lmc.seeds import generator

MAX_SWEEPS = 200


def weight_matching(task: Task, *, seed: int = 0, restarts: int = 1) -> Match:
    """Maximise ⟨θ_A, π(θ_B)⟩ by coordinate ascent: one group at a time is an assignment problem.

    Blocks and the groups in them (heads, with their query/key and value units) are one problem. Groups are visited in
    a seeded random order; one whose neighbours have not moved since it was solved is left alone, as solving it again
    could not change it. Ends when no group can gain more than rounding, all similarities computed anew. The first
    start is the identity, further `restarts` are seeded random permutations, small networks all at once; the best
    objective wins.
    """
    draws = [generator("weight_matching", seed, start) for start in range(restarts)]
    starts = [random_permutation(task.spec, draw) if k else identity(task.spec) for k, draw in enumerate(draws)]
    at_once = 1 if max(task.spec.groups.values(), default=0) >= LARGE else restarts
    matches = []
    for k in range(0, restarts, at_once):
        matches += ascend_together(task, starts[k : k + at_once], draws[k : k + at_once])
    return max(matches, key=lambda match: match.objective)


def ascend(task: Task, start: Permutation, draws: torch.Generator) -> Match:
    """Coordinate ascent from `start`, groups in the order that `draws` gives: one start of `weight_matching`."""
    return ascend_together(task, [start], [draws])[0]


def ascend_together(task: Task, starts: Sequence[Permutation], draws: Sequence[torch.Generator]) -> list[Match]:
    """Coordinate ascent from each of `starts`, each with the groups in the order that its `draws` give.

    Side by side all make one visit at a time, and those that visit the same group are solved together.
    """
    device = task.inputs.device
    permutation = {group: torch.stack([start[group] for start in starts]).to(device) for group in task.spec.groups}
    views = views_of(task, permutation)
    problems = [Problem(groups, [v for v in views if set(groups) & set(v.groups)]) for groups in task.spec.together()]
    scale = sum(float(view.a.norm()) * float(view.b[0].norm()) for view in views)
    tolerance = 8 * torch.finfo(task.a[task.spec.parameters[0]].dtype).eps * scale
    value = total([view.inner() for view in views]).tolist() if views else [0.0] * len(starts)
    histories = [[first] for first in value]
    unsolved = torch.ones(len(problems), len(starts), dtype=torch.bool)
    for _ in range(MAX_SWEEPS):
        orders = torch.stack([torch.randperm(len(problems), generator=draw) for draw in draws])
        for visit, place in itertools.product(range(len(problems)), range(len(problems))):
            active = ((orders[:, visit] == place) & unsolved[place]).nonzero()[:, 0]
            if not len(active):
                continue
            unsolved[place, active] = False
            problem = problems[place]
            gains = problem.improve(task.spec, permutation, active.to(device), tolerance)
            moved = active[gains > 0]
            for k, other in enumerate(problems):
                if len(moved) and problem.changes(other):
                    unsolved[k, moved] = True
            for start, gain in zip(moved.tolist(), gains[gains > 0].tolist(), strict=True):
                histories[start].append(histories[start][-1] + gain)
        if not unsolved.any():
            for k, problem in enumerate(problems):
                unsolved[k] = problem.similarity.forget()
        if not unsolved.any():
            break
    found = [{group: order[k].cpu() for group, order in permutation.items()} for k in range(len(starts))]
    return [Match(one, task.objective(one), history) for one, history in zip(found, histories, strict=True)]
