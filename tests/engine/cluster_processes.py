"""A Dask cluster of real processes with TLS, as on several machines: workers share nothing with who asks."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dask
from distributed import Client
from distributed.security import Security

PROJECT = Path(__file__).resolve().parents[2]
SAVE_EVERY = 0.3  # seconds
LOOPBACK = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")


def certificates(folder):
    """Dask's TLS settings for a new authority, as environment variables; its files lie in the folder."""
    folder.mkdir(parents=True)
    security, begin = Security.temporary(), "DASK_DISTRIBUTED__COMM__TLS__"
    (folder / "ca.pem").write_text(security.tls_ca_file)
    settings = {f"{begin}CA_FILE": str(folder / "ca.pem")}
    for role in ("scheduler", "worker", "client"):
        file = folder / f"{role}.pem"
        file.write_text(getattr(security, f"tls_{role}_cert") + getattr(security, f"tls_{role}_key"))
        settings[f"{begin}{role.upper()}__CERT"] = settings[f"{begin}{role.upper()}__KEY"] = str(file)
    return settings


def as_settings(environment):
    """These environment variables as Dask's settings by name."""
    return {
        name.removeprefix("DASK_").lower().replace("__", ".").replace("_", "-"): value
        for name, value in environment.items()
    }


def free_port():
    """A port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class ClusterProcesses:
    """A scheduler and workers, started and killed one by one; their words lie in `folder`."""

    def __init__(self, folder, protocol="tls"):
        self.folder, self._count = folder, 0
        self.tls = certificates(folder / "tls")
        self.port = free_port()
        self.address = f"{protocol}://127.0.0.1:{self.port}"
        self.scheduler, self.workers = None, []

    def start_scheduler(self):
        """Start the scheduler, which needs Dask alone: it does not even find the program."""
        options = ["--protocol", self.address[:3], "--port", str(self.port), *LOOPBACK]
        self.scheduler = self._start("scheduler", options, "Scheduler at:", {"PYTHONPATH": None})

    def start_worker(self, *options, wait=True, **environment):
        """Start a worker, of one thread if nothing else is said; a variable of `environment` that is None is unset."""
        common = [self.address, "--nthreads", "1", "--no-nanny", *LOOPBACK]
        process = self._start("worker", [*common, *options], "Registered to:" if wait else None, environment)
        process.plain = not options and not environment
        self.workers.append(process)
        return process

    def have(self, workers):
        """See to it that the scheduler and so many workers live, all of them plain ones."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.kill(*self.workers)
            self.start_scheduler()
        self.kill(*[worker for worker in self.workers if worker.poll() is not None or not worker.plain])
        started = [self.start_worker(wait=False) for _ in range(workers - len(self.workers))]
        for worker in started:
            self._wait_for(worker, "Registered to:")
        self.kill(*self.workers[workers:])

    def kill(self, *processes):
        """End them as a power cut would."""
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            process.wait()
        self.workers = [worker for worker in self.workers if worker not in processes]

    def close(self):
        self.kill(*self.workers, *([self.scheduler] if self.scheduler else []))

    def settings(self):
        """A block in which this process has the certificates."""
        return dask.config.set(as_settings(self.tls))

    def ask(self, question):
        """What `question(client)` finds with a client of its own."""
        with self.settings(), Client(self.address, set_as_default=False) as client:
            return question(client)

    def messages(self, kind, id="", since=0.0):
        """What the tasks of this kind and id said since that time, in their order; each message has its `worker`."""
        events = self.ask(lambda client: client.get_events())
        found = [event for topic, said in events.items() if topic.startswith("lmc-") for event in said]
        wanted = f"{kind}-{id}"
        said = sorted(found, key=lambda event: event[0])
        return [message for when, message in said if message["key"].startswith(wanted) and when > since]

    def busy(self):
        """Keys of the tasks that the workers have, by worker."""
        return {worker: keys for worker, keys in self.ask(lambda client: client.processing()).items() if keys}

    def variables(self):
        """Names of what tasks keep on the scheduler."""
        return self.ask(
            lambda client: client.run_on_scheduler(
                lambda dask_scheduler: list(dask_scheduler.extensions["variables"].variables)
            )
        )

    def worker_at(self, address):
        """The process that listens at this address."""
        return next(process for process in self.workers if address in self.said(process))

    def said(self, process):
        """What a process wrote."""
        return process.words.read_text()

    def _start(self, kind, options, until, environment):
        self._count += 1
        own = self.folder / f"{kind}-{self._count}"
        own.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LMC_", "DASK_", "PYTEST"))}
        everything = {
            **kept, **self.tls, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "LMC_SAVE_EVERY": str(SAVE_EVERY),
            "CUDA_VISIBLE_DEVICES": "", "HOME": str(own), **environment,
        }  # fmt: skip
        words = own / "words.txt"
        with words.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options],
                cwd=own, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                env={name: value for name, value in everything.items() if value is not None},
            )  # fmt: skip
        process.words = words
        if until:
            self._wait_for(process, until)
        return process

    def _wait_for(self, process, words, seconds=60):
        end = time.monotonic() + seconds
        while words not in self.said(process):
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"no {words!r}: {self.said(process)}")
            time.sleep(0.05)
