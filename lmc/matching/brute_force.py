"""Every permutation that there is, and the best of them: what other methods are measured by on tiny networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import torch

from lmc.matching.base import Match, Task
from lmc.permutation import Permutation, in_blocks
from lmc.symmetry import PermutationSpec

MOST = 200_000  # permutations


def brute_force(task: Task, value: Callable[[Permutation], float] | None = None) -> Match:
    """The permutation with the highest objective, or with the highest `value`; the first of equals.

    Raises:
        ValueError: there are more than 200,000 permutations.
    """
    if _count(task.spec) > MOST:
        sizes = ", ".join(f"{name} ({size})" for name, size in task.spec.groups.items())
        raise ValueError(
            f"the units of {sizes} have more than {MOST:,} permutations, too many to try each; "
            "three layers of up to 4 units are right."
        )
    best = max(every_permutation(task.spec), key=value or task.objective)
    return Match(best, task.objective(best))


def every_permutation(spec: PermutationSpec) -> Iterator[Permutation]:
    """All permutations, the identity first: blocks move with all that is in them, their units in any order inside."""
    for chosen in itertools.product(*(list(_orders(spec, *groups)) for groups in spec.together())):
        orders = {name: order for part in chosen for name, order in part.items()}
        yield {name: orders[name] for name in spec.groups}


def _orders(spec: PermutationSpec, first: str, *inside: str) -> Iterator[Permutation]:
    """All orders of groups that move together."""
    count = spec.groups[first]
    units = [list(map(torch.tensor, itertools.permutations(range(spec.groups[name] // count)))) for name in inside]
    for order in itertools.permutations(range(count)):
        blocks = torch.tensor(order, dtype=torch.long)
        for chosen in itertools.product(*(itertools.product(orders, repeat=count) for orders in units)):
            yield {first: blocks, **{name: in_blocks(blocks, each) for name, each in zip(inside, chosen, strict=True)}}


def _count(spec: PermutationSpec) -> int:
    counts = [math.factorial(spec.groups[name]) for name in spec.groups if name not in spec.blocks]
    for name, blocks in spec.blocks.items():
        counts.append(math.factorial(spec.groups[name] // spec.groups[blocks]) ** spec.groups[blocks])
    return math.prod(counts)
