"""What goes wrong for real: processes killed by signal, disks that are full or read-only, apps that come and go.

In each case the numbers in the end are those of an undisturbed run.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import lmc
from lmc import Store, make_recipe
from lmc.engine import Engine
from tests.engine.waiting import begun, config, wait, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TRAINED = config(recipe=make_recipe(epochs=400), seeds=(0, 1))
APP = """
import sys, time
from lmc import Pair, Store
from lmc.engine import Engine
engine = Engine(Store(sys.argv[1], shipped=None), workers=1)
engine.wait_until_ready()
print(engine._process.child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The tables of the run when nothing happens to it."""
    return lmc.run(TRAINED, store=Store(tmp_path_factory.mktemp("undisturbed"), shipped=None), device="cpu").tables


@pytest.fixture(autouse=True)
def _states_are_saved_often(monkeypatch):
    monkeypatch.setenv("LMC_SAVE_EVERY", "1")


@pytest.fixture
def app(tmp_path):
    """A function that starts a process that has an engine, as a server of pages does; and the pid of its engine."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", APP, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def engine_process(engine):
    return psutil.Process(json.loads((engine.store.root / "engine" / "address.json").read_text())["pid"])


def workers(engine):
    """The worker processes: started one by one, or forked from one that has what they need."""
    children = engine_process(engine).children(recursive=True)
    servers = {p.pid for p in children if "forkserver" in " ".join(p.cmdline())}
    return [p for p in children if p.ppid() in servers or "spawn_main" in " ".join(p.cmdline())]


def busy(engine):
    """The worker that is training: the only one that uses much time, once the others are warm."""
    while True:
        before = {process: sum(process.cpu_times()[:2]) for process in workers(engine)}
        time.sleep(0.5)
        used = sorted((sum(process.cpu_times()[:2]) - then, process.pid) for process, then in before.items())
        if len(used) > 1 and used[-1][0] > 0.2 and used[-2][0] < 0.1:
            return psutil.Process(used[-1][1])


def saved(engine):
    """Wait until the store holds the state of a training."""
    wait_until(lambda: list((engine.store.root / "states").iterdir()))


def test_a_killed_worker_costs_no_more_than_the_time_since_the_last_saved_state(fresh, undisturbed):
    fresh.submit(TRAINED)
    wait_until(lambda: fresh.status(TRAINED.id).share > 0.3)
    saved(fresh)
    busy(fresh).kill()
    shares = []
    while fresh.status(TRAINED.id).active:
        shares.append(fresh.status(TRAINED.id).share)
        time.sleep(0.02)
    assert wait(fresh, TRAINED.id, "done").share == 1
    places = [place for place, share in enumerate(shares) if share < 0.02]
    assert places, "another worker began"
    assert shares[places[-1] + 1] > 0.1, "it went on where the other one was"
    assert fresh.result(TRAINED.id).tables == undisturbed
    curves = fresh.store.load_about(TRAINED.networks()[0].id)["curves"]
    assert [row["epoch"] for row in curves if row["split"] == "test"] == list(range(401))
    assert not list((fresh.store.root / "states").iterdir())
    wait_until(lambda: fresh.overview()["workers"] == 2)


def test_a_killed_engine_is_started_again_and_the_run_goes_on(fresh, undisturbed):
    first = config(seeds=(7, 8))
    wait(fresh, fresh.submit(first), "done")
    fresh.submit(TRAINED)
    begun(fresh, TRAINED.id)
    saved(fresh)
    family = [engine_process(fresh), *engine_process(fresh).children(recursive=True)]
    family[0].kill()
    wait_until(lambda: not any(process.is_running() and process.status() != "zombie" for process in family))
    wait(fresh, TRAINED.id, "unknown", seconds=30)
    assert fresh.result(first.id) is not None
    fresh.submit(TRAINED)  # as an open page does
    wait(fresh, TRAINED.id, "done")
    assert fresh.result(TRAINED.id).tables == undisturbed


def test_a_killed_app_takes_its_engine_along_and_the_next_one_goes_on(app, tmp_path, undisturbed):
    process, pid = app()
    joined = Engine(Store(tmp_path, shipped=None), workers=1)
    joined.wait_until_ready()
    assert engine_process(joined).pid == pid, "one engine for both"
    joined.submit(TRAINED)
    begun(joined, TRAINED.id)
    saved(joined)
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in family), seconds=20)
    wait(joined, TRAINED.id, "unknown", seconds=30)
    joined.submit(TRAINED)
    wait(joined, TRAINED.id, "done")
    assert engine_process(joined).pid != pid
    assert joined.result(TRAINED.id).tables == undisturbed
    joined.close()


def test_a_full_disk_is_one_sentence_and_loses_nothing(small_disk):
    folder, _ = small_disk
    engine = Engine(Store(folder, shipped=None), workers=1)
    first, second = config(seeds=(7, 8)), config(seeds=(9, 10))
    wait(engine, engine.submit(first), "done")
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass
    status = wait(engine, engine.submit(second), "failed")
    assert "No space left on device" in status.error and "Traceback" not in status.error
    assert engine.result(first.id) is not None and engine.result(second.id) is None
    filler.unlink()
    wait(engine, engine.submit(second), "done")
    assert engine.result(second.id) is not None
    engine.close()


def test_a_read_only_store_is_one_sentence_and_loses_nothing(small_disk):
    folder, make_read_only = small_disk
    asked = config(seeds=(7, 8))
    lmc.run(asked, store=Store(folder, shipped=None), device="cpu")
    make_read_only()
    with pytest.raises(lmc.StoreError, match="cannot be written .Read-only file system.; choose another"):
        Store(folder)
    command = [sys.executable, "-m", "lmc.engine", "--store", str(folder)]
    said = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert said.returncode == 2 and "Read-only file system" in json.loads(said.stdout)["error"]
    assert (folder / "results" / asked.id / "result.json").exists()
