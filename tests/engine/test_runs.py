"""Runs as pages know them: submitted, shared, watched, cancelled."""

import time

import pytest

import lmc
from lmc import Pair, Store, make_recipe
from lmc.engine import Engine
from tests.engine.waiting import begun, config, long_config, wait, wait_until

pytestmark = pytest.mark.slow


def trained(engine):
    return engine.overview()["trained"]


def test_submit_then_done_then_the_result_of_a_run_in_this_process(engine, tmp_path):
    asked = config(seeds=(0, 1, 2), method=("none", "weight"))
    assert engine.status(asked.id).state == "unknown"
    assert engine.submit(asked) == asked.id
    assert wait(engine, asked.id, "done").share == 1.0
    here = lmc.run(asked, store=Store(tmp_path, shipped=None), device="cpu")
    there = engine.result(asked.id)
    assert there.tables == here.tables and there.metrics == here.metrics and there.networks == here.networks
    assert here.arrays.keys() == there.arrays.keys()
    assert all((here.arrays[name] == there.arrays[name]).all() for name in here.arrays)


def test_a_finished_run_is_not_computed_again(engine):
    asked = config(seeds=(3, 4))
    wait(engine, engine.submit(asked), "done")
    before = trained(engine)
    engine.submit(asked)
    assert wait(engine, asked.id, "done") and trained(engine) == before


def test_progress_grows_with_curves_and_cancel_ends_it_within_a_second(engine):
    asked = long_config()
    engine.submit(asked, "me")
    first = begun(engine, asked.id)
    assert first.state == "running" and first.position == 0 and "training, epoch" in first.text
    few = len(engine.partial(asked.id).curves)
    wait_until(lambda: engine.status(asked.id, "me").share > first.share)
    curves = wait_until(lambda: len(engine.partial(asked.id).curves) > few and engine.partial(asked.id).curves)
    assert {row["label"] for row in curves} == {"0", "1"}
    epochs = [row["epoch"] for row in curves if row["split"] == "test" and row["label"] == "0"]
    assert epochs == list(range(len(epochs)))
    start = time.monotonic()
    assert engine.cancel(asked.id, "me")
    assert engine.status(asked.id).state == "stopped" and time.monotonic() - start < 1
    other = config(seeds=(50, 51))  # the workers are free again
    wait(engine, engine.submit(other), "done", seconds=20)
    assert engine.result(asked.id) is None
    assert not any(engine.store.load_about(network.id) for network in asked.networks())
    assert engine.submit(asked) == asked.id and engine.status(asked.id).active, "a stopped attempt is not handed out"
    engine.cancel(asked.id)


def test_a_run_that_another_page_watches_goes_on(engine):
    asked = long_config(seeds=(5, 6))
    engine.submit(asked, "mine")
    begun(engine, asked.id)
    assert engine.status(asked.id, "yours").watchers == 1
    assert not engine.cancel(asked.id, "mine")
    assert engine.status(asked.id).state == "running"
    assert engine.cancel(asked.id, "yours")
    assert engine.status(asked.id).state == "stopped"


def test_equal_configs_share_a_run_and_runs_share_networks(engine):
    before = trained(engine)
    common = make_recipe(epochs=100)
    first, again = (config(recipe=common, seeds=(0, 1)) for _ in range(2))
    overlapping = config(recipe=common, seeds=(0, 2))
    for asked in (first, again, overlapping):
        engine.submit(asked)
    for asked in (first, overlapping):
        wait(engine, asked.id, "done")
    assert trained(engine) == before + 3, "networks 0, 1 and 2, each once"
    assert sum(run["id"] == first.id for run in engine.runs()) == 1


def test_cancelling_one_of_two_runs_leaves_the_networks_that_the_other_needs(engine):
    common = make_recipe(epochs=120)
    mine, yours = (config(recipe=common, seeds=(20, other)) for other in (21, 22))
    engine.submit(mine)
    begun(engine, mine.id)
    before = trained(engine)
    engine.submit(yours)
    wait_until(lambda: trained(engine) > before)
    engine.cancel(mine.id)
    assert engine.status(mine.id).state == "stopped"
    wait(engine, yours.id, "done")
    assert trained(engine) == before + 1, "network 20 was trained once"


def test_waiting_runs_have_places_begin_in_order_and_finish(engine):
    asked = [config(seeds=(2 * i + 100, 2 * i + 101)) for i in range(8)]
    for one in asked:
        engine.submit(one)
    places, begun_at_some_time = set(), set()
    ids = [one.id for one in asked]
    while True:
        rows = {run["id"]: run for run in engine.runs() if run["id"] in ids}
        places |= {run["position"] for run in rows.values() if run["state"] == "waiting"}
        begun_at_some_time |= {place for place, id in enumerate(ids) if id in rows and rows[id]["state"] != "waiting"}
        # of two that begin at the same time on two workers, either may be heard of first
        assert not begun_at_some_time or max(begun_at_some_time) <= len(begun_at_some_time)
        if len(rows) == len(ids) and all(run["state"] == "done" for run in rows.values()):
            break
        assert not any(run["state"] in ("failed", "stopped") for run in rows.values())
        time.sleep(0.02)
    assert places and max(places) <= 8 and min(places) >= 1


def test_partial_tables_come_as_pairs_are_done(engine):
    asked = config(seeds=tuple(range(6)), points=201, method=("none", "weight"))
    engine.submit(asked)
    seen = set()
    while engine.status(asked.id).active:
        time.sleep(0.05)
        tables = engine.partial(asked.id).tables
        if tables:
            seen.add(len(set(tables["barriers"]["pair"])))
    wait(engine, asked.id, "done")
    assert seen and min(seen) < 15 and len(set(engine.result(asked.id).tables["barriers"]["pair"])) == 15


def test_a_failure_says_one_sentence_and_is_not_handed_out_again(engine):
    too_large = Pair(width=16384)
    status = wait(engine, engine.submit(too_large), "failed")
    assert status.error.startswith("width: 16384 cannot be used") and "Traceback" not in status.error
    assert wait(engine, engine.submit(too_large), "failed").error == status.error


def test_a_second_app_on_the_store_joins_the_engine(engine):
    other = Engine(Store(engine.store.root, shipped=None))
    other.wait_until_ready()
    assert other._process.child is None or other._process.child.poll() is not None
    asked = long_config(seeds=(30, 31))
    engine.submit(asked)
    begun(engine, asked.id)
    assert other.submit(asked) == asked.id and other.status(asked.id).state == "running"
    assert other.cancel(asked.id)
    assert engine.status(asked.id).state == "stopped"
    other.close()
    assert engine.overview()["workers"] == 2
    log = (engine.store.root / "engine" / "log.txt").read_text()
    assert f"run {asked.id}: pair: mlp of width 4 on digits, networks 30 31" in log
    assert f"run {asked.id} stopped" in log and "training mlp 4 digits seed 30" in log


def test_the_command_line_waits_for_a_run_of_the_engine(engine):
    asked = config(recipe=make_recipe(epochs=200), seeds=(40, 41))
    engine.submit(asked)
    begun(engine, asked.id)
    before = trained(engine)
    found = lmc.run(asked, store=engine.store, device="cpu")
    assert engine.status(asked.id).state == "done" and found.tables == engine.result(asked.id).tables
    assert trained(engine) == before


def test_what_is_asked_before_the_engine_is_ready_is_not_lost(tmp_path):
    early = Engine(Store(tmp_path, shipped=None), workers=1)
    start = time.monotonic()
    id = early.submit(config())
    assert time.monotonic() - start < 0.3 and early.status(id).state == "starting"
    wait(early, id, "done")
    early.close()
