import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _chromium():
    for name in (os.environ.get("LMC_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and shutil.which(name):
            return shutil.which(name)
    return None


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; where none is installed the test skips, unless LMC_BROWSER_REQUIRED is set."""
    path = _chromium()
    if path is None:
        if os.environ.get("LMC_BROWSER_REQUIRED"):
            pytest.fail("no chromium was found, and LMC_BROWSER_REQUIRED is set")
        pytest.skip("no chromium was found; install it or name it with LMC_CHROMIUM")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=path, args=quiet)
        yield instance
        instance.close()


class Server:
    """`streamlit run app.py` on a free port with a store of its own."""

    def __init__(self, store):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        call = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
        self.process = subprocess.Popen(
            call,
            cwd=ROOT,
            env={**os.environ, "LMC_STORE": str(store)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("the server did not answer within a minute")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """A server for the tests of one module."""
    running = Server(tmp_path_factory.mktemp("store"))
    yield running
    running.stop()


@pytest.fixture
def cold_server(browser, tmp_path):
    """A server that nobody has visited."""
    running = Server(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def visit(browser):
    """A function that opens an address in a fresh context and waits for its first chart, or what else `until` says."""
    contexts = []

    def go(url, *, scheme="light", size=(1280, 800), until="[data-testid=stVegaLiteChart] svg"):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)  # engines start, on busy machines too
        page.goto(url)
        page.wait_for_selector(until)
        return page

    yield go
    for context in contexts:
        context.close()
