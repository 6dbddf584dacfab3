"""Weight matching (Git Re-Basin, Ainsworth et al. 2022, section 3.2)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lmc.matching.ascent import Ascent, Climb, moving_pieces
from lmc.matching.base import Course, Match, Report, Task, Watch, quiet, unseen
from lmc.matching.side_by_side import side_by_side
from lmc.matching.similarity import Block
from lmc.matching.visits import Mode, Ranks
from lmc.permutation import Permutation, compose, identity, random_permutation
from lmc.progress import part
from lmc.seeds import generator
from lmc.symmetry import PermutationSpec

KERNELS = ("dot", "cosine")
ORDERS = ("random", "forward", "backward")
NUMBERS = 2**24  # of one tensor, of all starts together
ROUND, FRESH = 20, 10  # starts: of so many the first ones begin anywhere, the others near the best of all before
COHORT = 5  # of starts that begin anywhere go in one order; more of them find poorer optima
SHARES = (0.1, 0.15, 0.2, 0.3)  # of the units that are shuffled
CLOSE = 1e-5  # of a value: as far as two starts may seem apart by rounding alone
CLOSE_ROUGHLY = 5e-4  # as much as a start that was solved roughly may still gain


def weight_matching(
    task: Task,
    *,
    seed: int = 0,
    restarts: int = 1,
    kernel: str = "dot",
    order: str = "random",
    start: Permutation | None = None,
    report: Report = quiet,
    watch: Watch = unseen,
) -> Match:
    """Maximise ⟨θ_A, π(θ_B)⟩ by coordinate ascent: one group at a time is an assignment problem.

    Blocks and the groups in them (heads, with their query/key and value units) are one problem. One whose neighbours
    have not moved since it was solved is left alone, as solving it again could not change it. Large groups are assigned
    among likely partners first. Ends when no group can gain more than rounding, all partners looked at; of many starts
    of large networks only those that may be the best are led to such an end.

    The first start is `start` (the identity if it is left out). Of every twenty `restarts` ten begin at seeded random
    permutations, and then the others where the best so far ended, with a share of the units shuffled (iterated local
    search, Lourenço et al. 2003). The best objective wins.

    The `kernel` cosine takes every tensor once for each axis along which units lie, their weights in it scaled to
    length 1 (nnperm's cosine kernel, made one objective for all groups); the steps then have its values. In every
    sweep groups are visited in a seeded random `order`, or forward or backward through the network. `watch` hears
    of the first start.

    Raises:
        ValueError: there is no such kernel or order.
    """
    for name, value, known in (("kernel", kernel, KERNELS), ("order", order, ORDERS)):
        if value not in known:
            raise ValueError(f"unknown {name} {value!r}; choose one of: {', '.join(known)}")
    ascent, room = Ascent(task, blocks_of(task, kernel)), _room(task)
    draws = [generator("weight_matching", seed, k) for k in range(restarts)]
    ways = [_ranks(order, draw, len(ascent.problems)) for draw in draws]
    roughly = restarts > 1 and ascent.large
    best, climbs = identity(task.spec) | (start or {}), list[Climb]()
    for k, end in itertools.pairwise(_generations(restarts)):
        born = [Climb(_start(task.spec, i, best, draws[i]), Course(unseen if i else watch)) for i in range(k, end)]
        own, tell = ways[k:end], part(report, k / restarts, end / restarts)
        if roughly:
            _roughly(ascent, born, own, tell)
        else:
            _in_step(ascent, born, _in_cohorts(own, COHORT if _is_fresh(k) else end - k), room, tell)
        climbs += born
        best = max(climbs, key=lambda climb: climb.value).permutation
    near = _near(_to_the_end(ascent, climbs, ways, report) if roughly else climbs, CLOSE)
    matches = [Match(climb.permutation, task.objective(climb.permutation), climb.course.steps) for climb in near]
    return max(matches, key=lambda match: match.objective if kernel == "dot" else match.history[-1])


def _start(spec: PermutationSpec, place: int, best: Permutation, draws: torch.Generator) -> Permutation:
    """Where a start begins; `best` is the best end of the generations before, or where all begins."""
    if place == 0:
        return best
    if _is_fresh(place):
        return random_permutation(spec, draws)
    return compose(random_permutation(spec, draws, SHARES[place % len(SHARES)]), best)


def _is_fresh(place: int) -> bool:
    """Whether a start begins anywhere, not near the best."""
    return place % ROUND < FRESH


def _generations(restarts: int) -> list[int]:
    """The places of the first start of every generation, and the number of all."""
    begins = [place for place in range(restarts) if place % ROUND in (0, FRESH)]
    return [*begins, restarts]


def _in_cohorts(ways: Sequence[Ranks], size: int) -> list[Ranks]:
    """The ways with so many side by side all like the first of them: then they visit the same at the same time."""
    return [one for k in range(0, len(ways), size) for one in _alike(ways[k], len(ways[k : k + size]))]


def _alike(ranks: Ranks, count: int) -> list[Ranks]:
    """So many with the same places in the same sweep."""
    drawn: list[np.ndarray] = []

    def of() -> Ranks:
        sweeps = itertools.count()

        def next_ones() -> np.ndarray:
            sweep = next(sweeps)
            while len(drawn) <= sweep:
                drawn.append(ranks())
            return drawn[sweep]

        return next_ones

    return [of() for _ in range(count)]


def _in_step(ascent: Ascent, climbs: Sequence[Climb], ways: Sequence[Ranks], room: int, report: Report) -> None:
    """Lead all climbs on, so many at a time."""
    for k in range(0, len(climbs), room):
        some = climbs[k : k + room]

        def tell(share: float, before: int = k, count: int = len(some)) -> None:
            report((before + share * count) / len(climbs), f"start {before + 1} of {len(climbs)}")

        ascent.begin(some)
        ascent.run(some, ways[k : k + room], tell)


def _roughly(ascent: Ascent, climbs: Sequence[Climb], ways: Sequence[Ranks], report: Report) -> None:
    """Lead all climbs on roughly, each in a thread."""

    def lead(k: int, check: Callable[[], None]) -> None:
        ascent.begin(climbs[k : k + 1])
        ascent.run(climbs[k : k + 1], ways[k : k + 1], lambda _: check(), mode=Mode.ROUGH)

    side_by_side(lead, len(climbs), lambda done: report(done / len(climbs), f"{done} of {len(climbs)} starts done"))


def _to_the_end(ascent: Ascent, climbs: Sequence[Climb], ways: Sequence[Ranks], report: Report) -> list[Climb]:
    """Those that may be the best, each led on until it is exact."""
    best = _different(_near(climbs, CLOSE_ROUGHLY))
    for k, climb in enumerate(best):
        said = f"start {k + 1} of the best {len(best)}"
        ascent.run([climb], [ways[climbs.index(climb)]], partial(_tell, report, said), mode=Mode.EXACT)
    return best


def _tell(report: Report, text: str, _: float) -> None:
    report(1.0, text)


def _different(climbs: Sequence[Climb]) -> list[Climb]:
    """One of those that have come to the same permutation."""
    found: dict[bytes, Climb] = {}
    for climb in climbs:
        found.setdefault(b"".join(order.numpy().tobytes() for order in climb.permutation.values()), climb)
    return list(found.values())


def _near(climbs: Sequence[Climb], share: float) -> list[Climb]:
    """Those whose value is the highest, or lower by no more than a share of it."""
    highest = max(climb.value for climb in climbs)
    return [climb for climb in climbs if climb.value >= highest - share * abs(highest)]


def ascend(task: Task, start: Permutation, draws: torch.Generator) -> Permutation:
    """Where coordinate ascent leads from `start`, groups in the order that `draws` gives: one start of the above."""
    climb, ascent = Climb(start, Course()), Ascent(task, blocks_of(task))
    ascent.run([climb], [_ranks("random", draws, len(ascent.problems))], lambda _: None)
    return climb.permutation


def blocks_of(task: Task, kernel: str = "dot") -> list[Block]:
    """What the kernel compares: the parts of all parameters along which some group moves."""
    pieces = [(piece, piece.take(task.a[name]), piece.take(task.b[name])) for name, piece in moving_pieces(task.spec)]
    if kernel == "dot":
        return [Block(piece.groups, a, b) for piece, a, b in pieces]
    return [
        Block(piece.groups, _of_length_one(a, axis), _of_length_one(b, axis))
        for piece, a, b in pieces
        for axis, group in enumerate(piece.groups)
        if group
    ]


def _of_length_one(tensor: Tensor, axis: int) -> Tensor:
    """Every unit along the axis scaled to length 1; one that is 0 stays so."""
    flat = tensor.movedim(axis, 0).flatten(1) if tensor.ndim > 1 else tensor[:, None]
    length = flat.norm(dim=1)
    shape = [-1 if dim == axis else 1 for dim in range(tensor.ndim)]
    return tensor / torch.where(length > 0, length, 1.0).view(shape)


def _ranks(order: str, draws: torch.Generator, count: int) -> Ranks:
    """What gives the places of `count` problems in the next sweep of a start."""
    forward = np.arange(count)
    if order == "random":
        return lambda: np.argsort(torch.randperm(count, generator=draws).numpy())
    return lambda: forward if order == "forward" else forward[::-1]


def _room(task: Task) -> int:
    """How many starts go side by side: as many as have room in memory."""
    largest = max((task.b[name].numel() for name, _ in moving_pieces(task.spec)), default=1)
    return max(1, NUMBERS // largest)
