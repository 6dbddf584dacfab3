"""How the processes of one store find their engine and speak to it: an address file, throw-away certificates, HTTPS.

engine/lock           held by the engine as long as it lives
engine/address.json   where it listens, and its process
engine/key.pem        certificate and key, readable by the owner alone; who has them may speak to it
engine/log.txt        what it did
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmc.errors import EngineError, InputError
from lmc.store import Store

ADDRESS, KEY, LOG = "address.json", "key.pem", "log.txt"


class Unreachable(EngineError):
    """No engine answers there."""


def engine_folder(store: Store) -> Path:
    """The folder of the store's engine, made if missing, for the owner alone."""
    folder = store.root / "engine"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextlib.contextmanager
def engine_lock(store: Store) -> Iterator[None]:
    """Be the engine of this store. Raises TimeoutError if another process is."""
    from filelock import FileLock

    with FileLock(engine_folder(store) / "lock", timeout=1):  # somebody may just be looking whether one is there
        yield


def is_there(store: Store) -> bool:
    """Whether some process is the engine of this store, or is about to be."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(engine_folder(store) / "lock", timeout=0):
            return False
    except Timeout:
        return True


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    temporary.replace(path)


def tls_context(pem: Path, *, server: bool) -> ssl.SSLContext:
    """Both sides show the one certificate and accept no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # it is no host's certificate, it is this engine's
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pem)
    context.load_cert_chain(pem)
    return context


class Connection:
    """Calls to a running engine. Any number of threads may ask."""

    def __init__(self, store: Store) -> None:
        """Raises Unreachable if no engine left its address."""
        folder = store.root / "engine"
        try:
            self.about = json.loads((folder / ADDRESS).read_text())
            self._host, self._port = self.about["host"], self.about["port"]
            self._tls = tls_context(folder / KEY, server=False)
        except (OSError, ValueError, KeyError, TypeError, ssl.SSLError) as error:
            raise Unreachable(f"there is no engine of the store {store.root} ({error})") from None
        self._closed = False
        self._idle: queue.LifoQueue[http.client.HTTPSConnection] = queue.LifoQueue()

    def call(self, operation: str, timeout: float = 10.0, **arguments: Any) -> Any:
        """What the engine answers. Raises Unreachable, or what the engine refused: InputError or EngineError."""
        body = json.dumps(arguments)
        try:
            try:
                answer = self._post(self._taken(timeout), operation, body, timeout)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):  # it had been idle too long
                answer = self._post(self._new(timeout), operation, body, timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"the engine does not answer ({error or type(error).__name__})") from None
        return _value(answer)

    def close(self) -> None:
        """Close the lines that are idle; one that is in use closes when it is given back."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _taken(self, timeout: float) -> http.client.HTTPSConnection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._new(timeout)

    def _new(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, context=self._tls, timeout=timeout)

    def _post(self, line: http.client.HTTPSConnection, operation: str, body: str, timeout: float) -> Any:
        try:
            if line.sock is not None:
                line.sock.settimeout(timeout)
            line.request("POST", f"/{operation}", body, {"Content-Type": "application/json"})
            answer = json.loads(line.getresponse().read())
        except BaseException:
            line.close()
            raise
        if self._closed:
            line.close()
        else:
            self._idle.put(line)
        return answer


def _value(answer: Any) -> Any:
    if "refused" in answer:
        raise InputError(*answer["refused"])
    if "error" in answer:
        raise EngineError(answer["error"])
    return answer["value"]
