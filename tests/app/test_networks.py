import json
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from safetensors.numpy import save

from lmc import Store
from lmc.experiments import Pair
from lmc.experiments.importing import import_files
from lmc.experiments.spelling import parse
from lmc.library import Library

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def perceptron(width=5, seed=0):
    """A perceptron for the digits with one hidden layer, as a file."""
    draw = np.random.default_rng(seed).standard_normal
    shapes = {"layers.0.weight": (width, 64), "layers.0.bias": (width,), "head.weight": (10, width), "head.bias": (10,)}
    return save({name: draw(shape).astype(np.float32) for name, shape in shapes.items()}, metadata={"arch": "mlp"})


def loaded(store, tmp_path, *names, width=5):
    """Networks in the store that were read from files of these names."""
    files = [tmp_path / f"{name}.safetensors" for name in names]
    for seed, file in enumerate(files):
        file.write_bytes(perceptron(width, seed))
    return [one.network.id for one in import_files(files, Store(store))]


def text(test):
    return " ".join(block.value for block in [*test.markdown, *test.caption, *test.subheader])


def table(test):
    return test.dataframe[0].value


def choose(test, *names):
    """Tick the first rows with these names; of the shipped networks the perceptrons on digits come first."""
    found = list(table(test)["Network"])
    rows = sorted(found.index(name) for name in names)
    test.session_state[test.dataframe[0].key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    return test.run()


def links(test):
    """The parameters of the buttons that lead to another page, by path."""
    found = [urlsplit(element.proto.url) for element in test.get("link_button")]
    return {url.path: parse_qs(url.query) for url in found}


def test_an_empty_store_lists_the_shipped_networks_which_cannot_be_deleted(app):
    test = app("networks")
    assert not test.exception and not test.error
    assert list(table(test)["From"]) == ["shipped"] * 7 and (table(test)["Accuracy"] > 90).all()
    assert (table(test)["Used"] > 0).all() and "Choose a network" in text(test)
    choose(test, "seed 1")
    assert not test.exception
    assert "Multi-layer perceptron, width 32, depth 3, no normalisation" in text(test)
    assert "60 epochs" in text(test) and "cannot be deleted" in text(test)
    assert test.code[0].value == "python -m lmc pair --seeds 1 0 --method none"
    assert len(test.get("vega_lite_chart")) == 2
    assert "delete_network" not in [button.key for button in test.button]
    assert "[Pair of seeds 0, 1 on digits" in text(test) and "/pair?v=1&" in text(test)


def test_trained_networks_of_one_recipe_are_compared_with_one_click(app):
    test = choose(app("networks"), "seed 0", "seed 2")
    (query,) = links(test).values()
    assert list(links(test)) == ["/pair"] and query["seeds"] == ["0 2"] and query["width"] == ["32"]
    names = json.loads(test.get("vega_lite_chart")[0].proto.spec)["encoding"]["color"]["scale"]["domain"]
    assert names == ["seed 0", "seed 2"]


def test_loaded_networks_are_compared_on_a_data_set_that_fits(app, store, tmp_path):
    ids = loaded(store, tmp_path, "one", "two words")
    test = choose(app("networks"), "one", "two words")
    assert test.selectbox(key="compare_dataset").options == ["digits"]
    query = links(test)["/pair"]
    assert sorted(query["load"]) == sorted(ids) and query["dataset"] == ["digits"] and query["width"] == ["5"]
    config = parse(Pair, {name: query[name] for name in ("load", "dataset", "arch", "width", "depth", "norm")})
    assert set(config.load) == set(ids)


def test_networks_that_cannot_be_compared_say_why(app, store, tmp_path):
    loaded(store, tmp_path, "narrow")
    loaded(store, tmp_path, "wide", width=6)
    test = choose(app("networks"), "narrow", "wide")
    assert "they differ in width" in test.info[0].value.replace("\\", "") and not links(test)
    choose(test, "narrow", "seed 0")
    assert "some were trained here and some are from files" in test.info[0].value and not links(test)


def test_deleting_asks_first_and_forgets_the_choice(app, store, tmp_path):
    keep, drop = loaded(store, tmp_path, "keep", "drop")
    test = choose(app("networks"), "drop")
    assert "Delete this network for good?" in text(test)
    test.button(key="delete_network").click().run()
    assert not test.exception and "drop" not in set(table(test)["Network"]) and "keep" in set(table(test)["Network"])
    assert "Choose a network" in text(test)
    assert Store(store).load_about(drop) is None and Store(store).load_about(keep) is not None


def test_the_choice_stays_with_its_network_when_another_one_comes(app, store, tmp_path):
    loaded(store, tmp_path, "first")
    test = choose(app("networks"), "first")
    time.sleep(0.02)
    loaded(store, tmp_path, "first", "newer")
    test.run()
    assert list(table(test)["Network"])[:2] != ["first", "seed 2"] and "first" in [s.value for s in test.subheader]


def test_files_are_read_elsewhere_and_their_report_is_shown(app, store):
    test = app("networks")
    test.file_uploader(key="upload_files").set_value(
        [
            ("my *net* [x](y).safetensors", perceptron(5), "application/octet-stream"),
            ("other.pt", perceptron(5, seed=1), "application/octet-stream"),
            ("notes.pth", b"no network", "application/octet-stream"),
        ]
    )
    test.selectbox(key="upload_activation").set_value("tanh")
    next(button for button in test.button if button.label == "Load").click().run()
    end = time.monotonic() + 60
    while not test.error and time.monotonic() < end:
        assert not test.exception
        time.sleep(0.3)
        test.run()
    assert "notes cannot be used" in test.error[0].value
    assert r"my \*net\* \[x\]\(y\)" in text(test) and "Function check" in text(test).replace("\\", "")
    rows = table(test).set_index("Network")
    assert {"my *net* [x](y)", "other"} <= set(rows.index) and rows.loc["other", "From"] == "loaded"
    assert "load" in links(test)["/pair"], "what was loaded is chosen, ready to be compared"
    entries = [entry for entry in Library(Store(store)).networks() if entry.origin == "loaded"]
    assert {entry.config["activation"] for entry in entries} == {"tanh"}


def test_no_file_and_a_large_file_are_refused_in_words(app, monkeypatch):
    from lmc.engine import files

    test = app("networks")
    load = next(button for button in test.button if button.label == "Load")
    load.click().run()
    assert "1 to 20 at a time would be right" in test.warning[0].value
    monkeypatch.setattr(files, "MAX_UPLOAD", 100)
    test.file_uploader(key="upload_files").set_value([("big.pt", bytes(101), "application/octet-stream")])
    next(button for button in test.button if button.label == "Load").click().run()
    assert "python -m lmc load FILE" in test.warning[0].value and not test.exception


def test_a_download_can_be_loaded_again_as_the_same_network(store, tmp_path):
    library = Library(Store(store))
    (shipped, *_) = library.networks()
    file = tmp_path / "again.safetensors"
    file.write_bytes(library.as_file(shipped))
    (again,) = import_files([file], library.store)
    state = library.store.load_checkpoint(again.network.id, 0)
    original = library.store.load_checkpoint(shipped.id, shipped.checkpoints[-1])
    assert all(np.array_equal(state[name], original[name]) for name in original)
    assert again.network.datasets == ("digits",)
    assert again.network.shape == {name: shipped.config[name] for name in again.network.shape}


def test_the_page_of_networks_needs_no_torch():
    code = "import pages.ui.library, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_the_list_of_hundreds_of_networks_is_quick(tmp_path):
    store = Store(tmp_path)
    (shipped, *_) = list(Store(tmp_path).networks())
    for i in range(300):
        store.save_network(f"{i:016x}", {**shipped, "id": f"{i:016x}", "label": str(i)}, {})
    library = Library(store)
    assert len(library.networks()) == 307
    start = time.perf_counter()
    for _ in range(5):
        library.networks(), library.uses()
    assert (time.perf_counter() - start) / 5 < 0.05
