"""Disks that are full or read-only and processes that are killed, for real."""

import contextlib
import os
import random
import time

import numpy as np
import pytest

from lmc import Store, StoreError
from lmc.cli import main
from tests.store.conftest import Shop

QUICK = ["pair", "--width", "4", "--epochs", "1", "--points", "3"]


def fill(shop):
    """Save networks until the disk refuses; the ids that were saved."""
    saved, big = [], {"w": np.zeros(25_000)}
    with pytest.raises(StoreError, match="cannot be written .No space left on device.; choose another with --store"):
        for i in range(100):
            shop.store.save_network(f"{i:016x}", {"label": str(i)}, {1: big})
            saved.append(f"{i:016x}")
    with pytest.raises(StoreError, match="No space left"):
        for i in range(10_000):  # to the last page
            shop.store.save_state(f"{i:016x}", bytes(1000))
    return saved


def test_a_full_disk_loses_nothing_and_ends_a_run_with_one_sentence(small_disk, capfd):
    folder, _ = small_disk
    shop = Shop(Store(folder / "store", shipped=None))
    result = shop.result("a")
    saved = fill(shop)
    assert len(saved) > 3 and not shop.leftovers()
    assert all(np.array_equal(shop.store.load_checkpoint(id, 1)["w"], np.zeros(25_000)) for id in saved)
    assert shop.store.load_result(result) is not None and all(one.whole for one in shop.store.verify())
    for refused in (
        lambda: shop.store.save_network("e" * 16, {}, {1: {"w": np.ones(25_000)}}),
        lambda: shop.store.save_state("e" * 16, bytes(200_000)),
        lambda: shop.result("b"),
    ):
        with pytest.raises(StoreError, match="No space left"):
            refused()
    capfd.readouterr()
    assert main([*QUICK, "--store", str(shop.store.root)]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("lmc: ") == 1 and "No space left on device" in err and "Traceback" not in err
    assert not shop.leftovers() and shop.store.load_state("e" * 16) is None
    assert all(one.whole for one in shop.store.verify()) and shop.store.load_result(result) is not None


def test_eviction_makes_room_on_a_full_disk(small_disk):
    shop = Shop(Store(small_disk[0] / "store", shipped=None))
    for id in fill(shop):
        shop.aged("networks", id, 3600)
    shop.store.limit = 1_000_000
    assert shop.store.evict() and shop.store.size() <= 1_000_000
    shop.store.save_network("e" * 16, {}, {1: {"w": np.ones(25_000)}})
    assert shop.store.load_checkpoint("e" * 16, 1) is not None


def test_a_read_only_folder_is_still_read_but_takes_nothing(small_disk, capfd):
    folder, make_read_only = small_disk
    shop = Shop(Store(folder / "store", shipped=None))
    network, result = shop.network("1", age=9000), shop.result("a", age=9000)
    make_read_only()
    assert shop.store.load_checkpoint(network, 1) is not None and shop.store.load_result(result) is not None
    assert shop.store.load_about(network) and all(one.whole for one in shop.store.verify())
    shop.store.limit = 1
    assert shop.store.evict() == [] and shop.there() == {"1", "a"}
    refused = (
        lambda: shop.network("2"), lambda: shop.result("b"), lambda: shop.store.save_state("0" * 16, b""),
        lambda: shop.store.pin(network), lambda: shop.store.delete_network(network),
        lambda: shop.store.update_about(network, {"label": "x"}), lambda: Store(shop.store.root),
    )  # fmt: skip
    for call in refused:
        with pytest.raises(StoreError, match="cannot be written .Read-only file system."):
            call()
    capfd.readouterr()
    for command in (QUICK, ["runs"], ["runs", "delete", network]):
        assert main([*command, "--store", str(shop.store.root)]) == 2
        out, err = capfd.readouterr()
        assert out == "" and err.count("\n") == 1 and "cannot be written (Read-only file system)" in err
    assert shop.store.load_checkpoint(network, 1)["w"][0] == 1


LIMITED = """
import resource, sys
import numpy as np
from lmc import Store, StoreError
store = Store(sys.argv[1], shipped=None)
store.save_network("0" * 16, {}, {1: {"w": np.zeros(100)}})
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for refused in (
    lambda: store.save_network("0" * 16, {}, {2: {"w": np.zeros(100_000)}}),
    lambda: store.save_state("0" * 16, bytes(100_000)),
):
    try:
        refused()
    except StoreError as error:
        print(error)
"""


def test_a_disk_that_takes_half_a_file_leaves_none(tmp_path, child):
    """The stand-in for a full disk where none can be mounted: the system cuts files off at 50 kB."""
    out, err = child(LIMITED, tmp_path / "store").communicate(timeout=60)
    assert not err and out.count("cannot be written (File too large)") == 2
    shop = Shop(Store(tmp_path / "store", shipped=None))
    assert shop.store.load_checkpoint("0" * 16, 1) is not None and shop.store.load_checkpoint("0" * 16, 2) is None
    assert shop.store.load_state("0" * 16) is None and not shop.leftovers()
    assert not (tmp_path / "store" / "damaged").exists(), "no half file was there to be found"


SAVE = """
import itertools, sys
import numpy as np
from lmc import Result, Store
store, start = Store(sys.argv[1], shipped=None), int(sys.argv[2])
print("ready", flush=True)
for i in itertools.count(start):
    id, value = f"{i:016x}", np.full(400_000, float(i))
    store.save_state("f" * 16, value.tobytes())
    store.save_network(id, {"label": str(i)}, {1: {"w": value}, 2: {"w": -value}})
    store.save_result(Result(experiment="pair", id=id, config={}, metrics={}, tables={}, networks=[], seconds=1.0,
                             made_with={}, arrays={"w": value}))
    if i % 10:
        store.delete_result(id)
        store.delete_network(id)
"""


def test_a_process_killed_while_it_saves_leaves_nothing_that_is_read_as_whole(tmp_path, child):
    shop, draw, killed = Shop(Store(tmp_path / "store", shipped=None)), random.Random(0), []
    for place in range(12):
        process = child(SAVE, shop.store.root, 1000 * place)
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0.02, 0.2))
        if place % 2:
            wait_for_a_file_in_the_making(shop)
        process.kill()
        process.wait()
        killed += shop.leftovers()
    findings = list(shop.store.verify())
    assert findings and all(one.whole for one in findings) and not (shop.store.root / "damaged").exists()
    for one in shop.store.inventory():
        value = np.full(400_000, float(int(one.id, 16)))
        if one.kind == "results":
            assert np.array_equal(shop.store.load_result(one.id).arrays["w"], value)
        for epoch, sign in ((1, 1), (2, -1)) if one.kind == "networks" else ():
            arrays = shop.store.load_checkpoint(one.id, epoch)
            assert arrays is None or np.array_equal(arrays["w"], sign * value)
    state = np.frombuffer(shop.store.load_state("f" * 16))
    assert len(state) == 400_000 and len(set(state)) == 1
    assert any(path.name.startswith(".writing-") for path in killed), "no kill hit a save"
    assert_leftovers_go_after_an_hour(shop)


def wait_for_a_file_in_the_making(shop):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):  # folders come and go
            if any((shop.store.root / "networks").glob("*/.writing-*")):
                return


def assert_leftovers_go_after_an_hour(shop):
    left = [path for path in shop.leftovers() if path.name.startswith(".writing-")]
    shop.store.evict()
    assert set(shop.leftovers()) == set(left), "somebody may be writing them"
    for path in left:
        os.utime(path, (time.time() - 4000,) * 2)
    shop.store.evict()
    assert not shop.leftovers()


def test_what_a_killed_deletion_left_goes_at_once(shop):
    shop.network("1")
    doomed = shop.store.root / "networks" / ".deleting-1-1"
    (shop.store.root / "networks" / ("1" * 16)).rename(doomed)
    assert shop.store.size() == 0 and shop.store.load_checkpoint("1" * 16, 1) is None
    shop.store.evict()
    assert not doomed.exists()
