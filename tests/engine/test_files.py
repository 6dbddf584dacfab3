"""Files that come in through a page."""

import os
import tomllib
from pathlib import Path

import pytest

from lmc import InputError, Store
from lmc.engine import MAX_FILES, MAX_UPLOAD, Engine
from lmc.engine.files import keep_files
from tests.engine.waiting import wait, wait_until

pytestmark = pytest.mark.slow


def network_file(width=5, inputs=64, classes=10):
    """A perceptron with one hidden layer, as safetensors; made without torch."""
    import numpy as np
    from safetensors.numpy import save

    draw = np.random.default_rng(width).standard_normal
    shapes = {"layers.0.weight": (width, inputs), "layers.0.bias": (width,)}
    shapes |= {"head.weight": (classes, width), "head.bias": (classes,)}
    return save({name: draw(shape).astype(np.float32) for name, shape in shapes.items()})


def no_uploads(engine):
    return not list((engine.store.root / "runs").glob("*/files"))


def test_files_are_loaded_by_workers_and_the_uploads_deleted(engine):
    names = ["../../etc/pass|wd\x00\n.safetensors", "--help.pt", "n" * 500 + ".pth"]
    files = [(name, network_file(5 + i)) for i, name in enumerate(names)]
    token = engine.submit_files([*files, ("notes.pt", b"no network")], session="me")
    assert engine.status(token).active and engine.loaded(token) is None
    wait(engine, token, "done")
    content = engine.loaded(token)
    labels = [one["label"] for one in content["networks"]]
    assert labels == ["pass wd", "help", "n" * 80]
    assert {about["label"] for about in engine.store.networks()} == set(labels)
    (refused,) = content["refused"]
    assert refused["refused"].startswith("notes cannot be used; it is neither safetensors nor")
    assert all(one["datasets"] == ["digits"] and "Function check" in one["report"][-1] for one in content["networks"])
    wait_until(lambda: no_uploads(engine))


def test_a_file_that_is_loaded_again_takes_its_new_name(engine):
    for name in ("first.pt", "second.pt"):
        wait(engine, engine.submit_files([(name, network_file(9))]), "done")
    assert [about["label"] for about in engine.store.networks() if about["config"]["width"] == 9] == ["second"]


def test_a_cancelled_load_leaves_no_upload_behind(engine):
    token = engine.submit_files([(f"{i}.pt", network_file(15 + i)) for i in range(10)])
    engine.cancel(token)
    assert engine.status(token).state == "stopped" and engine.loaded(token) is None
    wait_until(lambda: no_uploads(engine))


def test_files_left_over_by_a_killed_server_are_deleted_with_the_next_upload(tmp_path):
    store = Store(tmp_path, shipped=None)
    left = store.run_folder("0" * 16) / "files"
    left.mkdir(parents=True)
    (left / "0").write_bytes(b"secret")
    os.utime(left.parent, (0, 0))
    keep_files(store, [("a.pt", network_file())])
    assert not left.exists()


@pytest.mark.parametrize("count", [0, MAX_FILES + 1])
def test_too_few_and_too_many_files_are_refused_before_anything(tmp_path, count):
    engine = Engine(Store(tmp_path, shipped=None))
    with pytest.raises(InputError, match="1 to 20 at a time"):
        engine.submit_files([("a.pt", b"")] * count)
    assert not list((engine.store.root / "runs").iterdir())


def test_a_file_over_the_limit_is_refused_before_anything(tmp_path, monkeypatch):
    monkeypatch.setattr("lmc.engine.files.MAX_UPLOAD", 2**20)
    store = Store(tmp_path, shipped=None)
    with pytest.raises(InputError, match="python -m lmc load FILE"):
        keep_files(store, [("a.pt", b""), ("big.pt", bytes(2**20 + 1))])
    assert not list((store.root / "runs").iterdir())


def test_the_limits_of_page_server_and_reader_go_together():
    from lmc.loading import MAX_BYTES

    config = tomllib.loads((Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml").read_text())
    assert config["server"]["maxUploadSize"] * 2**20 == MAX_UPLOAD <= MAX_BYTES
