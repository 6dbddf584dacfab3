import time

import pytest

from lmc import Pair, Store, make_recipe
from lmc.engine import Engine

pytestmark = pytest.mark.slow


def config(**changes):
    return Pair(**{"width": 4, "recipe": make_recipe(epochs=2), "points": 3, "method": "none", **changes})


LONG = config(recipe=make_recipe(epochs=9000))


@pytest.fixture
def engine(tmp_path):
    running = Engine(Store(tmp_path, shipped=None))
    yield running
    running.close()


def wait(engine, id, *states, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = engine.status(id)
        if status.state in states:
            return status
        time.sleep(0.05)
    raise AssertionError(f"still {engine.status(id)} after {seconds} s")


def test_submit_then_done_then_the_result(engine):
    assert engine.status(config().id).state == "unknown"
    id = engine.submit(config())
    assert id == config().id and engine.status(id).state == "running"
    assert wait(engine, id, "done").share == 1.0
    assert engine.result(id).config == config().to_json()
    assert engine.submit(config()) == id and engine.status(id).state == "done"


def test_equal_configs_share_one_child_also_from_another_engine(engine):
    id = engine.submit(LONG)
    child = engine._children[id]
    assert engine.submit(LONG) == id and engine._children[id] is child
    wait_for_share(engine, id)
    other = Engine(engine.store)
    assert other.submit(LONG) == id and not other._children
    assert other.status(id).state == "running"
    other.cancel(id)
    assert wait(other, id, "stopped", seconds=10).state == "stopped"


def wait_for_share(engine, id):
    end = time.monotonic() + 60
    while engine.status(id).share == 0 and time.monotonic() < end:
        time.sleep(0.05)
    status = engine.status(id)
    assert status.state == "running" and 0 < status.share < 1 and "training" in status.text
    return status


def test_progress_grows_cancel_ends_it_and_it_can_start_again(engine):
    id = engine.submit(LONG)
    first = wait_for_share(engine, id)
    time.sleep(1)
    assert engine.status(id).share > first.share
    start = time.monotonic()
    engine.cancel(id)
    assert time.monotonic() - start < 5
    assert engine.status(id).state == "stopped" and engine.result(id) is None
    assert engine.submit(LONG) == id and engine.status(id).state == "running"


def test_a_failure_says_the_sentence_of_the_run(engine):
    too_large = Pair(width=16384)
    id = engine.submit(too_large)
    status = wait(engine, id, "failed")
    assert "--width: 16384 cannot be used" in status.error and "Traceback" not in status.error


def test_a_killed_child_counts_as_failed_and_can_start_again(engine):
    id = engine.submit(LONG)
    wait_for_share(engine, id)
    engine._children[id].kill()
    engine._children[id].wait()
    status = engine.status(id)
    assert status.state == "failed" and "ended without a result" in status.error
    assert engine.submit(LONG) == id and engine.status(id).state == "running"
