"""What pages show of runs: words, shared answers, the page of runs, cancelling, refusals, failures."""

import threading
import time
from dataclasses import replace

import pandas as pd
import pytest

import lmc
from lmc.engine import Status
from lmc.experiments import EXPERIMENTS, INSTANT, Pair, Partial, Width, make_recipe
from lmc.store import SHIPPED, Store
from pages.ui import live, progress, run_list
from pages.ui.address import PAGES, has_page
from pages.ui.run_list import CHOSEN, Known, table
from pages.ui.runs import computed


def text(test):
    return " ".join(block.value for block in [*test.markdown, *test.caption])


def progress_text(test):
    return " ".join(element.proto.text for element in test.get("progress"))


def until(test, found, seconds=90):
    """Run the page until `found(test)`; what it found."""
    end = time.monotonic() + seconds
    while not (value := found(test)):
        assert not test.exception and time.monotonic() < end, (text(test), [e.value for e in test.error])
        time.sleep(0.3)
        test.run()
    return value


def keys(test):
    return {button.key for button in test.button}


# Words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "a few seconds left"),
        (6.2, "about 7 s left"),
        (21, "about 30 s left"),
        (58, "about 1 min left"),
        (200, "about 3 min left"),
        (7300, "about 2 h left"),
    ],
)
def test_time_left_is_as_coarse_as_it_is_uncertain(seconds, words):
    assert progress.time_left(seconds) == words


def test_the_place_in_the_queue_is_said_in_words():
    assert progress.doing(Status("waiting", position=1)).endswith("Yours is next.")
    assert progress.doing(Status("waiting", position=2)).endswith("1 run is before yours.")
    assert progress.doing(Status("waiting", position=3)).endswith("2 runs are before yours.")
    assert progress.turn(1, "it").endswith("It is next.")
    assert "starting" in progress.doing(Status("starting"))


def test_what_runs_is_said_with_the_share_and_the_time_left():
    status = Status("running", share=0.42, text="training, epoch 3 of 9", seconds_left=12.0)
    assert progress.doing(status) == "42% · Training, epoch 3 of 9 · about 12 s left"
    assert [progress.watching(n) for n in (0, 1, 3)] == ["", "1 other is watching.", "3 others are watching."]
    assert progress.in_words(Pair(seeds=(3, 4))) == "Multi-layer perceptron of width 32 on Digits, seeds 3 and 4"


# Answers that sessions share


def test_an_answer_is_asked_for_once_and_shared(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    shared, asked = live.Shared(), []

    def ask(answer):
        return lambda: (asked.append(answer), answer)[1]

    assert shared.get(ask("one"), "nothing") == "one"
    assert shared.get(ask("two"), "nothing") == "one" and asked == ["one"]
    now[0] += live.FRESH + 0.1
    assert shared.get(ask(None), "nothing") == "one", "an engine that is too busy takes nothing away"
    now[0] += live.PATIENCE + 0.1
    assert shared.get(ask(None), "nothing") == "nothing"


def test_nobody_waits_while_another_asks():
    shared, began, go_on = live.Shared(), threading.Event(), threading.Event()

    def slowly():
        began.set()
        go_on.wait(10)
        return "late"

    other = threading.Thread(target=shared.get, args=(slowly, "nothing"))
    other.start()
    began.wait(10)
    start = time.perf_counter()
    assert shared.get(lambda: pytest.fail("asked twice"), "nothing") == "nothing"
    assert time.perf_counter() - start < 1
    go_on.set()
    other.join()
    assert shared.get(lambda: "new", "nothing") == "late"


# The store on the page of runs


SHIPPED_RESULTS = len(list((SHIPPED / "results").iterdir()))


@pytest.fixture
def filled(tmp_path, monkeypatch, app, no_engine):
    """A function that opens the page of runs on a store with copies of a shipped result, and that store."""
    store = Store(tmp_path / "store")
    monkeypatch.setenv("LMC_STORE", str(store.root))
    shipped = store.load_result(Pair(method=INSTANT).id)

    def open_with(count):
        for i in range(count):
            config = Pair(width=16, seeds=(i, i + 1), method=INSTANT)
            store.save_result(replace(shipped, id=config.id, config=config.to_json(), seconds=1.5))
        return app("runs"), store

    return open_with


def choose(test, *places):
    test.session_state[test.dataframe[0].key] = {"selection": {"rows": list(places), "columns": [], "cells": []}}
    return test.run()


def test_a_run_over_widths_has_no_width_but_names_its_widths(filled):
    test, store = filled(1)
    wide = Width(widths=(8, 16, 64))
    one = store.load_result(Pair(width=16, seeds=(0, 1), method=INSTANT).id)
    store.save_result(replace(one, id=wide.id, experiment="width", config=wide.to_json()))
    shown = test.run().dataframe[0].value.set_index("Result")["Width"]
    assert pd.isna(shown["Widths 8 to 64 of seeds 0, 1, 2"]) and shown["Pair of seeds 0, 1"].iloc[0] == 16


def test_a_result_without_a_page_is_listed_and_not_opened(filled, app):
    assert EXPERIMENTS.keys() - PAGES.keys() == {"partial"}
    test, store = filled(0)
    config = Partial(width=6, narrow=3, recipe=make_recipe(epochs=1), points=3, method=("weight",))
    lmc.run(config, store=store.root, device="cpu")
    test.run()
    place = list(test.dataframe[0].value["Result"]).index("Partial of seeds 0, 1")
    choose(test, place)
    assert not test.exception and not has_page(config)
    assert test.code[0].value.startswith("python -m lmc partial") and not test.get("link_button")
    assert "pin_results" in keys(test)
    networks = app("networks")
    rows = networks.dataframe[0].value
    choose(networks, list(rows["Width"]).index(3))
    assert not networks.exception and "- Partial of seeds 0, 1 on digits" in text(networks)


def test_an_experiment_without_a_page_fails_in_words(monkeypatch):
    said = []
    monkeypatch.setattr(run_list.st, "markdown", said.append)
    row = {"experiment": "partial", "config": Partial().to_json(), "state": "failed", "error": "no room"}
    run_list._ended([row])
    assert said[1].startswith(":material/error: Partial") and "](" not in said[1]


def test_an_empty_store_lists_the_shipped_results_which_are_not_deleted(filled):
    test, _ = filled(0)
    assert not test.exception and not test.error
    assert "**0 bytes** of at most 20 GB" in text(test)
    rows = test.dataframe[0].value
    assert set(rows["Kept"]) == {"shipped"} and rows["Took"].notna().all()
    place = next(place for place, name in enumerate(rows["Result"]) if name.startswith("Pair"))
    choose(test, place)
    assert "never deleted" in text(test) and not {"pin_results", "delete_results"} & keys(test)
    (link,) = test.get("link_button")
    assert "/pair?v=1&" in link.proto.url and test.code[0].value.startswith("python -m lmc pair")


def test_a_result_is_pinned_unpinned_and_deleted_after_a_question(filled):
    test, store = filled(3)
    assert len(test.dataframe[0].value) == 3 + SHIPPED_RESULTS
    choose(test, 1)
    (id,) = test.session_state[CHOSEN]
    test.button(key="pin_results").click().run()
    assert store.is_pinned(id) and list(test.dataframe[0].value["Kept"])[:3] == ["", "pinned", ""]
    assert "delete_results" not in keys(test), "what is pinned is not deleted"
    test.button(key="unpin_results").click().run()
    assert not store.is_pinned(id)
    assert "Delete this result for good?" in text(test)
    test.button(key="delete_results").click().run()
    assert not store.has_result(id) and len(test.dataframe[0].value) == 2 + SHIPPED_RESULTS
    assert not test.exception and not test.error


def test_a_deleted_result_is_not_shown_from_memory(filled, app, monkeypatch):
    filled(1)
    config = Pair(width=16, seeds=(0, 1), method=INSTANT)
    page = app("pair", width="16")
    assert page.get("vega_lite_chart")
    test = choose(app("runs"), 0)
    assert test.session_state[CHOSEN] == [config.id]
    test.button(key="delete_results").click().run()
    page.run()
    assert not page.get("vega_lite_chart") and "Computing" in text(page)


def test_a_deletion_that_the_store_refuses_is_said(filled):
    test, store = filled(1)
    choose(test, 0)
    (id,) = test.session_state[CHOSEN]
    store.pin(id)  # by another page meanwhile
    test.button(key="delete_results").click().run()
    assert store.has_result(id) and "pinned" in test.error[0].value and not test.exception


def test_nobody_changes_the_store_of_a_classroom(filled, monkeypatch):
    monkeypatch.setenv("LMC_CLASSROOM", "1")
    test, store = filled(1)
    choose(test, 0)
    assert "nobody pins or deletes" in text(test) and not {"pin_results", "delete_results"} & keys(test)
    (id,) = test.session_state[CHOSEN]
    run_list._each("delete", [id])
    assert store.has_result(id)


def test_hundreds_of_results_are_listed_by_and_by(filled):
    test, store = filled(0)
    shipped = (SHIPPED / "results" / Pair(method=INSTANT).id / "result.json").read_text()
    for i in range(500):
        folder = store.root / "results" / f"{i:016x}"
        folder.mkdir()
        (folder / "result.json").write_text(shipped)
    test.run()
    end = time.monotonic() + 60
    while run_list.known().unread and time.monotonic() < end:
        test.run()
    rows = test.run().dataframe[0].value
    assert len(rows) == 500 + SHIPPED_RESULTS and (rows["Result"] != "").all()
    times = []
    for _ in range(5):
        start = time.process_time()  # others may compute on this machine
        test.run()
        times.append(time.process_time() - start)
    assert min(times) < 0.25, "0.06 s on a quiet machine"


def test_a_result_that_cannot_be_read_is_an_empty_row(tmp_path):
    store = Store(tmp_path)
    folder = store.root / "results" / ("0" * 16)
    folder.mkdir()
    (folder / "result.json").write_text("no digest")
    known, kept = Known(store), store.inventory()
    known.read(kept, 1.0)
    assert known.told(kept[0]) is None and known.unread == 0
    assert table(kept, known).loc[0, "Result"] == ""


# Runs


def run_id(test):
    return computed(test.session_state["_config"]).id


@pytest.mark.slow
def test_a_run_grows_before_the_eyes_and_the_next_one_waits(app):
    first = app("pair", width="10", seeds="0 1 2", epochs="120")
    assert "Computing" in text(first) and "seeds 0, 1 and 2" in text(first)
    until(first, lambda test: test.get("vega_lite_chart"))
    assert "Training, epoch" in progress_text(first)
    second = app("pair", width="11", epochs="120")
    until(second, lambda test: "Yours is next" in progress_text(test))
    runs = app("runs")
    until(runs, lambda test: "It is next" in text(test))
    assert "width 10 on Digits" in text(runs) and "width 11 on Digits" in text(runs)
    runs.button(key=f"cancel_{run_id(second)}").click().run()
    assert "Others are watching" in runs.info[0].value, "its own page looked a moment ago"
    second.button(key="cancel_run").click().run()
    assert "cancelled" in second.info[0].value
    until(runs, lambda test: "Failed or cancelled" in text(test))
    until(first, lambda test: "of 3 pairs** are compared" in text(test) or not test.get("progress"))
    until(first, lambda test: not test.get("progress"))
    assert "test error barrier" in text(first) and not first.error
    until(runs, lambda test: (test.dataframe[0].value["Kept"] == "").any())


@pytest.mark.slow
def test_who_cancels_lets_go_while_others_watch_and_the_last_one_stops_it(app):
    a, b = (app("pair", width="9", epochs="3000") for _ in range(2))
    until(b, lambda test: "1 other is watching" in text(test))
    a.button(key="cancel_run").click().run()
    assert "Others are watching this run" in a.info[0].value and "Computing" in text(b.run())
    a.button(key="start_again").click().run()
    assert "Computing" in text(a)
    b.button(key="cancel_run").click().run()
    assert "Others are watching this run" in b.info[0].value
    a.button(key="cancel_run").click().run()
    assert "This run was cancelled" in a.info[0].value
    until(b, lambda test: "This run was cancelled" in test.info[0].value)


@pytest.mark.slow
def test_a_failed_run_says_why_and_can_be_started_again(app, store, stored):
    (checkpoint,) = (store / "networks" / stored[1]).glob("epoch-*")
    aside = checkpoint.rename(store / "aside")
    test = app("pair", load=stored)
    until(test, lambda test: test.error)
    assert "the store no longer holds" in test.error[0].value
    listed = until(app("runs"), lambda test: "no longer holds" in text(test) and test)
    assert "networks my-net/a and other-b" in text(listed).replace("\\", "")
    aside.rename(checkpoint)
    test.button(key="start_again").click().run()
    until(test, lambda test: test.get("vega_lite_chart") and not test.get("progress"))
    assert not test.error and "test error barrier" in text(test)


# In a classroom


def test_what_is_past_a_limit_is_refused_where_the_result_would_be(app, no_engine, monkeypatch):
    monkeypatch.setenv("LMC_CLASSROOM", "1")
    test = app("pair", width="1024")
    assert "at most 512 is allowed" in test.warning[0].value and not test.exception
    assert "start_again" in keys(test) and not test.get("progress")
    test.button(key="start_again").click().run()
    assert "at most 512 is allowed" in test.warning[0].value
    test.number_input(key="width").set_value(32).run()
    assert test.get("vega_lite_chart") and not test.warning


@pytest.mark.slow
def test_a_page_has_one_run_at_a_time_and_nobody_cancels_that_of_another(app, monkeypatch, tmp_path):
    monkeypatch.setenv("LMC_CLASSROOM", "1")
    monkeypatch.setenv("LMC_STORE", str(tmp_path / "class"))
    test = app("pair", width="9", epochs="100", seeds="0 1 2 3 4 5")
    until(test, lambda test: "Training" in progress_text(test))
    mine = run_id(test)
    test.text_input(key="seeds").set_value("7 8").run()
    assert "one run at a time" in test.warning[0].value and "start_again" in keys(test)
    other = app("runs")
    until(other, lambda test: "width 9 on Digits" in text(test))
    assert f"cancel_{mine}" not in keys(other)
    test.switch_page("pages/views/runs.py").run()
    assert "yours" in text(test)
    test.button(key=f"cancel_{mine}").click().run()
    until(test, lambda test: "Nothing is running" in text(test))
    test.switch_page("pages/views/pair.py").run()
    assert "seeds 7 and 8" in text(test) and "Computing" in text(test)
    test.button(key="cancel_run").click().run()
    assert "This run was cancelled" in test.info[0].value
