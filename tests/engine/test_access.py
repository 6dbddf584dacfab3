"""Who may speak to the engine and its workers, and where they listen."""

import json
import socket
import ssl
import stat
import urllib.error
import urllib.request

import psutil
import pytest

from lmc import EngineError
from lmc.engine.connection import Connection, tls_context
from tests.engine.waiting import config, wait, wait_until

pytestmark = pytest.mark.slow


def family(engine):
    about = json.loads((engine.store.root / "engine" / "address.json").read_text())
    process = psutil.Process(about["pid"])
    return [process, *process.children(recursive=True)]


def listening(engine):
    """The addresses at which any process of the engine listens."""
    connections = [c for process in family(engine) for c in process.net_connections("inet")]
    return sorted({(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN})


@pytest.fixture
def ports(engine):
    wait(engine, engine.submit(config()), "done")
    return listening(engine)


def test_everything_listens_on_the_loopback_alone(ports):
    assert len(ports) >= 4, "the engine, the scheduler, two workers"
    assert {host for host, _ in ports} == {"127.0.0.1"}


def refused(host, port, context):
    """Whether a client that shows no certificate of the engine's is not listened to."""
    try:
        with socket.create_connection((host, port), timeout=5) as plain, context.wrap_socket(plain) as line:
            line.settimeout(5)
            line.sendall(b"POST /ping HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            return line.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_no_port_talks_to_a_client_without_the_certificate(engine, ports):
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    assert all(refused(host, port, stranger) for host, port in ports)
    from distributed.security import Security

    other = Security.temporary()  # a certificate, but another
    pem = engine.store.root / "other.pem"
    pem.write_text(f"{other.tls_client_cert}{other.tls_client_key}")
    stranger.load_cert_chain(pem)
    assert all(refused(host, port, stranger) for host, port in ports)
    mine = tls_context(engine.store.root / "engine" / "key.pem", server=False)
    address = json.loads((engine.store.root / "engine" / "address.json").read_text())
    assert not refused(address["host"], address["port"], mine), "the test would see an answer"


def test_plain_text_is_not_understood(ports):
    for host, port in ports:
        with pytest.raises((urllib.error.URLError, ConnectionError, TimeoutError, OSError)):
            urllib.request.urlopen(f"http://{host}:{port}/ping", data=b"{}", timeout=3)


def test_the_credentials_are_readable_by_their_owner_alone(engine):
    folder = engine.store.root / "engine"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("key.pem", "address.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_the_engine_ends_with_its_standard_input_and_takes_its_traces_along(fresh):
    processes = family(fresh)
    fresh._process.child.stdin.close()
    wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in processes), seconds=15)
    assert {path.name for path in (fresh.store.root / "engine").iterdir()} <= {"lock", "log.txt"}


def test_a_call_that_means_nothing_is_refused_in_a_sentence(engine):
    engine.wait_until_ready()
    connection = Connection(engine.store)
    for operation, arguments in (("watch", {}), ("status", {"id": 1, "colour": 2}), ("__init__", {})):
        with pytest.raises(EngineError):
            connection.call(operation, **arguments)
    connection.close()
