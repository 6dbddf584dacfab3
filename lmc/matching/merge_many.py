"""Matching many networks, each to the mean of the rest (Git Re-Basin, Ainsworth et al. 2022, Algorithm 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lmc.matching.base import Task
from lmc.matching.many import ManyMatch, ManyTask, matched
from lmc.matching.weight import ascend
from lmc.permutation import Permutation, identity, random_permutation
from lmc.seeds import generator
from lmc.stacking import State

MAX_ROUNDS = 100


def merge_many(task: ManyTask, *, seed: int = 0, restarts: int = 1) -> ManyMatch:
    """Match each network in turn by its weights to the mean of the rest, until a whole round gains nothing.

    As the mean of the rest stands for all pairs of which the network is one, this is coordinate ascent on the summed
    inner products of all pairs, and these never fall. Networks come in a seeded random order, another in every round,
    and start from the permutation that they have. The first start is the identity, further `restarts` are seeded
    random permutations; the best objective wins. For two networks the first is that of weight matching with the same
    seed.
    """
    matches = []
    for start in range(restarts):
        draws = generator("weight_matching", seed, start)
        others = [identity(task.spec) if start == 0 else random_permutation(task.spec, draws) for _ in task.states[1:]]
        matches.append(_ascend(task, [identity(task.spec), *others], generator("merge_many", seed, start), draws))
    return max(matches, key=lambda match: match.objective)


def polish(task: ManyTask, permutations: Sequence[Permutation], seed: int, start: int) -> ManyMatch:
    """Go on from given permutations until a whole round gains nothing."""
    return _ascend(task, permutations, generator("merge_many", seed, start), generator("weight_matching", seed, start))


def _ascend(task: ManyTask, start: Sequence[Permutation], visits: torch.Generator, draws: torch.Generator) -> ManyMatch:
    """Rounds over all networks in the order of `visits`, each matched with its groups in the order of `draws`."""
    permutations, states = list(start), task.permuted(start)
    history = [task.objective(permutations)]
    for _ in range(MAX_ROUNDS):
        before = history[-1]
        for i in torch.randperm(len(states), generator=visits).tolist():
            rest = _mean(task, [state for j, state in enumerate(states) if j != i])
            found = ascend(Task(task.traced, rest, task.states[i], task.inputs), permutations[i], draws)
            trial = [*permutations[:i], found, *permutations[i + 1 :]]
            objective = task.objective(trial)
            if objective > history[-1]:
                permutations, states = trial, task.permuted(trial)
                history.append(objective)
        if history[-1] == before:
            break
    return matched(task, permutations, history)


def _mean(task: ManyTask, states: Sequence[State]) -> State:
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in task.spec.parameters}
