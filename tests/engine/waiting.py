"""Small runs, long runs, and waiting for them."""

import time

from lmc import Pair, make_recipe


def config(**changes):
    """A pair that takes moments."""
    return Pair(**{"width": 4, "recipe": make_recipe(epochs=2), "points": 3, "method": "none", **changes})


def long_config(epochs=9000, **changes):
    """A pair that nobody waits for."""
    return config(recipe=make_recipe(epochs=epochs), **changes)


def wait(engine, id, *states, seconds=240, session=""):
    """The status once it is one of `states`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = engine.status(id, session)
        if status.state in states:
            return status
        assert status.state not in ("failed", "stopped"), status
        time.sleep(0.05)
    raise AssertionError(f"still {engine.status(id)} after {seconds} s")


def wait_until(condition, seconds=60):
    """Until the condition holds; its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not so after {seconds} s")


def begun(engine, id):
    """The status once the training has done some of its share."""
    wait_until(lambda: engine.status(id).share > 0)
    return engine.status(id)
