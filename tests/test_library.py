import numpy as np
import pytest
from safetensors.numpy import save

import lmc
from lmc import InputError, Store, StoreError
from lmc.experiments import Instability, Pruning, Trajectory, make_recipe
from lmc.experiments.importing import clean_label, import_files, printable
from lmc.library import Library, comparison, fitting, training


def perceptron(path, width=4, seed=0, inputs=64, classes=10):
    draw = np.random.default_rng(seed).standard_normal
    shapes = {"layers.0.weight": (width, inputs), "layers.0.bias": (width,)}
    shapes |= {"head.weight": (classes, width), "head.bias": (classes,)}
    path.write_bytes(save({name: draw(shape).astype(np.float32) for name, shape in shapes.items()}))
    return path


def entries(library, origin):
    return [entry for entry in library.networks() if entry.origin == origin]


def test_a_loaded_network_has_the_error_of_the_result_that_measured_it(tmp_path):
    store = Store(tmp_path / "store")
    files = [perceptron(tmp_path / f"{name}.pt", seed=seed) for seed, name in enumerate(("a-b", "c", "a"))]
    import_files(files, store)
    library = Library(store)
    networks = sorted(entries(library, "loaded"), key=lambda entry: entry.label)
    assert [entry.error for entry in networks] == [None] * 3 and not library.uses().keys() & {e.id for e in networks}
    result = lmc.run(comparison(networks, "digits"), store=store)
    uses = library.uses()
    for place, entry in enumerate(networks):
        (use,) = uses[entry.id]
        assert use.id == result.id and use.value().id == result.id
        table = result.frame("barriers")
        rows = table[(table["split"] == "test") & (table["method"] == "none")]
        first, last = rows.iloc[0], rows.iloc[-1]  # the pairs 0-1 and 1-2
        assert use.errors[entry.id] == (first["error_a"], first["error_b"], last["error_b"])[place]


def test_what_was_deleted_leaves_the_list_and_a_new_checkpoint_is_seen(tmp_path):
    store = Store(tmp_path / "store")
    import_files([perceptron(tmp_path / "one.pt")], store)
    library = Library(store)
    (entry,) = entries(library, "loaded")
    assert entry.checkpoints == (0,) and entry.size > 0 and entry.datasets == ("digits",)
    store.save_network(entry.id, {}, {3: {"x": np.zeros(2)}})
    (entry,) = entries(library, "loaded")
    assert entry.checkpoints == (0, 3)
    store.delete_network(entry.id)
    assert not entries(library, "loaded")
    with pytest.raises(StoreError, match="no longer in the store"):
        library.as_file(entry)


def test_networks_of_points_fit_points_and_none_fits_all(tmp_path):
    store = Store(tmp_path / "store", shipped=None)
    import_files([perceptron(tmp_path / "a.pt"), perceptron(tmp_path / "m.pt", inputs=2, classes=2)], store)
    by_label = {entry.label: entry for entry in Library(store).networks()}
    assert by_label["m"].datasets == ("moons",)
    assert fitting(list(by_label.values())) == []


def test_shipped_networks_are_trained_again_by_their_command_and_not_changed():
    store = Store()
    shipped = entries(Library(store), "shipped")
    for entry in shipped:
        pair = training(entry)
        assert entry.id in [network.id for network in pair.networks()]
    assert [(entry.dataset, entry.config["arch"]) for entry in shipped[2:5]] == [
        ("digits", "mlp"), ("digits", "cnn"), ("digits", "cnn"),
    ]  # fmt: skip
    first = shipped[:3]
    assert [network.id for network in comparison(first).networks()] == [entry.id for entry in first]
    with pytest.raises(StoreError, match="of its own"):
        store.update_about(shipped[0].id, {"label": "mine"})


def test_a_network_that_a_run_holds_is_not_deleted(tmp_path):
    store = Store(tmp_path)
    (shipped, *_) = entries(Library(store), "shipped")
    store.save_network("0" * 16, {**shipped.config}, {})
    with store.lock("network", "0" * 16), pytest.raises(StoreError, match="a run uses this network"):
        Store(tmp_path).delete_network("0" * 16)
    store.delete_network("0" * 16)
    assert store.is_shipped("0" * 16)


def test_networks_trained_otherwise_are_not_compared(tmp_path):
    store = Store(tmp_path)
    short = lmc.Pair(width=4, recipe=lmc.make_recipe(epochs=1), points=2, method="none")
    longer = lmc.Pair(width=4, recipe=lmc.make_recipe(epochs=2), points=2, method="none")
    for config in (short, longer):
        lmc.run(config, store=store)
    trained = entries(Library(store), "trained")
    alike = [entry for entry in trained if entry.epochs == 1]
    assert {network.id for network in comparison(alike).networks()} == {entry.id for entry in alike}
    with pytest.raises(InputError, match="they were trained differently"):
        comparison([alike[0], *(entry for entry in trained if entry.epochs == 2)])


def test_a_network_by_another_hand_is_left_out(tmp_path):
    store = Store(tmp_path, shipped=None)
    shape = {"arch": "lstm", "width": 4, "depth": 2, "norm": "none", "activation": "relu"}
    abouts = [
        {},
        *({"label": "x", "config": config, "curves": [], "loaded": []} for config in ({"arch": "mlp"}, shape)),
    ]
    for i, about in enumerate(abouts):
        store.save_network(f"{i:016x}", about, {})
    assert Library(store).networks() == []


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("net.safetensors", "net"),
        ("resnet.v2.pth", "resnet.v2"),
        ("../../etc/passwd", "passwd"),
        ("C:\\nets\\mine.pt", "mine"),
        (".pt", ".pt"),
        ("a|b\x00\r\n\u202ec.pt", "a b c"),
        ("x" * 300 + ".pt", "x" * 80),
        ("///", "network"),
        ("", "network"),
        ("\ud800.pt", "network"),
    ],
)
def test_names_of_files_become_labels(name, label):
    assert clean_label(name) == label


def test_printable_text_is_one_line():
    assert printable(" a\n\tb\x1b[31m ") == "a b [31m"


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    """A library with dense networks, pruned ones, twins and forks, by their names."""
    store = Store(tmp_path_factory.mktemp("variants"), shipped=None)
    small = {"width": 3, "seeds": (4, 5), "recipe": make_recipe(epochs=2), "points": 2}
    lmc.run(Pruning(**small, levels=2, rewind=1, control="twin"), store=store, device="cpu")
    lmc.run(Pruning(**small, levels=2, rewind=1), store=store, device="cpu")
    lmc.run(Instability(**small, forks=(1,)), store=store, device="cpu")
    library = Library(store)
    return library, {entry.name: entry for entry in library.networks()}


def test_pruned_networks_twins_and_forks_have_names_of_their_own(variants):
    library, named = variants
    kinds = ("{}", "{}, pruned 20% a level", "twin of {}", "twin of {}, pruned 20% a level")
    expected = {kind.format(f"seed {seed}") for seed in (4, 5) for kind in (*kinds, "{}, other order from epoch 1")}
    assert set(named) == expected
    assert named["seed 4, pruned 20% a level"].checkpoints == (1, 2)
    assert all(library.uses()[entry.id] for entry in named.values()), "each is part of a result"


def test_the_command_of_a_network_trains_that_network(variants):
    for entry in variants[1].values():
        again = training(entry)
        wanted = [network.id for network, _ in again.wanted()]
        assert entry.id in wanted, entry.name
    made = training(variants[1]["twin of seed 4, pruned 20% a level"])
    assert (made.control, made.levels, made.rewind, made.method) == ("twin", 2, 1, ("none",))
    assert isinstance(training(variants[1]["twin of seed 5"]), Trajectory)


def test_pruned_networks_are_compared_level_by_level_and_only_with_their_like(variants):
    _, named = variants
    both = [named[f"seed {seed}, pruned 20% a level"] for seed in (4, 5)]
    config = comparison(both)
    assert isinstance(config, Pruning) and (config.seeds, config.levels, config.rewind) == ((4, 5), 2, 1)
    assert {entry.id for entry in both} <= {network.id for network, _ in config.wanted()}
    with pytest.raises(InputError, match="pruned differently, or not all of them"):
        comparison([both[0], named["seed 5"]])
    for name in ("twin of seed 4", "seed 4, other order from epoch 1"):
        with pytest.raises(InputError, match="compared on the pages that made them"):
            comparison([named["seed 5"], named[name]])
