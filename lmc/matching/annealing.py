"""Simulated annealing over permutations (Entezari et al. 2022, 'The role of permutation invariance', section 4)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmc.matching.base import Course, Match, Report, Task, Watch, quiet, unseen
from lmc.matching.judge import Judge
from lmc.permutation import Permutation, apply_permutation, identity
from lmc.seeds import generator
from lmc.simplex import centroid, combine
from lmc.stacking import is_small
from lmc.symmetry import PermutationSpec

STEPS = 10_000
IMAGES = 500  # that swaps are tried on
TEMPERATURES = (0.5, 0.002)  # of the first step and the last, in mean changes of the loss by a swap at the start
SCALED = 16  # swaps that tell how much that is
MOST = 16  # swaps that are tried at once
ROUND = 100  # steps from one look at the held-back images to the next


def simulated_annealing(
    task: Task, *, seed: int = 0, steps: int = STEPS, report: Report = quiet, watch: Watch = unseen
) -> Match:
    """Minimise the loss at the midpoint of A and the permuted B by swaps, from the identity on.

    Every step tries to swap two random units of a random group; units in blocks (heads) change places within their
    block, and two blocks with all that is in them. The loss is that on fixed training images, by which BatchNorm
    normalises. A swap that raises it by Δ is accepted with probability exp(−Δ/T) (Metropolis), and the temperature T
    falls step by step. Every few steps the permutation is judged on images that are held back; of these permutations
    and the identity the one is taken that has the lowest loss there.

    Raises:
        ValueError: the task has no labels.
    """
    course = Course(watch)
    judge = Judge(task.traced, task.inputs, task.labels)
    best = identity(task.spec)
    course.add(judge.held([task.a, task.b], centroid(2)))
    chain = Chain(task, judge, seed, steps)
    for start in range(0, steps if chain.moves else 0, ROUND):
        for step in chain.run(start, min(start + ROUND, steps)):
            report(step / steps, f"step {step + 1} of {steps}, loss {course.last:.3f}")
        found = judge.held([task.a, apply_permutation(task.spec, chain.permutation, task.b)], centroid(2))
        if found < course.last:
            best = chain.permutation
        course.add(min(found, course.last))
    return Match(best, task.objective(best), course.steps)


class Chain:
    """The permutations that swaps lead through, one after the other. What a step draws is fixed beforehand.

    Small networks after different swaps cost little more than one, so the swaps of the next steps are all tried on the
    present permutation. Once one is accepted, the steps after it try theirs again on what it led to: the chain is the
    one that goes step by step. How many are tried at once follows how many came to be used.
    """

    def __init__(self, task: Task, judge: Judge, seed: int, steps: int) -> None:
        draws = generator("simulated_annealing", seed)
        names = [name for name, tensor in task.b.items() if tensor.is_floating_point() and _moves(task.spec, name)]
        self.permutation = identity(task.spec)
        self.moves = moves_of(task.spec, names, task.inputs.device)
        self._judge, self.images = judge, judge.sample(IMAGES, draws)
        self._kinds = torch.randint(max(1, len(self.moves)), (steps,), generator=draws)
        self._places = torch.rand(steps, 2, dtype=torch.float64, generator=draws)
        self._rises = torch.empty(steps, dtype=torch.float64).exponential_(generator=draws)
        self._shapes = {name: task.b[name].shape for name in names}
        self._fixed = {n: t for n, t in combine([task.a, task.b], centroid(2)).items() if n not in names}
        self._most = self._size = MOST if is_small(judge.model) else 1
        if self.moves:
            self._a, self._b = (torch.cat([state[name].flatten() for name in names]) for state in (task.a, task.b))

    def _begin(self) -> Iterator[int]:
        """Measure the loss at the start, and decide what rise each step accepts: exponentially distributed with mean T.

        So a rise by Δ is accepted with probability exp(−Δ/T).
        """
        steps, changes = len(self._kinds), []
        (self.loss,) = self._losses(self._b[None])
        for start in range(0, min(SCALED, steps), self._most):
            yield 0
            swaps = [self._drawn(step) for step in range(start, min(start + self._most, SCALED, steps))]
            changes += [abs(loss - self.loss) for loss in self._losses(self._after(swaps))]
        scale = sum(changes) / len(changes)
        first, last = TEMPERATURES
        temperatures = scale * first * (last / first) ** (torch.arange(steps) / max(1, steps - 1))
        self._accepted = temperatures * self._rises

    def run(self, start: int, stop: int) -> Iterator[int]:
        """Take the steps from `start` to before `stop`; the number of the next one is yielded before every few."""
        if not start:
            yield from self._begin()
        while start < stop:
            yield start
            swaps = [self._drawn(step) for step in range(start, min(start + self._size, stop))]
            rows = self._after(swaps)
            for used, loss in enumerate(self._losses(rows), 1):
                if loss - self.loss <= float(self._accepted[start + used - 1]):
                    move, i, j = swaps[used - 1]
                    self.permutation = move.permuted(self.permutation, i, j)
                    self._b, self.loss = rows[used - 1].clone(), loss
                    break
            start += used
            self._size = min(self._most, (self._size + used) // 2 + 1)

    def _drawn(self, step: int) -> tuple[Move, int, int]:
        """The swap of a step: its kind, and the two places."""
        move = self.moves[int(self._kinds[step])]
        return move, *move.places(*self._places[step].tolist())

    def _after(self, swaps: Sequence[tuple[Move, int, int]]) -> Tensor:
        """The present network after each of some swaps, `[swaps, numbers]`."""
        rows = self._b.repeat(len(swaps), 1)
        for row, (move, i, j) in zip(rows, swaps, strict=True):
            move.swap(row, i, j)
        return rows

    def _losses(self, rows: Tensor) -> list[float]:
        """The losses at the midpoints of A and networks with these moving numbers `[networks, numbers]`."""
        parts = torch.lerp(self._a.expand_as(rows), rows, 0.5).split([s.numel() for s in self._shapes.values()], 1)
        moved = {n: p.unflatten(1, shape) for p, (n, shape) in zip(parts, self._shapes.items(), strict=True)}
        fixed = {name: tensor.expand(len(rows), *tensor.shape[1:]) for name, tensor in self._fixed.items()}
        return list(self._judge.losses({**moved, **fixed}, self.images).tolist())


@dataclass(frozen=True)
class Move:
    """The swaps of two of `count` places of some groups: of units of one, or of blocks with all that is in them.

    Only places in one run of `block` may be swapped. Of a network whose moving numbers all lie in one row, place k has
    those at `offsets + k * strides`. Where a tensor moves along two axes, they are swapped one after the other: there
    are two such tables.
    """

    groups: tuple[str, ...]
    count: int
    block: int
    tables: Sequence[tuple[Tensor, Tensor]]

    def places(self, first: float, second: float) -> tuple[int, int]:
        """Two different places, uniformly from two uniform numbers in [0, 1)."""
        run, place = divmod(int(first * self.count), self.block)
        other = (place + 1 + int(second * (self.block - 1))) % self.block
        return run * self.block + place, run * self.block + other

    def swap(self, row: Tensor, i: int, j: int) -> None:
        """Swap places i and j of the network in `row` `[numbers]`, in place."""
        for offsets, strides in self.tables:
            one, other = offsets + i * strides, offsets + j * strides
            row[one], row[other] = row[other], row[one]

    def permuted(self, permutation: Permutation, i: int, j: int) -> Permutation:
        """The permutation followed by the swap of places i and j."""
        found = dict(permutation)
        for group in self.groups:
            order = found[group].unflatten(0, (self.count, -1)).clone()
            order[[i, j]] = order[[j, i]]
            found[group] = order.flatten()
        return found


def moves_of(spec: PermutationSpec, names: Sequence[str], device: torch.device) -> list[Move]:
    """All kinds of swaps, for networks whose moving numbers are those of the entries `names`, in this order."""
    sizes = [math.prod(axis.size for axis in spec.axes[name]) for name in names]
    begins = dict(zip(names, itertools.accumulate(sizes, initial=0), strict=False))
    found = []
    for first, *inside in spec.together():
        blocks = spec.groups[first]
        if blocks > 1:
            found.append(_move(spec, begins, (first, *inside), blocks, blocks, device))
        for name in inside:
            units = spec.groups[name]
            if units > blocks:
                found.append(_move(spec, begins, (name,), units, units // blocks, device))
    return found


def _move(
    spec: PermutationSpec, begins: dict[str, int], groups: tuple[str, ...], count: int, block: int, device: torch.device
) -> Move:
    tables: dict[int, list[Tensor]] = {}
    for name, begin in begins.items():
        shape = [axis.size for axis in spec.axes[name]]
        for piece in spec.pieces(name):
            axes = [axis for axis, group in enumerate(piece.groups) if group in groups]
            for turn, axis in enumerate(axes):
                numbers = piece.take(torch.arange(begin, begin + math.prod(shape)).view(shape))
                tables.setdefault(turn, []).append(numbers.movedim(axis, 0).reshape(count, -1)[:2])
    pairs = [torch.cat(parts, 1).to(device) for parts in tables.values()]
    return Move(groups, count, block, [(first, second - first) for first, second in pairs])


def _moves(spec: PermutationSpec, name: str) -> bool:
    return any(any(piece.groups) for piece in spec.pieces(name))
