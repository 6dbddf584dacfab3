"""What a page costs the server: the script of the pair page, and a change of method on the default pair."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pair_page(tmp_path, monkeypatch):
    import streamlit as st

    monkeypatch.setenv("LMC_STORE", str(tmp_path))
    st.cache_resource.clear()
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return test.switch_page("pages/views/pair.py").run()


def test_page_script(benchmark, pair_page):
    """The whole script again, nothing changed: under 0.1 s."""
    benchmark.pedantic(pair_page.run, rounds=10, warmup_rounds=2)
    median = benchmark.stats["median"]  # this file is run by `make bench` alone
    print(f"\npage script: {median:.3f} s (goal 0.1 s)")
    assert median < 0.1


def test_change_of_method(benchmark, pair_page, monkeypatch):
    """Another choice of methods: at most 0.3 s until its chart, built for the first time, goes to the browser."""
    from pages.ui import figures

    monkeypatch.setattr(figures, "show_as_before", figures.show, raising=False)
    choices = [["none", "weight"], ["none", "random"], ["none", "activation"], ["none", "weight", "random"]]
    times = []
    for choice in choices:
        sent = []

        def show(name, *rest, sent=sent):
            figures.show_as_before(name, *rest)
            sent.append((name, time.perf_counter()))

        monkeypatch.setattr(figures, "show", show)
        pair_page.multiselect(key="method").set_value(choice)
        start = time.perf_counter()
        pair_page.run()
        assert sent[0][0] == "path_chart"
        times.append(sent[0][1] - start)
    benchmark.pedantic(pair_page.run, rounds=1)
    print(f"\nchange of method: {sorted(times)[len(times) // 2]:.3f} s, at most {max(times):.3f} s (goal 0.3 s)")
    assert sorted(times)[len(times) // 2] < 0.3
