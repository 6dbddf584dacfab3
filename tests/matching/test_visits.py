"""The order of visits: starts side by side do what each would do alone, one problem after the other."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from lmc.matching.visits import MAX_SWEEPS, Mode, Visits


class World:
    """Problems on a graph; whether a visit moves depends on all that its neighbours did before."""

    def __init__(self, seed, problems, starts):
        draws = np.random.default_rng(seed)
        touches = draws.random((problems, problems)) < 0.4
        self.touches = touches | touches.T
        np.fill_diagonal(self.touches, draws.random(problems) < 0.2)
        self.moves = np.zeros((starts, problems), dtype=int)
        self.log = [[] for _ in range(starts)]
        self.orders = [np.random.default_rng((seed, k)) for k in range(starts)]

    def ranks(self, start):
        return np.argsort(self.orders[start].permutation(len(self.touches)))

    def visit(self, place, start, exact):
        around = tuple(self.moves[start][self.touches[place]])
        self.log[start].append((place, exact, around))
        moved = hash((place, start, exact, around)) % 4 == 0 and self.moves[start].sum() < 40
        self.moves[start, place] += moved
        return moved


def one_after_the_other(world, start, rough, mode):
    """The definition: sweeps in the order of the ranks over all that is unsolved; then once more, exactly."""
    count = len(world.touches)
    unsolved = dict.fromkeys(range(count), mode is Mode.EXACT)
    left_rough = set()
    while unsolved:
        for place in np.argsort(world.ranks(start)).tolist():
            if place in unsolved:
                exact = unsolved.pop(place)
                left_rough.discard(place)
                if rough[place] and not exact:
                    left_rough.add(place)
                if world.visit(place, start, exact):
                    unsolved |= {int(other): False for other in np.flatnonzero(world.touches[place])}
        if not unsolved and mode is not Mode.ROUGH:
            unsolved, left_rough = dict.fromkeys(left_rough, True), set()


@pytest.mark.parametrize("all_ready", [False, True])
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("seed", range(8))
def test_nothing_depends_on_who_runs_beside_whom(seed, mode, all_ready):
    problems, starts = 1 + seed, 5
    rough = np.random.default_rng(seed).random(problems) < 0.5
    together, alone = World(seed, problems, starts), World(seed, problems, starts)
    visits = Visits(together.touches, [partial(together.ranks, k) for k in range(starts)], mode)
    count = 0
    while wave := visits.next(all_ready=all_ready):
        count += 1
        assert 0 <= visits.share < 1
        for place, chosen, exact in wave:
            moved = np.array([together.visit(place, k, exact) for k in chosen])
            visits.visited(place, chosen, moved, rough=bool(rough[place]) and not exact)
    for k in range(starts):
        one_after_the_other(alone, k, rough, mode)
        by_place = [
            [entry for entry in log if entry[0] == p]
            for log in (together.log[k], alone.log[k])
            for p in range(problems)
        ]
        assert by_place[:problems] == by_place[problems:]
        assert (together.moves[k] == alone.moves[k]).all()
    assert visits.share == 1 and count <= sum(map(len, together.log))


def test_starts_that_want_the_same_are_visited_at_once():
    visits = Visits(np.zeros((3, 3), dtype=bool), [partial(np.random.default_rng(k).permutation, 3) for k in range(10)])
    seen = []
    while wave := visits.next(all_ready=False):
        ((place, starts, _),) = wave
        seen.append((place, len(starts)))
        visits.visited(place, starts, np.zeros(len(starts), dtype=bool), rough=False)
    assert sorted(seen) == [(0, 10), (1, 10), (2, 10)]


def test_gives_up_after_many_sweeps():
    visits = Visits(np.ones((1, 1), dtype=bool), [lambda: np.zeros(1, dtype=np.int64)])
    count = 0
    while wave := visits.next(all_ready=False):
        count += 1
        for place, starts, _ in wave:
            visits.visited(place, starts, np.array([True]), rough=False)
    assert count == MAX_SWEEPS


def test_without_problems_there_is_nothing_to_do():
    assert Visits(np.zeros((0, 0), dtype=bool), [lambda: np.zeros(0, dtype=np.int64)] * 3).next(all_ready=True) == []
