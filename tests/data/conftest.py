"""A data folder of its own for each test, and a server that behaves well or badly."""

from __future__ import annotations

import http.server
import re
import threading
import time

import pytest


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    monkeypatch.setenv("LMC_DATA", str(folder))
    return folder


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` (path → bytes). `ranges`: whether it knows Range; `cut`: after how many bytes of an answer it
    hangs up, one entry an answer; `delay`: seconds before every `piece` bytes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.ranges, self.cut, self.delay, self.piece = {}, True, [], 0.0, 1 << 16
        self.asked = []  # (path, Range header)

    def handle_error(self, request, client_address):
        """A client that hangs up is part of the tests."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start, total = 0, len(content)
        if server.ranges and self.headers.get("Range"):
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            if start >= total:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        end = min(total, start + server.cut.pop(0)) if server.cut else total
        for at in range(start, end, server.piece):
            time.sleep(server.delay)
            self.wfile.write(content[at : min(at + server.piece, end)])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
