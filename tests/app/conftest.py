from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One empty store for the module; the shipped results lie below it."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def app(store, monkeypatch):
    """A function that opens the app, at a page and with query parameters."""
    import streamlit as st

    monkeypatch.setenv("LMC_STORE", str(store))
    monkeypatch.chdir(ROOT)
    st.cache_resource.clear()

    def open_at(page="home", **parameters):
        test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in parameters.items():
            test.query_params[name] = value
        test.run()
        if page != "home":
            test.switch_page(f"pages/views/{page}.py").run()
        return test

    yield open_at
    from pages.ui.runs import engine

    engine().close()
