"""An outside scheduler and two workers as processes of their own, and what can go wrong with them, done for real."""

import asyncio
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time

import dask
import pytest

import lmc
from lmc import InputError, Store, make_recipe
from lmc.engine import Engine
from lmc.engine.cluster import count_gpus, worker_options
from lmc.engine.outside import connect
from lmc.experiments.trainer import state_name
from tests.engine.cluster_processes import PROJECT, ClusterProcesses, as_settings, certificates
from tests.engine.waiting import begun, config, long_config, wait, wait_until

pytestmark = pytest.mark.slow
LOST = "The connection to the scheduler was lost before the run ended; start again when it is back."


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    running = ClusterProcesses(tmp_path_factory.mktemp("cluster"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def surroundings(processes):
    """This process and its children have the certificates, and the app's engine is to use the cluster."""
    with pytest.MonkeyPatch.context() as patch, processes.settings():
        for name, value in {**processes.tls, "LMC_SCHEDULER": processes.address}.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def cluster(processes, surroundings):
    """Scheduler and two workers."""
    processes.have(workers=2)
    return processes


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", shipped=None)


@pytest.fixture(scope="module")
def engine(surroundings, tmp_path_factory):
    """The app's engine; it began before the scheduler did, and outlives it."""
    running = Engine(Store(tmp_path_factory.mktemp("store"), shipped=None))
    running.wait_until_ready()
    yield running
    running.close()


def here(asked, tmp_path):
    """The undisturbed run, in this process."""
    return lmc.run(asked, store=Store(tmp_path / "here", shipped=None), device="cpu")


def assert_same(found, expected):
    assert found.tables == expected.tables and found.metrics == expected.metrics
    assert found.networks == expected.networks and found.arrays.keys() == expected.arrays.keys()
    assert all((found.arrays[name] == expected.arrays[name]).all() for name in expected.arrays)


def command_line(*options, **changes):
    """`python -m lmc pair` as a process."""
    recipe = ("--width", "4", "--points", "3", "--method", "none")
    return subprocess.Popen(
        [sys.executable, "-m", "lmc", "pair", *recipe, *options],
        cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **changes},
    )  # fmt: skip


def complaint(process, seconds=60):
    """What the command line says at last, but for its progress."""
    _, errors = process.communicate(timeout=seconds)
    return [line for line in errors.splitlines() if line and not re.match(r"\s*\d+% ", line)]


# Without a fault


def test_a_script_the_app_and_one_process_find_the_same_and_only_who_asks_keeps_it(engine, cluster, tmp_path):
    asked = config(seeds=(0, 1, 2, 3), method=("none", "weight"))
    expected = here(asked, tmp_path)
    mine = Store(tmp_path / "script", shipped=None)
    assert_same(lmc.run(asked, store=mine, scheduler=cluster.address, device="cpu"), expected)
    assert len({message["worker"] for message in cluster.messages("part", asked.id)}) == 2, "a sweep spreads"
    assert all(mine.load_about(network.id) for network in asked.networks()) and mine.load_result(asked.id)
    wait(engine, engine.submit(asked), "done")
    assert_same(engine.result(asked.id), expected)
    assert not list(cluster.folder.rglob("*.safetensors")), "workers keep nothing"


def test_work_goes_to_gpus_unless_it_is_for_the_cpu_and_one_thing_at_a_time_is_computed(cluster, store, tmp_path):
    cluster.start_worker("--resources", "GPU=2", "--nthreads", "2")
    described = cluster.ask(lambda client: client.scheduler_info(n_workers=-1)["workers"])
    (gpu,) = [address for address, worker in described.items() if worker["resources"]]
    asked, start = config(seeds=(10, 11, 12, 13), method=("none", "weight")), time.time()
    assert_same(lmc.run(asked, store=store, scheduler=cluster.address), here(asked, tmp_path))
    said = [message for kind in ("train", "part") for message in cluster.messages(kind, since=start)]
    assert said and {message["worker"] for message in said} == {gpu}
    steps = [1 if "began" in message else -1 for message in said if "began" in message or "ended" in message]
    assert sum(steps) == 0 and set(itertools.accumulate(steps)) == {0, 1}, "though it has two threads"
    other = config(seeds=(14, 15, 16, 17), method=("none", "weight"))
    lmc.run(other, store=store, scheduler=cluster.address, device="cpu")
    assert {message["worker"] for message in cluster.messages("part", other.id)} - {gpu}


def test_cancelling_stops_only_ones_own_run_and_frees_its_worker(engine, cluster, tmp_path):
    neighbour = command_line("--epochs", "9000", "--scheduler", cluster.address, LMC_STORE=str(tmp_path / "other"))
    try:
        wait_until(lambda: len(cluster.busy()) == 1)
        asked = long_config(seeds=(7, 8))
        engine.submit(asked)
        begun(engine, asked.id)
        assert len(cluster.busy()) == 2
        start = time.monotonic()
        engine.cancel(asked.id)
        assert engine.status(asked.id).state == "stopped" and time.monotonic() - start < 1
        quick = config(seeds=(9, 10))
        wait(engine, engine.submit(quick), "done", seconds=20)
        assert neighbour.poll() is None and len(cluster.busy()) == 1
    finally:
        neighbour.kill()
        neighbour.communicate()
    wait_until(lambda: cluster.messages("train")[-1].get("ended"))  # its owner was killed, so it does not go on
    assert not cluster.busy() and not cluster.variables()


# Workers that are lost


def saved_epoch(content):
    """The epoch after which a training's state was saved, 0 if there is none."""
    if content is None:
        return 0
    about = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return json.loads(about["state"])["epoch"]


def test_a_killed_worker_s_training_goes_on_on_the_other_and_waits_when_all_were_killed(engine, cluster, tmp_path):
    asked = config(recipe=make_recipe(epochs=120))
    name = state_name([network.id for network in asked.networks()], (120,))
    engine.submit(asked)
    wait_until(lambda: saved_epoch(engine.store.load_state(name)) > 40)
    (first,) = cluster.busy()
    cluster.kill(cluster.worker_at(first))
    wait_until(lambda: saved_epoch(engine.store.load_state(name)) > 70)
    cluster.kill(*cluster.workers)
    time.sleep(1)
    assert wait(engine, asked.id, "waiting", "running", "failed", "done").active
    cluster.start_worker()
    assert wait(engine, asked.id, "done").share == 1
    said = cluster.messages("train", name)
    begins = [place for place, message in enumerate(said) if "began" in message]
    assert len({said[place]["worker"] for place in begins}) == len(begins) == 3
    shares = [next(message["share"] for message in said[place:] if "share" in message) for place in begins]
    assert shares[1] > 0.3 and shares[2] > 0.55, "they do not begin anew"
    assert_same(engine.result(asked.id), here(asked, tmp_path))
    assert engine.store.load_state(name) is None


# A scheduler that is lost, or was never there


def test_a_killed_scheduler_fails_runs_in_one_sentence_and_when_it_is_back_they_start_and_wait_for_workers(
    engine, cluster, tmp_path
):
    script = command_line("--epochs", "9000", "--scheduler", cluster.address, LMC_STORE=str(tmp_path / "script"))
    wait_until(cluster.busy)  # one worker trains for the script, the other one stack after the other for the app
    asked = config(recipe=make_recipe(epochs=40), seeds=(0, 1, 2, 3, 4, 5))
    engine.submit(asked)
    wait_until(lambda: any(engine.store.load_about(network.id) for network in asked.networks()))
    cluster.kill(cluster.scheduler)
    start = time.monotonic()
    status = wait(engine, asked.id, "failed")
    assert status.error == LOST and time.monotonic() - start < 5
    assert LOST in (engine.store.root / "engine" / "log.txt").read_text()
    assert complaint(script) == [f"lmc: {LOST[:1].lower()}{LOST[1:-1]}"] and script.returncode == 1
    kept = [network.id for network in asked.networks() if engine.store.load_about(network.id)]
    assert 0 < len(kept) < 6
    engine.submit(asked)
    assert "no scheduler listens there" in wait(engine, asked.id, "failed").error
    trained = engine.overview()["trained"]
    cluster.have(workers=0)
    engine.submit(asked)
    assert wait(engine, asked.id, "waiting").position == 1
    cluster.have(workers=2)
    wait(engine, asked.id, "done")
    assert engine.overview()["trained"] == trained + 6 - len(kept)
    assert_same(engine.result(asked.id), here(asked, tmp_path))


def test_where_no_scheduler_listens_the_command_line_and_the_app_say_so_at_once(monkeypatch, cluster, store):
    start = time.monotonic()
    script = command_line("--scheduler", "tls://127.0.0.1:1")
    why = "tls://127.0.0.1:1 cannot be used; no scheduler listens there; start it, or give the address that it printed."
    assert complaint(script) == [f"lmc: --scheduler: {why}"] and script.returncode == 2
    assert time.monotonic() - start < 12
    monkeypatch.setenv("LMC_SCHEDULER", "tls://127.0.0.1:1")
    engine = Engine(store)
    try:
        for _ in range(6):
            engine.submit(config())
            assert wait(engine, config().id, "failed").error == f"scheduler: {why}"
    finally:
        engine.close()


@pytest.fixture
def refusal(cluster):
    """What connecting to an address says, with other settings of Dask."""

    def found(address=None, settings=None):
        with dask.config.set(settings or {}), pytest.raises(InputError) as raised:
            asyncio.run(connect(address or cluster.address))
        text = str(raised.value)
        assert "\n" not in text and text.startswith(f"scheduler: {address or cluster.address} cannot be used; ")
        return text.partition("; ")[2]

    return found


def test_a_scheduler_that_cannot_be_used_is_refused_in_a_sentence_that_says_why(cluster, refusal, tmp_path):
    other, tls = as_settings(certificates(tmp_path / "other")), "distributed.comm.tls."
    authority, client = f"{tls}ca-file", (f"{tls}client.cert", f"{tls}client.key")
    assert "is not signed by the authority" in refusal(settings={authority: other[authority]})
    assert refusal(settings={name: other[name] for name in client}).startswith("it refuses the certificate")
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("no certificate")
    assert "is damaged" in refusal(settings={f"{tls}client.cert": str(damaged)})
    missing = refusal(settings={f"{tls}client.cert": "/nowhere/client.pem"})
    assert missing.startswith("the file /nowhere/client.pem")
    assert "CLIENT__KEY" in refusal(settings={authority: None})
    assert "tls:// would be right" in refusal(f"tcp://127.0.0.1:{cluster.port}")
    assert refusal("tls://no-such-machine.invalid:8786").startswith("no machine of that name")
    for nonsense in ("http://127.0.0.1:80", "tls://host:port"):
        assert refusal(nonsense).startswith("tls://HOST:8786 would be right")


def test_a_scheduler_without_tls_is_refused_when_tls_was_asked_for(refusal, tmp_path):
    plain = ClusterProcesses(tmp_path, protocol="tcp")
    try:
        plain.start_scheduler()
        assert "speaks no TLS" in refusal(f"tls://127.0.0.1:{plain.port}")
    finally:
        plain.close()


# Other programs

CHOSEN = ("--resources", "GPU=1")  # all work goes there


def test_a_worker_with_other_source_is_refused_by_name(engine, cluster, tmp_path):
    for package in ("lmc", "models"):
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "networks"))
    with (tmp_path / "lmc" / "seeds.py").open("a") as file:
        file.write("# another line\n")
    worker = cluster.start_worker(*CHOSEN, PYTHONPATH=str(tmp_path))
    asked = config(seeds=(30, 31))
    engine.submit(asked)
    error = wait(engine, asked.id, "failed").error
    (address,) = re.findall(r"Start worker at: +(\S+)", cluster.said(worker))
    where = re.escape(f"The worker {address} has lmc")
    assert re.fullmatch(where + r" \w{8} instead of \w{8}; install the same versions there and start it again\.", error)


def test_a_worker_without_the_program_is_refused_and_others_may_still_use_it(engine, cluster):
    worker = cluster.start_worker(*CHOSEN, PYTHONPATH=None)
    asked = config(seeds=(32, 33))
    engine.submit(asked)
    assert wait(engine, asked.id, "failed").error == "A worker has no lmc; install the same program there."
    assert worker.poll() is None and cluster.ask(lambda client: client.submit(pow, 2, 3).result()) == 8


# How our own workers are started


def test_each_gpu_goes_to_one_worker_and_the_cores_are_shared_out(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    options = worker_options(2, gpus=1, cores=8)
    assert [one["env"]["CUDA_VISIBLE_DEVICES"] for one in options] == ["0", ""]
    assert [one["resources"] for one in options] == [{"GPU": 1}, {}]
    assert all(one["nthreads"] == 1 and one["env"]["OMP_NUM_THREADS"] == "4" for one in options)
    assert len(worker_options(None, gpus=3, cores=2)) == 3, "a worker for every GPU"
    assert [len(worker_options(None, 0, cores)) for cores in (1, 2, 4, 8, 64)] == [1, 2, 4, 4, 32]


@pytest.mark.parametrize(
    "visible, count", [("", 0), ("-1", 0), ("3", 1), ("2,5", 2), ("2,-1,5", 1), ("GPU-1a, GPU-2b", 2)]
)
def test_gpus_that_are_hidden_are_not_used(monkeypatch, visible, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus() == count
    seen = [one["env"]["CUDA_VISIBLE_DEVICES"] for one in worker_options(3, count, cores=4)]
    names = [name.strip() for name in visible.split(",")][:count]
    assert seen == names + [""] * (3 - count)


def test_gpus_are_counted_by_what_the_driver_lists(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_gpus() == 0
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-1)'\necho 'GPU 1: A (UUID: GPU-2)'\n")
    tool.chmod(0o755)
    assert count_gpus() == 2
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert count_gpus() == 0
