"""The pair experiment on architectures with BatchNorm, on points, under REPAIR, and with networks from files."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import lmc
from lmc import InputError, Pair, Store, make_recipe
from lmc.experiments import array_name
from lmc.experiments.bench import Bench
from lmc.experiments.files import import_file, stored, with_files
from lmc.experiments.spelling import parse
from lmc.experiments.work import Work
from lmc.interpolation import evaluate
from lmc.loading import to_safetensors
from lmc.training import initial_state
from models import get_model

TINY = make_recipe(epochs=2)


def batch_norm(**changes):
    shape = {"arch": "cnn", "width": 4, "norm": "batch"}
    return Pair(**{**shape, "recipe": TINY, "points": 3, "method": "none", "reset_images": 200, **changes})


def saved(folder, name, seed, width=6):
    build = lambda: get_model("mlp", input_shape=(1, 8, 8), classes=10, width=width)  # noqa: E731
    path = folder / f"{name}.safetensors"
    path.write_bytes(to_safetensors(initial_state(build, seed), {}))
    return str(path)


def value(result, column, **where):
    frame = result.frame("barriers")
    for name, wanted in where.items():
        frame = frame[frame[name] == wanted]
    return frame[column].item()


def test_batch_norm_ends_are_reset_on_the_path_and_as_trained_in_the_table(shared_store):
    result = lmc.run(batch_norm(), store=shared_store)
    path = result.frame("path")
    first = path[(path["lam"] == 0) & (path["split"] == "test")]["loss"].item()
    as_trained = value(result, "loss_a", split="test")
    assert first != as_trained and first == pytest.approx(as_trained, rel=0.3)
    network = batch_norm().networks()[0]
    curve = [row for row in shared_store.load_about(network.id)["curves"] if row["split"] == "test"][-1]
    assert curve["loss"] == pytest.approx(as_trained, rel=1e-5)


def test_trained_batch_norm_networks_keep_their_running_statistics(shared_store):
    lmc.run(batch_norm(), store=shared_store)
    state = shared_store.load_checkpoint(batch_norm().networks()[0].id, 2)
    counted = [array for name, array in state.items() if name.endswith("num_batches_tracked")]
    assert counted and all(array.shape == () and array == 2 * (1437 // 64) for array in counted)
    assert all(np.abs(array).max() > 0.01 for name, array in state.items() if name.endswith("running_mean"))


def test_repair_changes_the_middle_and_not_the_ends(shared_store):
    plain = Pair(arch="cnn", width=4, recipe=make_recipe(epochs=12), points=3, method="weight")
    repaired = lmc.run(replace(plain, correction="repair"), store=shared_store).frame("path")
    straight = lmc.run(plain, store=shared_store).frame("path")
    ends = straight["lam"] != 0.5
    assert np.allclose(repaired["loss"][ends], straight["loss"][ends], rtol=1e-4)
    assert not np.allclose(repaired["loss"][~ends], straight["loss"][~ends], rtol=1e-2)


def test_points_keep_the_answers_over_the_plane(shared_store):
    result = lmc.run(Pair(dataset="moons", width=4, recipe=TINY, points=3, method="none"), store=shared_store)
    plane = result.arrays[array_name("0-1", "none", "plane")]
    assert plane.shape == (3, 64 * 64, 2) and plane.dtype == np.uint8
    assert np.abs(plane.sum(-1).astype(int) - 255).max() <= 1, "probabilities"
    left, right, bottom, top = result.arrays["extent"]
    x, y = result.arrays["images"].T
    assert left < x.min() and x.max() < right and bottom < y.min() and y.max() < top


def test_a_smaller_draw_of_images_is_measured(shared_store):
    whole = lmc.run(Pair(width=5, recipe=TINY, points=3, method="none"), store=shared_store)
    part = lmc.run(Pair(width=5, recipe=TINY, points=3, method="none", eval_images=100), store=shared_store)
    assert part.networks == whole.networks
    errors = part.frame("path")["error"] * 100
    assert np.allclose(errors, errors.round()) and not part.frame("path").equals(whole.frame("path"))


def test_loaded_networks_are_compared_and_named_by_their_files(tmp_path):
    store = Store(tmp_path / "store")
    files = [saved(tmp_path, name, seed) for name, seed in (("first", 0), ("second", 1))]
    words = with_files({"load": files, "points": ["3"]}, store, None, lambda *_: None)
    config = parse(Pair, words)
    assert config.width == 6 and config.labels == ("first", "second")
    result = lmc.run(config, store=store)
    assert set(result.tables["path"]["pair"]) == {"first-second"} and result.networks == list(config.load)
    renamed = lmc.run(replace(config, labels=("a", "b")), store=store)
    assert renamed.id == result.id and set(renamed.tables["path"]["pair"]) == {"a-b"}
    assert array_name("a-b", "none", "answers") in renamed.arrays
    state = import_file(files[0], "again", store)
    assert state.id == config.load[0] == stored(state.id, store).id
    assert any("Function check: 18 hidden units" in line for line in state.report)


def test_ids_stand_for_networks_with_their_shape_name_and_activation(tmp_path):
    store = Store(tmp_path / "store")
    ids = [import_file(saved(tmp_path, f"n{k}", k), f"n{k}", store, activation="gelu").id for k in (0, 1)]
    config = parse(Pair, with_files({"load": ids}, store, None, lambda *_: None))
    assert (config.width, config.activation, config.labels) == (6, "gelu", ("n0", "n1"))
    other = parse(Pair, with_files({"load": ids, "activation": ["tanh"]}, store, None, lambda *_: None))
    assert other.activation == "tanh" and other.id != config.id


def test_options_that_contradict_loaded_networks_are_refused(tmp_path):
    store, files = Store(tmp_path / "store"), [saved(tmp_path, str(k), k) for k in (0, 1)]
    for words, sentence in (
        ({"load": files, "seeds": ["5"]}, "seeds: 5 cannot be used; loaded networks are not trained"),
        ({"load": files, "lr": ["0.1"]}, "lr: 0.1 cannot be used; loaded networks are not trained"),
        ({"labels": ["a", "b"]}, "only loaded networks have them"),
        ({"load": files, "dataset": ["cats"]}, "dataset: cats cannot be used; choose one of"),
        ({"load": files, "dataset": ["folder"]}, "say which folder holds"),
    ):
        with pytest.raises(InputError, match=sentence):
            with_files(words, store, None, lambda *_: None)


def test_images_that_lie_class_by_class_are_reset_in_mixed_batches(digits, tmp_path, monkeypatch):
    """As in a folder of images; in batches of one class each, BatchNorm would learn the statistics of none."""
    network = batch_norm(reset_images=1437).networks()[0]
    order = digits.train_y.sort(stable=True).indices
    by_class = replace(digits, train_x=digits.train_x[order], train_y=digits.train_y[order])
    losses = []
    for data in (digits, by_class):
        monkeypatch.setattr("lmc.experiments.work._dataset", lambda *_, data=data: data)
        work = Work(Store(tmp_path), torch.device("cpu"))
        state = work.final_states([network])[network.id]
        bench = Bench(batch_norm(reset_images=1437), work)
        states = bench.along(state, state)([0.0])
        losses.append(float(evaluate(bench.model, states, digits.test_x, digits.test_y)[0]))
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_loaded_networks_that_do_not_fit_are_refused_by_name(tmp_path):
    store = Store(tmp_path / "store")
    small, large = saved(tmp_path, "small", 0), saved(tmp_path, "large", 0, width=7)
    with pytest.raises(InputError, match="their width differs: 6, 7"):
        with_files({"load": [small, large]}, store, None, lambda *_: None)
    with pytest.raises(InputError, match="width: 64 cannot be used; the loaded networks have 6"):
        with_files({"load": [small, saved(tmp_path, "other", 1)], "width": ["64"]}, store, None, lambda *_: None)
    with pytest.raises(InputError, match="it has 10 classes, and the data set has 2"):
        with_files({"load": [small], "dataset": ["moons"]}, store, None, lambda *_: None)
    with pytest.raises(InputError, match="the store holds no such network"):
        lmc.run(Pair(load=("0" * 16, "1" * 16)), store=store)
    ids = [import_file(path, "x", store).id for path in (small, large)]
    with pytest.raises(InputError, match=r"its layers.0.weight is \(7, 64\), and that of mlp of width 6"):
        lmc.run(Pair(load=tuple(ids), width=6), store=store)


def test_the_networks_stay_as_they_were_in_double_precision(tmp_path):
    store = Store(tmp_path / "store")
    files = [saved(tmp_path, str(seed), seed) for seed in (0, 1)]
    words = with_files({"load": files, "points": ["2"], "dtype": ["float64"]}, store, None, lambda *_: None)
    result = lmc.run(parse(Pair, words), store=store)
    assert result.metrics["check.max_logit_difference"] < 1e-12
    assert torch.get_default_dtype() == torch.float32
