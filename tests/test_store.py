import json
import shutil
import threading

import numpy as np
import pytest

import lmc
from lmc import Pair, Store, StoreError, make_recipe
from lmc.store import SHIPPED

CONFIG = Pair(width=4, recipe=make_recipe(epochs=1), points=3, method="weight")
ID = "0123456789abcdef"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "a store with spaces", shipped=None)


@pytest.fixture
def filled(store):
    return store, lmc.run(CONFIG, store=store, device="cpu")


def leftovers(store):
    return [path for path in store.root.rglob(".*") if path.name.startswith((".writing", ".progress"))]


def test_a_result_comes_back_as_it_was(filled):
    store, result = filled
    found = store.load_result(result.id)
    assert found.tables == result.tables and found.metrics == result.metrics and found.config == CONFIG.to_json()
    assert all(np.array_equal(found.arrays[name], value) for name, value in result.arrays.items())
    assert [r.id for r in store.results()] == [result.id] and store.has_result(result.id)
    assert not leftovers(store)


def test_a_checkpoint_comes_back_and_is_never_overwritten(store):
    state = {"w": np.arange(6.0).reshape(2, 3), "n": np.array([3])}
    store.save_network(ID, {"label": "0"}, {5: state})
    store.save_network(ID, {"label": "other"}, {5: {"w": np.zeros(1)}, 7: state})
    for epoch in (5, 7):
        found = store.load_checkpoint(ID, epoch)
        assert found.keys() == state.keys() and all(np.array_equal(found[name], state[name]) for name in state)
    assert store.load_about(ID) == {"label": "0"} and store.load_checkpoint(ID, 6) is None
    assert store.holds(ID, (5, 7)) and not store.holds(ID, (5, 6)) and not store.holds("f" * 16, ())
    assert not leftovers(store)


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        content[-20] ^= 4
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["truncated", "empty", "flipped"])
@pytest.mark.parametrize("name", ["result.json", "arrays.npz"])
def test_a_damaged_result_is_set_aside_and_computed_again(filled, name, how):
    store, result = filled
    path = store.root / "results" / result.id / name
    damage(path, how)
    assert store.load_result(result.id) is None
    assert len(list((store.root / "damaged").iterdir())) == 1, "nothing is thrown away"
    again = lmc.run(CONFIG, store=store, device="cpu")
    assert again.tables == result.tables and store.load_result(result.id) is not None


@pytest.mark.parametrize("how", ["truncated", "empty", "flipped"])
def test_a_damaged_network_is_set_aside_and_trained_again(filled, how):
    store, result = filled
    before = [store.load_checkpoint(id, 1) for id in result.networks]
    damage(store.root / "networks" / result.networks[0] / "epoch-00001.safetensors", how)
    (store.root / "results" / result.id / "result.json").write_text("not a result")
    again = lmc.run(CONFIG, store=store, device="cpu")
    assert again.tables == result.tables
    assert len(list((store.root / "damaged").iterdir())) == 2
    after = [store.load_checkpoint(id, 1) for id in result.networks]
    assert all(np.array_equal(x[name], y[name]) for x, y in zip(before, after, strict=True) for name in x)


def test_a_result_or_network_under_another_id_is_not_taken_for_it(filled):
    store, result = filled
    shutil.copytree(store.root / "results" / result.id, store.root / "results" / ID)
    assert store.load_result(ID) is None and store.load_result(result.id) is not None
    first, second = (store.root / "networks" / id / "epoch-00001.safetensors" for id in result.networks)
    shutil.copy(first, second)
    assert store.load_checkpoint(result.networks[1], 1) is None


def test_a_disk_that_refuses_is_said_in_one_sentence(filled, monkeypatch):
    store, _ = filled

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lmc.store.networks.write_file", full)
    with pytest.raises(StoreError, match="cannot be written .No space left on device."):
        lmc.run(Pair(width=3, recipe=make_recipe(epochs=1), points=3), store=store, device="cpu")


def test_wrong_json_in_a_networks_record_is_set_aside(filled):
    store, result = filled
    (store.root / "networks" / result.networks[0] / "network.json").write_text("[1")
    assert store.load_about(result.networks[0]) is None and (store.root / "damaged").is_dir()


def test_the_shipped_layer_is_read_and_never_written(tmp_path):
    before = {path: path.stat().st_mtime_ns for path in SHIPPED.rglob("*")}
    store = Store(tmp_path)
    networks = Pair().networks()
    assert all(store.load_checkpoint(network.id, 60) is not None for network in networks)
    lmc.run(Pair(points=3), store=store, device="cpu")
    assert not list((tmp_path / "networks").iterdir()), "nothing was trained"
    assert {path: path.stat().st_mtime_ns for path in SHIPPED.rglob("*")} == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written.*choose another with --store"):
        Store(tmp_path / "file" / "store")


@pytest.mark.parametrize("id", ["../../etc/passwd", "", "0123", "0123456789ABCDEF", "0123456789abcdef/x"])
def test_an_id_that_is_none_is_refused(store, id):
    for use in (store.load_result, store.load_about, store.run_folder):
        with pytest.raises(StoreError, match="no id"):
            result = use(id)
            list(result) if result else None


def test_many_writers_leave_one_whole_result(filled):
    store, _ = filled
    writers = [
        threading.Thread(target=store.save_network, args=(ID, {"n": i}, {1: {"w": np.full(1000, 1.0)}}))
        for i in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert np.array_equal(store.load_checkpoint(ID, 1)["w"], np.full(1000, 1.0))
    assert json.loads((store.root / "networks" / ID / "network.json").read_text())["n"] in range(8)
    assert not leftovers(store)
