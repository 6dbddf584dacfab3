import os
import shutil
import time

import numpy as np
import pytest

from lmc import Store, StoreError
from lmc.library import Library
from lmc.store import SHIPPED


def used(shop, kind, id):
    return shop.store.kept(kind, id).used


def test_reading_counts_as_use_but_lists_and_looks_do_not(shop):
    network, result = shop.network("1", age=5000), shop.result("a", age=5000)
    list(shop.store.results()), list(shop.store.networks()), list(shop.store.verify())
    shop.store.load_result_text(result), shop.store.load_about(network), shop.store.has_result(result)
    assert time.time() - used(shop, "networks", network) > 4000 and time.time() - used(shop, "results", result) > 4000
    assert shop.store.load_checkpoint(network, 7) is None
    assert time.time() - used(shop, "networks", network) > 4000, "nothing was read"
    shop.store.load_checkpoint(network, 1), shop.store.load_result(result)
    assert time.time() - used(shop, "networks", network) < 60 and time.time() - used(shop, "results", result) < 60


def test_a_use_within_a_minute_writes_nothing(shop):
    network = shop.network("1", age=30)
    before = (shop.store.root / "networks" / network / "used").stat().st_mtime_ns
    shop.store.load_checkpoint(network, 1)
    assert (shop.store.root / "networks" / network / "used").stat().st_mtime_ns == before


def test_marks_change_no_list(shop):
    network, result = shop.network("1"), shop.result("a")
    before = shop.store.changes("networks"), shop.store.changes("results"), shop.store.files(network)
    shop.store.load_checkpoint(network, 1), shop.store.load_result(result), shop.store.pin(result)
    after = shop.store.changes("networks"), shop.store.changes("results"), shop.store.files(network)
    assert after == before and set(after[2]) == {"network.json", "epoch-00001.safetensors"}
    shop.store.pin(network)
    assert set(shop.store.files(network)) == {"network.json", "epoch-00001.safetensors"}


def test_what_an_older_version_wrote_without_marks_is_read_and_marked_then(shop):
    network, result = shop.network("1"), shop.result("a")
    long_ago = time.time() - 9000
    for folder, name in ((f"networks/{network}", "network.json"), (f"results/{result}", "result.json")):
        (shop.store.root / folder / "used").unlink()
        os.utime(shop.store.root / folder / name, (long_ago, long_ago))
    assert [one.used for one in shop.store.inventory()] == pytest.approx([long_ago] * 2)
    assert shop.store.load_checkpoint(network, 1) and shop.store.load_result(result)
    assert all(time.time() - one.used < 60 and one.written < long_ago + 1 for one in shop.store.inventory())


def test_sizes_are_those_of_the_files(shop):
    shop.network("1"), shop.result("a"), shop.store.save_state("5" * 16, b"x" * 100)
    (shop.store.root / "runs" / "0").mkdir()
    (shop.store.root / "runs" / "0" / "log.txt").write_text("twelve bytes")
    files = [path for path in shop.store.root.rglob("*") if path.is_file()]
    assert shop.store.size() == sum(path.stat().st_size for path in files)
    (one,) = [one for one in shop.store.inventory() if one.kind == "networks"]
    assert one.size == sum(stat.st_size for stat in shop.store.files(one.id).values()) > 8192


def test_pins_come_and_go_and_only_where_they_mean_something(shop):
    network, result = shop.network("1"), shop.result("a", ["1" * 16])
    for id in (network, result):
        assert not shop.store.is_pinned(id)
        shop.store.pin(id), shop.store.pin(id)
        assert shop.store.is_pinned(id) and Store(shop.store.root, shipped=None).is_pinned(id)
        shop.store.unpin(id), shop.store.unpin(id)
        assert not shop.store.is_pinned(id)
    with pytest.raises(StoreError, match="holds no result or network 7777777777777777"):
        shop.store.pin("7" * 16)
    assert not shop.store.is_pinned("7" * 16)


def test_what_ships_is_neither_pinned_nor_deleted_nor_marked(tmp_path):
    store, before = Store(tmp_path), sorted(SHIPPED.rglob("*"))
    result, network = (min(path.name for path in (SHIPPED / kind).iterdir()) for kind in ("results", "networks"))
    for id in (result, network):
        with pytest.raises(StoreError, match="never deleted and needs no pin"):
            store.pin(id)
        assert not store.is_pinned(id)
    for delete, id in ((store.delete_result, result), (store.delete_network, network)):
        with pytest.raises(StoreError, match="came with the project and cannot be deleted"):
            delete(id)
    assert store.load_result(result) and Library(store).networks() and sorted(SHIPPED.rglob("*")) == before
    assert store.inventory() == []


def test_a_shipped_layer_inside_the_stores_folder_is_left_alone_too(tmp_path):
    shipped = tmp_path / "models" / "pretrained"
    shutil.copytree(SHIPPED, shipped)
    network = min(path.name for path in (shipped / "networks").iterdir())
    result = min(path.name for path in (shipped / "results").iterdir())
    (shipped / "results" / result / "arrays.npz").write_bytes(b"damaged")
    store, before = Store(tmp_path, shipped=shipped), sorted(shipped.rglob("*"))
    epoch = Library(store).networks()[0].checkpoints[-1]
    assert store.load_checkpoint(Library(store).networks()[0].id, epoch) and store.load_about(network)
    assert store.load_result(result) is None and sorted(shipped.rglob("*")) == before


def test_deleting_is_refused_while_it_is_pinned_or_made(shop):
    network, result = shop.network("1"), shop.result("a")
    other = Store(shop.store.root, shipped=None)
    for id, delete in ((network, shop.store.delete_network), (result, shop.store.delete_result)):
        shop.store.pin(id)
        with pytest.raises(StoreError, match="is pinned; unpin it before deleting it"):
            delete(id)
        shop.store.unpin(id)
    with other.lock("run", result), pytest.raises(StoreError, match="this experiment is running"):
        shop.store.delete_result(result)
    assert shop.there() == {"1", "a"}
    shop.store.delete_result(result), shop.store.delete_network(network), shop.store.delete_result(result)
    assert shop.there() == set() and not shop.leftovers() and shop.store.load_result(result) is None


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "much"])
def test_a_limit_that_is_none_is_named(tmp_path, monkeypatch, said):
    monkeypatch.setenv("LMC_STORE_LIMIT", said)
    with pytest.raises(StoreError, match=rf"LMC_STORE_LIMIT is '{said}'; a number of gigabytes above 0"):
        Store(tmp_path)


def test_the_limit_is_in_gigabytes(tmp_path, monkeypatch):
    monkeypatch.setenv("LMC_STORE_LIMIT", "0.5")
    assert Store(tmp_path).limit == 500_000_000
    monkeypatch.delenv("LMC_STORE_LIMIT")
    assert Store(tmp_path).limit == 20_000_000_000


def test_a_state_comes_back_and_a_damaged_one_counts_as_missing(shop):
    name, content = "0123456789abcdef", bytes(range(256)) * 100
    assert shop.store.load_state(name) is None
    shop.store.save_state(name, b"older"), shop.store.save_state(name, content)
    assert shop.store.load_state(name) == content
    path = shop.store.root / "states" / name
    whole = path.read_bytes()
    for damaged in (whole[:-1], b"", whole[:70], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        path.write_bytes(damaged)
        assert shop.store.load_state(name) is None and not path.exists()
    shop.store.save_state(name, b"")
    assert shop.store.load_state(name) == b""
    shop.store.delete_state(name), shop.store.delete_state(name)
    assert shop.store.load_state(name) is None and not shop.leftovers()
    with pytest.raises(StoreError, match="no id"):
        shop.store.save_state("../x", b"")


def test_verifying_finds_what_is_damaged_and_sets_it_aside(shop):
    for digit in "123":
        shop.network(digit)
    shop.result("a"), shop.result("b")
    assert all(one.whole for one in shop.store.verify()) and len(list(shop.store.verify())) == 3 * 2 + 2
    shop.store.save_network("3" * 16, {}, {2: {"w": np.zeros(3)}})
    root = shop.store.root
    (root / "networks" / ("2" * 16) / "epoch-00001.safetensors").write_bytes(b"no network at all")
    (root / "networks" / ("3" * 16) / "network.json").write_text("[1]")
    (root / "results" / ("a" * 16) / "arrays.npz").unlink()
    found = {(one.id[0], one.part): one for one in shop.store.verify()}
    broken = {key for key, one in found.items() if not one.whole}
    assert broken == {("2", "epoch 1"), ("3", "description"), ("a", "")} and found["3", "epoch 2"].whole
    assert all(found[key].text for key in broken)
    assert len(list((root / "damaged").iterdir())) == 3 and all(one.whole for one in shop.store.verify())
    assert shop.store.load_result("a" * 16) is None and shop.store.load_checkpoint("2" * 16, 1) is None


def test_verifying_some_reads_these_and_shipped_ones_too(tmp_path):
    store = Store(tmp_path)
    network = min(path.name for path in (SHIPPED / "networks").iterdir())
    found = list(store.verify([network, network]))
    assert {one.id for one in found} == {network} and all(one.whole for one in found) and len(found) == 2
    with pytest.raises(StoreError, match="holds no result or network"):
        store.verify(["0" * 16])
    assert list(store.verify()) == []
