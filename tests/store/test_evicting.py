import os
import time

import numpy as np
import pytest

from lmc import Store, StoreError

HOLD = """
import sys
from lmc.store import Store
store = Store(sys.argv[1], shipped=None)
with store.lock(sys.argv[2], sys.argv[3]):
    print("held", flush=True)
    sys.stdin.read()
"""


def shrink(shop, entries):
    """A limit that leaves room for so many entries of 8 kB, counting that nine tenths of it are filled."""
    shop.store.limit = int(entries * 8600 / 0.9)


def test_the_least_recently_used_go_first_and_only_as_many_as_needed(shop):
    for place, digit in enumerate("4132"):
        shop.network(digit, age=4000 - 100 * place)
    shop.result("b", age=3750), shop.result("a", age=5000)
    shop.store.limit = shop.store.size()
    assert shop.store.evict() == [] and len(shop.there()) == 6
    shrink(shop, 3)
    assert shop.store.evict() == ["a" * 16, "4" * 16, "1" * 16]
    assert shop.there() == {"b", "3", "2"} and shop.store.size() <= 0.9 * shop.store.limit and not shop.leftovers()
    shop.store.load_checkpoint("3" * 16, 1)
    shrink(shop, 1)
    assert shop.store.evict() == ["b" * 16, "2" * 16]
    assert shop.store.load_checkpoint("3" * 16, 1)["w"][0] == 3 and shop.store.load_result("b" * 16) is None


def test_what_is_pinned_kept_loaded_or_just_used_stays(shop):
    shop.result("a", [shop.network("1")])
    shop.result("b", [shop.network("2")])
    shop.network("3"), shop.network("4", loaded=["from a file"]), shop.network("5"), shop.network("6", age=500)
    shop.result("c", age=30), shop.result("d")
    shop.store.pin("a" * 16), shop.store.pin("3" * 16)
    shop.store.limit = 1
    assert set(shop.store.evict(keep=["b" * 16])) == {"d" * 16, "5" * 16}
    assert shop.there() == set("a1b2346c")
    shop.store.unpin("a" * 16)
    assert set(shop.store.evict()) == {id * 16 for id in "a1b2"}
    with pytest.raises(StoreError, match="no id"):
        shop.store.evict(keep=["../x"])


def test_a_result_without_its_networks_and_networks_without_it_stay_usable(shop):
    shop.result("a", [shop.network("1", age=9000), shop.network("2", age=9000)])
    shrink(shop, 1.5)
    assert set(shop.store.evict()) == {"1" * 16, "2" * 16}
    assert shop.store.load_result("a" * 16).networks == ["1" * 16, "2" * 16]
    assert shop.store.load_about("1" * 16) is None and shop.store.load_checkpoint("1" * 16, 1) is None
    shop.network("1")
    assert shop.store.load_checkpoint("1" * 16, 1) is not None


def test_abandoned_states_and_damaged_files_go_first(shop):
    shop.network("1"), shop.network("2")
    for name, days in (("e" * 16, 2), ("f" * 16, 0.5)):
        shop.store.save_state(name, b"x" * 8000)
        then = time.time() - days * 86400
        os.utime(shop.store.root / "states" / name, (then, then))
    (shop.store.root / "networks" / ("2" * 16) / "epoch-00001.safetensors").write_bytes(b"x" * 8000)
    assert shop.store.load_checkpoint("2" * 16, 1) is None
    (damaged,) = (shop.store.root / "damaged").iterdir()
    shop.store.limit = shop.store.size()
    assert shop.store.evict() == [] and shop.store.load_state("e" * 16), "nothing goes below the limit"
    shop.store.limit -= 1
    assert shop.store.evict() == [] and shop.store.load_state("e" * 16) is None and damaged.exists()
    os.utime(damaged, (0, 0))
    shop.store.limit = shop.store.size() - 1
    assert shop.store.evict() == [] and not damaged.exists()
    shop.store.limit = 1
    assert set(shop.store.evict()) == {"1" * 16, "2" * 16} and shop.store.load_state("f" * 16) is not None


@pytest.mark.parametrize(("kind", "lock"), [("networks", "network"), ("results", "run")])
def test_what_another_process_holds_stays_until_it_ends(shop, child, kind, lock):
    held = shop.network("1", age=9000) if kind == "networks" else shop.result("1", age=9000)
    shop.network("2")
    holder = child(HOLD, shop.store.root, lock, held)
    assert holder.stdout.readline() == "held\n"
    shop.store.limit = 1
    assert shop.store.evict() == ["2" * 16] and shop.there() == {"1"}
    delete = shop.store.delete_network if kind == "networks" else shop.store.delete_result
    with pytest.raises(StoreError, match="try again when that has ended"):
        delete(held)
    holder.kill()  # the lock of a killed process is free
    holder.wait()
    assert shop.store.evict() == [held]


EVICT = """
import os, sys, time
from lmc.store import Store
store = Store(sys.argv[1], shipped=None)
store.limit = int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + float(sys.argv[3])
gone = store.evict()
while time.monotonic() < end:
    for path in store.root.glob("*/*/used"):
        try:
            os.utime(path, (0, 0))
        except FileNotFoundError:
            pass
    gone += store.evict()
print(" ".join(gone))
"""


def test_several_processes_that_evict_at_once_delete_no_more_than_one_would(shop, child):
    for place, digit in enumerate("0123456789abcdef"):
        shop.network(digit, age=4000 - place)
    shrink(shop, 8)
    others = [child(EVICT, shop.store.root, shop.store.limit, 0) for _ in range(3)]
    for process in others:
        assert process.stdout.readline() == "ready\n"
    for process in others:
        process.stdin.write("\n")
        process.stdin.flush()
    gone = [id for process in others for id in process.communicate()[0].split()]
    assert sorted(gone) == [digit * 16 for digit in "01234567"] and shop.there() == set("89abcdef")


def test_readers_and_writers_see_whole_things_or_none_while_others_evict(shop, child):
    shrink(shop, 2)
    others = [child(EVICT, shop.store.root, shop.store.limit, 2) for _ in range(2)]
    for process in others:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
    store, seen = Store(shop.store.root, shipped=None), {True: 0, False: 0}
    while any(process.poll() is None for process in others):
        for digit in "1234":
            value = np.full(1024, float(digit))
            store.save_network(digit * 16, {"label": digit}, {1: {"w": value}})
            shop.result(digit)
            arrays, result = store.load_checkpoint(digit * 16, 1), store.load_result(digit * 16)
            assert arrays is None or np.array_equal(arrays["w"], value)
            assert result is None or result.id == digit * 16
            assert store.load_about(digit * 16) in (None, {"label": digit})
            seen[arrays is None] += 1
            store.inventory(), store.size(), list(store.verify()), store.files(digit * 16), store.changes("results")
    gone = [process.communicate() for process in others]
    assert all(not err for _, err in gone) and sum(len(out.split()) for out, _ in gone) > 20
    assert seen[False] > 20 and not (store.root / "damaged").exists() and not shop.leftovers()
