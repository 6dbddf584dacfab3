from functools import cache
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lmc.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
FOLDED = ("tables", "words", "curves")
"""What is drawn only when a visitor opens it; it is open here."""


@pytest.fixture(scope="session", autouse=True)
def _packages_are_searched_once():
    """Streamlit looks through all installed packages for components whenever a test opens the app; here only once."""
    from streamlit.components.v2 import manifest_scanner

    patch = pytest.MonkeyPatch()
    patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One empty store for the module; the shipped results lie below it."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def stored(store):
    """The store with two loaded networks, called `my-net/a` and `other-b`: the shipped ones in other words."""
    import numpy as np
    import torch

    from lmc.experiments import Pair
    from lmc.experiments.files import import_file
    from lmc.loading import to_safetensors
    from lmc.store import Store

    kept, ids = Store(store), []
    for network, label in zip(Pair().networks(), ("my-net/a", "other-b"), strict=True):
        arrays = kept.load_checkpoint(network.id, network.last_epoch)
        state = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        ids.append(import_file(to_safetensors(state, {}), label, kept, "digits").id)
    return ids


@pytest.fixture(scope="module")
def engines():
    """The engines of the module, one for each store, each with one worker."""
    kept = {}

    def engine_of(store):
        return kept.setdefault(store.root, Engine(store, workers=1))

    yield engine_of
    for one in kept.values():
        one.close()


@pytest.fixture
def no_engine(monkeypatch):
    """An engine that takes for ever to start: nothing is computed."""
    monkeypatch.setattr(Engine, "_in_background", lambda self: None)


@pytest.fixture
def app(store, engines, monkeypatch):
    """A function that opens the app, at a page and with query parameters."""
    import streamlit as st

    monkeypatch.setenv("LMC_STORE", str(store))
    monkeypatch.setattr("pages.ui.runs.Engine", engines)
    monkeypatch.setattr("pages.ui.runs.FIRST_PAGE", 3600)  # until something is asked of it: most tests ask nothing
    monkeypatch.chdir(ROOT)
    st.cache_resource.clear()

    def open_at(page="home", **parameters):
        test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in parameters.items():
            test.query_params[name] = value
        for name in FOLDED:
            test.session_state[name] = True
        test.run()
        if page != "home":
            test.switch_page(f"pages/views/{page}.py").run()
        return test

    return open_at
