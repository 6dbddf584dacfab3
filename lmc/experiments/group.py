"""What experiments with three networks and more share: the methods, the permutations, segments and mixtures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.errors import InputError
from lmc.experiments.base import MAX_SEED, METHODS, Experiment
from lmc.experiments.bench import Bench, Curve, find, joined
from lmc.experiments.options import option
from lmc.experiments.work import Report, quiet

if TYPE_CHECKING:
    from lmc.matching import ManyMatch
    from lmc.permutation import Permutation
    from lmc.simplex import Weights
    from lmc.stacking import State

TOGETHER = ("merge_many", "cycle_consistent")
"""Methods that match all networks of a group at once, and have no form of their own for two."""

AT_ONCE = (*TOGETHER, "straight_through")

MIXED = 64  # small networks of a simplex that are in memory at once


@dataclass(frozen=True, kw_only=True)
class Group(Experiment):
    """Three networks or more; the first of a group is its reference, which the others are matched to."""

    methods: ClassVar[tuple[str, ...]] = (*METHODS, *TOGETHER)

    seeds: tuple[int, ...] = option((0, 1, 2), "initialisation seeds", low=0, high=MAX_SEED)
    method: tuple[str, ...] = option(
        ("none", "weight", "activation"),
        "matching methods; none is always in the result. merge_many, cycle_consistent and straight_through match all "
        "networks at once, the others match each to the first",
        choices=methods,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.correction != "reset":
            right = "reset would be right: REPAIR is defined between two networks"
            raise InputError("correction", self.correction, right)


class Matched:
    """The networks of one group under one method.

    `common` holds one permutation for each network, that of the first is the identity; `alone(i, j)` is what the
    method finds for j matched to i when it sees these two only. Slow methods report what they do, whenever they are
    asked; that may raise Stopped.
    """

    def __init__(self, bench: Bench, states: Sequence[State], method: str, report: Report = quiet) -> None:
        self.bench, self.states, self.method, self._report = bench, states, method, report
        self._share = 0.0
        self._alone: dict[tuple[int, int], Permutation] = {}

    @cached_property
    def common(self) -> list[Permutation]:
        if self.method not in AT_ONCE:
            return [self._identity, *(self.alone(0, j) for j in range(1, len(self.states)))]
        found = self._together(self.states)
        for place, permutation in enumerate(found):
            self._require_same_function(permutation, place)
        return found

    def alone(self, i: int, j: int) -> Permutation:
        """The permutation of network j that brings it to network i; that of (j, i) is its inverse."""
        from lmc.permutation import invert

        if (j, i) in self._alone:
            return invert(self._alone[j, i])
        if (i, j) not in self._alone:
            a, b = self.states[i], self.states[j]
            if self.method in TOGETHER:
                found = self._together([a, b])[1]
            else:
                found = find(self.bench.task(a, b), self.method, self.bench.config, self._tell).permutation
            self._require_same_function(found, j)
            self._alone[i, j] = found
        return self._alone[i, j]

    def to(self, reference: int, j: int) -> Permutation:
        """The permutation of network j that brings it to `reference`, when that is what all are matched to."""
        from lmc.permutation import compose, invert

        if self.method in AT_ONCE:
            return compose(invert(self.common[reference]), self.common[j])
        return self._identity if reference == j else self.alone(reference, j)

    def moved(self, permutation: Permutation, place: int) -> State:
        """Network `place` under the permutation."""
        from lmc.permutation import apply_permutation

        return apply_permutation(self.bench.traced.spec, permutation, self.states[place])

    @cached_property
    def aligned(self) -> list[State]:
        """All networks under their common permutations."""
        return [self.moved(permutation, place) for place, permutation in enumerate(self.common)]

    def objective(self) -> float:
        """Σ over pairs of ⟨π_i θ_i, π_j θ_j⟩ under the common permutations."""
        return self.bench.many_task(self.states).objective(self.common)

    @cached_property
    def _identity(self) -> Permutation:
        from lmc.permutation import identity

        return identity(self.bench.traced.spec)

    def _together(self, states: Sequence[State]) -> list[Permutation]:
        from lmc import matching

        config, task = self.bench.config, self.bench.many_task(states)
        start: dict[str, Any] = {"seed": config.match_seed, "restarts": config.restarts}
        methods: dict[str, Callable[[], ManyMatch]] = {
            "merge_many": lambda: matching.merge_many(task, **start),
            "cycle_consistent": lambda: matching.cycle_consistent(task, **start),
            "straight_through": lambda: matching.straight_through_many(
                task, **start, steps=config.match_steps, report=self._tell
            ),
        }
        return methods[self.method]().permutations

    def _tell(self, share: float, text: str) -> None:
        """Report, as a share that never falls: what comes later is told, but does not count."""
        self._share = max(self._share, share)
        self._report(self._share, text)

    def _require_same_function(self, permutation: Permutation, place: int) -> None:
        if self.method != "none":  # something moved
            self.bench.require_same_function(permutation, self.states[place], f"the permutation of {self.method}")


class Mixtures:
    """Measures segments and simplexes between networks; a segment between the same two is measured once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._segments: dict[Any, Curve] = {}

    def segment(self, matched: Matched, ends: Sequence[tuple[int, Permutation]], points: int | None = None) -> Curve:
        """The straight line between two networks, each a place and a permutation; `points` default to the config's."""
        from lmc.interpolation import grid

        usual = self.bench.config.points
        if points not in (None, usual) and (usual - 1) % (points - 1) == 0:
            return self.segment(matched, ends).every((usual - 1) // (points - 1))
        lams = grid(points or usual)
        key = (len(lams), *((place, _bytes(permutation)) for place, permutation in ends))
        if key not in self._segments:
            a, b = (matched.moved(permutation, place) for place, permutation in ends)
            self._segments[key] = self.bench.segment(a, b, lams)
        return self._segments[key]

    def mixed(self, states: Sequence[State], weights: Weights) -> Curve:
        """The networks Σ w_i θ_i, one for every row of `weights`."""
        return joined([self.bench.measure(mixture) for mixture in self._mixtures(states, weights)])

    def answers(self, states: Sequence[State], weights: Weights) -> np.ndarray:
        """Class probabilities `[points, shown, classes]` of the networks Σ w_i θ_i on the shown test inputs."""
        found = [self.bench.answers(mixture).float().cpu().numpy() for mixture in self._mixtures(states, weights)]
        return np.concatenate(found).astype(np.float16)

    def _mixtures(self, states: Sequence[State], weights: Weights) -> Any:
        from lmc.simplex import combine
        from lmc.stacking import is_small

        step = MIXED if is_small(self.bench.model) else 1
        mix = partial(combine, states)
        return (self.bench.corrected(mix(weights[i : i + step])) for i in range(0, len(weights), step))


def _bytes(permutation: Permutation) -> tuple[bytes, ...]:
    return tuple(permutation[name].cpu().numpy().tobytes() for name in sorted(permutation))
