"""Runs that train in stages: levels of pruning one after another, parts as soon as their networks are there."""

import itertools
import time

import pytest

import lmc
from lmc import Pruning, Store, Trajectory, make_recipe
from tests.engine.waiting import begun, wait, wait_until

pytestmark = pytest.mark.slow


def pruning(**changes):
    common = {"width": 6, "recipe": make_recipe(epochs=4), "points": 3, "levels": 4, "rewind": 1}
    return Pruning(**{**common, **changes})


def trained(engine):
    return engine.overview()["trained"]


@pytest.mark.parametrize("cls", [Pruning, Trajectory])
def test_the_engine_gives_what_one_process_gives(engine, tmp_path, cls):
    asked = pruning() if cls is Pruning else Trajectory(width=6, recipe=make_recipe(epochs=4), points=3)
    wait(engine, engine.submit(asked), "done")
    there = engine.result(asked.id)
    here = lmc.run(asked, store=Store(tmp_path, shipped=None), device="cpu")
    assert there.tables == here.tables and there.metrics == here.metrics and there.networks == here.networks
    assert there.arrays.keys() == here.arrays.keys()
    assert all((there.arrays[name] == here.arrays[name]).all() for name in here.arrays)


def test_levels_are_drawn_as_they_come_and_the_share_grows(engine):
    asked = pruning(width=9, recipe=make_recipe(epochs=20), levels=5)
    engine.submit(asked)
    seen, shares = [], []
    while (status := engine.status(asked.id)).active:
        shares.append(status.share)
        tables = engine.partial(asked.id).tables
        found = sorted(set(tables["levels"]["level"])) if tables else []
        if found not in seen:
            seen.append(found)
        time.sleep(0.02)
    wait(engine, asked.id, "done")
    partly = [found for found in seen if found and len(found) < 6]
    assert len(partly) >= 2 and all(found == list(range(len(found))) for found in partly)
    assert all(a <= b + 0.02 for a, b in itertools.pairwise(shares)), "it never falls back"
    assert any(0.1 < share < 0.9 for share in shares)


def test_a_run_that_was_stopped_goes_on_from_the_last_level(engine):
    asked = pruning(width=10, recipe=make_recipe(epochs=30), levels=4)
    before = trained(engine)
    begun(engine, engine.submit(asked, "me"))
    wait_until(lambda: trained(engine) - before >= 2 * 3)  # dense, level 1, level 2 begun
    assert engine.cancel(asked.id, "me")
    wait(engine, asked.id, "stopped")
    done = trained(engine) - before
    wait(engine, engine.submit(asked, "me"), "done")
    left = 2 * 5 - done  # of two networks at five stages
    assert trained(engine) - before - done in (left, left + 2), "what was left, and what was under way"


def test_more_levels_and_another_experiment_train_nothing_twice(engine):
    wait(engine, engine.submit(pruning(width=7, levels=2)), "done")
    before = trained(engine)
    wait(engine, engine.submit(pruning(width=7, levels=3)), "done")
    assert trained(engine) - before == 2
    wait(engine, engine.submit(Trajectory(width=7, recipe=make_recipe(epochs=4), checkpoints=(1, 4), points=3)), "done")
    assert trained(engine) - before == 4, "the two networks were replayed for their start, and nothing else"
