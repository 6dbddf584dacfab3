import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """`streamlit run app.py` in classroom mode on a free port of this machine, with a store and a log of its own."""

    def __init__(self, store):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url, self.store, self.log = f"http://127.0.0.1:{port}", store, store.with_suffix(".log")
        call = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                call,
                cwd=ROOT,
                env={**os.environ, "LMC_STORE": str(store), "LMC_CLASSROOM": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).close()
                return
            time.sleep(0.1)
        raise TimeoutError(f"the server did not answer within a minute: {self.log.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def engine(self):
        """What its engine knows: `runs`, the newest first, how many networks it `trained`, how many `workers`."""
        from lmc.engine.connection import Connection
        from lmc.store import Store

        connection = Connection(Store(self.store))
        with contextlib.closing(connection):
            return connection.call("listed", timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that one visitor has warmed up, so that its workers have begun too."""
    from tests.load.sessions import has_answer, open_many

    running = Server(tmp_path_factory.mktemp("load") / "store")
    try:
        for address in ("pair", "pair?dataset=moons&width=4&epochs=1"):
            (first,) = open_many(running.url, [address], has_answer, timeout=120)
            assert not first.errors, running.log.read_text()
        yield running
    finally:
        running.stop()
