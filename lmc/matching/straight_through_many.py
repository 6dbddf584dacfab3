"""The straight-through estimator for several networks at once (Ito et al. 2024, arXiv 2402.04051)."""

from __future__ import annotations

import numpy as np

from lmc.matching.base import Course, Report, quiet
from lmc.matching.judge import Judge
from lmc.matching.many import ManyMatch, ManyTask
from lmc.matching.straight_through import STEPS, Descent, before
from lmc.matching.weight import weight_matching
from lmc.permutation import identity
from lmc.seeds import generator, seed_for
from lmc.simplex import centroid, random_weights

JUDGED = 8  # random points of the simplex that decide, beside its centre


def straight_through_many(
    task: ManyTask, *, seed: int = 0, restarts: int = 1, steps: int = STEPS, report: Report = quiet
) -> ManyMatch:
    """Minimise the loss all over the simplex between the first network and the permuted others.

    Every network but the first has a free point that starts at the first, and moves as in `straight_through`; the
    mixture of a step has random weights, uniform on the simplex, and a network's share of the gradient is its weight.
    The permutations are taken whose mixtures, at the centre and at fixed random weights, have the lowest mean loss on
    images that are held back; the first of them are those of weight matching to the first network.

    Raises:
        ValueError: the task has no labels.
    """
    judge = Judge(task.traced, task.inputs, task.labels)
    count, numbers = len(task.states), np.random.default_rng(seed_for("straight_through_many", seed))
    start = [
        weight_matching(task.pair(0, j), seed=seed, restarts=restarts, report=before(report)).permutation
        for j in range(1, count)
    ]
    fixed = np.random.default_rng(seed_for("straight_through_many judged", count))
    judged = np.concatenate([centroid(count), random_weights(count, JUDGED, fixed)])
    descent = Descent(judge, task.states, start, judged, Course())
    draws = generator("straight_through_many", seed)
    found = descent.run(lambda: random_weights(count, 1, numbers)[0], steps, draws, report)
    permutations = [identity(task.spec), *found]
    return ManyMatch(permutations, task.objective(permutations), [step.value for step in descent.course.steps])
