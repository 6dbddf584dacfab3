import json
import time
import tomllib
from pathlib import Path

import pytest

from lmc import InputError, Pair, Store, make_recipe, progress
from lmc import engine as module
from lmc.engine import MAX_FILES, MAX_UPLOAD, Engine

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


def network_file(width=5, inputs=64, classes=10):
    """A perceptron with one hidden layer, as safetensors; made without torch."""
    import numpy as np
    from safetensors.numpy import save

    draw = np.random.default_rng(width).standard_normal
    shapes = {"layers.0.weight": (width, inputs), "layers.0.bias": (width,)}
    shapes |= {"head.weight": (classes, width), "head.bias": (classes,)}
    return save({name: draw(shape).astype(np.float32) for name, shape in shapes.items()})


def test_files_are_loaded_by_a_child_and_the_uploads_deleted(engine):
    names = ["../../etc/pass|wd\x00\n.safetensors", "--help.pt", "n" * 500 + ".pth"]
    files = [(name, network_file(5 + i)) for i, name in enumerate(names)]
    token = engine.submit_files([*files, ("notes.pt", b"no network")])
    assert engine.status(token).state == "running" and engine.loaded(token) is None
    wait(engine, token, "done")
    content = engine.loaded(token)
    labels = [one["label"] for one in content["networks"]]
    assert labels == ["pass wd", "help", "n" * 80]
    assert {about["label"] for about in engine.store.networks()} == set(labels)
    (refused,) = content["refused"]
    assert refused["refused"].startswith("notes cannot be used; it is neither safetensors nor")
    assert all(one["datasets"] == ["digits"] and "Function check" in one["report"][-1] for one in content["networks"])
    assert Engine(engine.store).status(token).state == "done"
    wait_until(lambda: not (engine.store.run_folder(token) / "files").exists())


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_a_cancelled_load_leaves_no_upload_behind(engine):
    token = engine.submit_files([(f"{i}.pt", network_file(5 + i)) for i in range(10)])
    engine.cancel(token)
    wait(engine, token, "stopped")
    assert engine.loaded(token) is None
    wait_until(lambda: not (engine.store.run_folder(token) / "files").exists())


def test_files_left_over_by_a_killed_server_are_deleted_with_the_next_upload(engine):
    left = engine.store.run_folder("0" * 16) / "files"
    left.mkdir(parents=True)
    (left / "0").write_bytes(b"secret")
    engine.cancel(engine.submit_files([("a.pt", network_file())]))
    assert not left.exists()


@pytest.mark.parametrize("count", [0, MAX_FILES + 1])
def test_too_few_and_too_many_files_are_refused_before_anything(engine, count):
    with pytest.raises(InputError, match="1 to 20 at a time"):
        engine.submit_files([("a.pt", b"")] * count)
    assert not engine._children and not list((engine.store.root / "runs").iterdir())


def test_a_file_over_the_limit_is_refused_before_anything(engine, monkeypatch):
    monkeypatch.setattr(module, "MAX_UPLOAD", 2**20)
    with pytest.raises(InputError, match="python -m lmc load FILE"):
        engine.submit_files([("a.pt", b""), ("big.pt", bytes(2**20 + 1))])
    assert not engine._children


def test_the_limits_of_page_server_and_reader_go_together():
    from lmc.loading import MAX_BYTES

    config = tomllib.loads((Path(__file__).resolve().parents[1] / ".streamlit" / "config.toml").read_text())
    assert config["server"]["maxUploadSize"] * 2**20 == MAX_UPLOAD <= MAX_BYTES


def test_a_silent_child_of_ours_is_busy_one_of_others_is_lost(engine):
    id = engine.submit(LONG)
    wait_for_share(engine, id)
    other = Engine(engine.store)
    engine._children[id].send_signal(19)  # SIGSTOP: as in one long step
    file = engine.store.run_folder(id) / "progress.json"
    time.sleep(0.5)
    said = progress.read(file.parent)
    file.write_text(json.dumps({**said, "alive": said["alive"] - 2 * module.SILENCE}))
    assert engine.status(id).state == "running" and other.status(id).state == "failed"
    engine._children[id].send_signal(18)
    wait_until(lambda: other.status(id).state == "running")
