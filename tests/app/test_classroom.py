import base64
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import segno
import streamlit as st

from lmc.experiments import Pair
from pages.ui import classroom, library, upload
from pages.ui.classroom import picture, refusal
from scripts.classroom import addresses, chosen, code, is_reachable, require_free, welcome

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def in_class(monkeypatch):
    """A function that switches classroom mode on and says where the server listens and what address it was given."""
    monkeypatch.setenv("LMC_CLASSROOM", "1")
    real = st.get_option

    def serve(listen="0.0.0.0", address="192.0.2.7"):
        set_to = {"server.address": listen, "browser.serverAddress": address, "browser.serverPort": 8501}
        monkeypatch.setattr(st, "get_option", lambda name: set_to.get(name) or real(name))

    return serve


def captions(test):
    return " ".join(block.value for block in test.caption)


# The page


def test_outside_a_classroom_the_page_says_nothing_of_it(app, monkeypatch):
    monkeypatch.delenv("LMC_CLASSROOM", raising=False)
    test = app("networks")
    assert not test.exception and "show_address" not in [button.key for button in test.button]
    assert "classroom" not in captions(test).lower() and test.get("file_uploader")
    assert refusal(Pair(width=2048)) is None


def test_the_address_is_shown_large_with_a_code_that_means_it(app, in_class):
    in_class()
    test = app("pair")
    assert not test.exception
    test.button(key="show_address").click().run()
    assert not test.exception and test.get("vega_lite_chart")
    (shown,) = [html.proto.body for html in test.get("html") if "<img" in html.proto.body]
    assert ">http://192.0.2.7:8501<" in shown and 'alt="QR code of http://192.0.2.7:8501"' in shown
    assert picture("http://192.0.2.7:8501") in shown
    assert "no password" in " ".join(block.value for block in test.markdown)


def test_a_server_for_this_machine_alone_says_so_and_how_to_serve_the_network(app, in_class):
    in_class("127.0.0.1", "localhost")
    test = app()
    assert not test.exception and "show_address" not in [button.key for button in test.button]
    assert "Only this machine" in captions(test) and "make classroom" in captions(test)


def test_without_a_known_address_that_of_the_visitor_is_shared(in_class, monkeypatch):
    in_class("0.0.0.0", "localhost")
    for url, shared in (
        ("http://192.0.2.9:8501/pair", "http://192.0.2.9:8501"),
        ("http://localhost:8501", None),
        (None, None),
    ):
        monkeypatch.setattr(classroom, "st", FakeContext(st, url))
        assert classroom.shared_address() == shared


class FakeContext:
    """Streamlit with another address of the visitor."""

    def __init__(self, real, url):
        self.get_option, self.context = real.get_option, type("Context", (), {"url": url})


def test_the_picture_is_the_code_in_black_on_white_with_its_margin():
    content = base64.b64decode(picture("http://192.0.2.7:8501").partition(",")[2]).decode()
    assert 'fill="#fff"' in content and 'stroke="#000"' in content
    modules = segno.make("http://192.0.2.7:8501", error="m", micro=False).symbol_size(border=4)[0]
    assert f'width="{8 * modules}"' in content


def test_limits_bite_in_words(in_class):
    in_class()
    assert refusal(Pair()) is None
    said = refusal(Pair(width=1024))
    assert said.startswith("width: 1024 cannot be used; in this classroom at most 512 is allowed")
    assert said.endswith("What was computed before opens as always.")


def test_nothing_is_uploaded(app, in_class, monkeypatch):
    in_class()
    test = app("networks")
    assert not test.exception and not test.get("file_uploader")
    assert "no files are loaded" in captions(test)
    monkeypatch.setattr(upload, "engine", lambda: pytest.fail("it was submitted"))
    monkeypatch.setattr(st, "session_state", {"upload_files": [], "upload_activation": "as usual"})
    upload._submit()


def test_nothing_is_deleted(app, in_class, stored, store):
    from lmc import Store

    in_class()
    test = app("networks")
    rows = list(test.dataframe[0].value["Network"])
    chosen_rows = {"selection": {"rows": [rows.index("my-net/a")], "columns": [], "cells": []}}
    test.session_state[test.dataframe[0].key] = chosen_rows
    test.run()
    assert not test.exception and "nobody deletes" in captions(test)
    assert "delete_network" not in [button.key for button in test.button]
    library._delete(stored[0])
    assert Store(store).load_about(stored[0]) is not None


# The command


def test_addresses_are_those_that_others_can_use():
    assert all(is_reachable(address) for address in addresses())
    assert [is_reachable(a) for a in ("127.0.0.1", "169.254.3.4", "0.0.0.0", "192.168.1.20", "10.0.0.3")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_the_first_address_is_taken_or_the_one_asked_for():
    found = ["192.168.1.20", "172.17.0.1"]
    assert chosen(None, found) == "192.168.1.20" and chosen("172.17.0.1", found) == "172.17.0.1"
    with pytest.raises(ValueError, match="10.0.0.9 is no address of this machine; choose one of: 192.168.1.20, 172"):
        chosen("10.0.0.9", found)
    with pytest.raises(ValueError, match="in no network.*make app"):
        chosen(None, [])


def test_the_terminal_shows_the_code_that_means_the_address():
    light = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    rows = []
    for line in code("http://192.168.1.20:8501").splitlines():
        pairs = [light[character] for character in line]
        rows += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    expected = [
        [not dark for dark in row]
        for row in segno.make("http://192.168.1.20:8501", error="m", micro=False).matrix_iter(border=4)
    ]
    assert [list(map(bool, row)) for row in rows[: len(expected)]] == expected


def test_the_terminal_says_where_who_and_how_to_end():
    said = welcome("http://192.168.1.20:8501", ["172.17.0.1"])
    assert "http://192.168.1.20:8501" in said and "172.17.0.1" in said
    assert "no password" in said and "Ctrl-C" in said
    assert "other addresses" not in welcome("http://192.168.1.20:8501", [])


def test_a_taken_port_says_what_to_do():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=rf"Port {port} cannot be used .*ARGS='--port {port + 1}'"):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)
    with pytest.raises(ValueError, match="--port: 70000 cannot be used"):
        require_free("127.0.0.1", 70000)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url, name=None):
    request = urllib.request.Request(f"{url}/_stcore/health", headers={"Host": name} if name else {})
    try:
        return urllib.request.urlopen(request, timeout=2).status == 200
    except OSError:
        return False


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to a child there")
@pytest.mark.skipif(not addresses(), reason="this machine is in no network")
def test_a_classroom_is_served_to_the_network_until_ctrl_c(tmp_path):
    port, address = free_port(), addresses()[0]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.classroom", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "LMC_STORE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while not answers(f"http://{address}:{port}") and time.monotonic() < end:
            time.sleep(0.2)
        assert answers(f"http://{address}:{port}") and answers(f"http://127.0.0.1:{port}")
        assert handshake(address, port, f"{address}:{port}") == 101
        assert handshake(address, port, "elsewhere.example") == 403
        second = subprocess.run(
            [sys.executable, "-m", "scripts.classroom", "--port", str(port)], cwd=ROOT, capture_output=True, text=True
        )
        assert second.returncode == 2 and f"Port {port} cannot be used" in second.stderr and not second.stdout
    finally:
        process.send_signal(signal.SIGINT)
        threading.Timer(20, process.kill).start()
        said, _ = process.communicate()
    assert process.returncode != -signal.SIGKILL and "Traceback" not in said
    assert f"http://{address}:{port}" in said and re.search("no password", said)
    assert not answers(f"http://127.0.0.1:{port}")


def handshake(address, port, host):
    """The status with which the page's websocket is opened under the name `host`."""
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        return int(connection.recv(64).split()[1])
