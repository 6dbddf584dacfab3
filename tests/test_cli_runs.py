import shlex

import pytest

from lmc import Pair, Store, make_recipe, run
from lmc.cli import main
from lmc.experiments.spelling import arguments
from lmc.store import SHIPPED

CONFIG = Pair(width=4, recipe=make_recipe(epochs=1), points=3, method="weight")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with one result and its two networks; tests leave it as they found it."""
    store = Store(tmp_path_factory.mktemp("runs") / "store")
    return store, run(CONFIG, store=store, device="cpu")


@pytest.fixture
def runs(made, capsys):
    """A function that runs `runs ...` on that store: exit status, lines of output, lines of errors."""

    def call(*words, store=made[0]):
        capsys.readouterr()
        status = main(["runs", *words, "--store", str(store.root)])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return call


def values(lines):
    """The two columns that `show` prints."""
    return [(name, value.strip()) for name, _, value in (line.partition("  ") for line in lines)]


def test_the_list_has_sizes_pins_and_the_total(made, runs):
    store, result = made
    status, (first, heads, row, total), _ = runs()
    assert status == 0 and first == f"store: {store.root}" and heads.split()[:4] == ["id", "date", "size", "pinned"]
    assert row.startswith(result.id) and row.endswith("pair  digits  mlp  width 4  networks 0 1")
    assert " kB " in row and " pinned " not in row
    assert total.startswith("1 result and 2 networks of its own: ") and total.endswith("kB of at most 20 GB")


def test_a_list_is_not_a_use(made, runs):
    store, result = made
    before = store.kept("results", result.id)
    runs(), runs("show", result.id), runs("verify")
    assert store.kept("results", result.id) == before


def test_a_result_is_shown_with_the_command_that_runs_it(made, runs):
    _, result = made
    status, lines, _ = runs("show", result.id[:4])
    said = dict(values(lines))
    assert status == 0 and lines[0].split() == ["id", result.id]
    assert shlex.split(said["command"])[3:] == arguments(CONFIG)
    assert float(said["error_barrier.weight.direct.test"]) == pytest.approx(
        result.metrics["error_barrier.weight.direct.test"], rel=1e-5
    )
    assert [value.split() for name, value in values(lines) if name == "network"] == [
        [id, str(seed)] for seed, id in enumerate(result.networks)
    ]
    assert said["pinned"] == "no" and said["size"].endswith("kB") and "torch" in said["made with"]


def test_a_network_is_shown_with_its_uses(made, runs):
    _, result = made
    status, lines, _ = runs("show", result.networks[1])
    said = dict(values(lines))
    assert status == 0 and said["network"] == "seed 1, trained" and said["checkpoints"] == "1"
    assert said["part of"].split() == [result.id, "pair"] and said["command"].startswith("python -m lmc pair --width 4")
    shipped = min(path.name for path in (SHIPPED / "networks").iterdir())
    status, lines, _ = runs("show", shipped)
    assert status == 0 and dict(values(lines))["kept"] == "shipped with the project"


def test_pins_are_set_and_taken_away_by_the_beginning_of_an_id(made, runs):
    store, result = made
    ids = [result.id, *result.networks]
    assert runs("pin", *(id[:6] for id in ids)) == (0, [f"{id}  pinned" for id in ids], [])
    assert all(map(store.is_pinned, ids)) and "  pinned  pair  " in runs()[1][2]
    status, out, err = runs("delete", *ids)
    assert status == 2 and out == [] and [line.split()[1] for line in err] == [f"{id}:" for id in ids]
    assert all("is pinned; unpin it before deleting it" in line for line in err)
    assert runs("unpin", *ids)[0] == 0 and not any(map(store.is_pinned, ids))


def test_the_store_may_stand_before_the_action(made, capsys):
    store, result = made
    assert main(["runs", "--store", str(store.root), "verify", result.id]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{result.id}  result  whole", "1 whole, 0 damaged"]


def test_one_that_cannot_be_deleted_is_named_and_the_others_go(tmp_path, runs):
    store = Store(tmp_path / "store")
    ids = ["0" * 16, "1" * 16]
    for id in ids:
        store.save_network(id, {"label": "x"}, {})
    with store.lock("network", ids[0]):
        status, out, err = runs("delete", *ids, store=store)
    assert status == 2 and out == [f"{ids[1]}  deleted"]
    assert err == [f"lmc: {ids[0]}: a run uses this network; try again when that has ended"]
    result = run(CONFIG, store=store, device="cpu")
    assert runs("delete", result.id, store=store) == (0, [f"{result.id}  deleted"], [])
    assert not store.has_result(result.id) and store.load_about(result.networks[0])


def test_damage_is_found_and_ends_with_1(tmp_path, runs):
    store = Store(tmp_path / "store")
    result = run(CONFIG, store=store, device="cpu")
    assert runs("verify", store=store)[:2] == (
        0, [f"{result.id}  result  whole", *(f"{id}  network  whole" for id in reversed(networks(store))),
            "3 whole, 0 damaged"],
    )  # fmt: skip
    path = store.root / "networks" / result.networks[0] / "epoch-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    status, lines, _ = runs("verify", store=store)
    (line,) = [line for line in lines if line.startswith(result.networks[0])]
    assert status == 1 and "  network  damaged: epoch 1 " in line
    assert lines[-1] == f"2 whole, 1 damaged; see {store.root / 'damaged'}"
    assert runs("verify", store=store)[0] == 0, "it was set aside"
    assert run(CONFIG, store=store, device="cpu").tables == result.tables


def networks(store):
    """Ids in the order in which they were written."""
    return [one.id for one in reversed(store.inventory()) if one.kind == "networks"]


@pytest.mark.parametrize("action", ["show", "pin", "unpin", "delete", "verify"])
def test_bad_ids_end_with_2_and_one_sentence(tmp_path, runs, action):
    store = Store(tmp_path / "store", shipped=None)
    for id in ("abcd" + "0" * 12, "abcd" + "1" * 12):
        store.save_network(id, {"label": "x"}, {})
    right = "an id has 16 hexadecimal digits, and its first four or more will do."
    for word, sentence in {
        "abc": f"lmc: id: abc cannot be used; {right}",
        "ABCD": f"lmc: id: ABCD cannot be used; {right}",
        "../../etc": f"lmc: id: ../../etc cannot be used; {right}",
        "0123": f"lmc: id: 0123 cannot be used; the store {store.root} holds no result or network of that id.",
        "abcd": "lmc: id: abcd cannot be used; 2 ids begin so (abcd000000000000, abcd111111111111).",
    }.items():
        assert runs(action, "abcd1", word, store=store) == (2, [], [sentence])
    assert len(store.inventory()) == 2 and not store.is_pinned("abcd" + "1" * 12), "nothing was done before"


def test_an_action_that_is_none_and_a_bad_limit_end_with_2(runs, capsys, monkeypatch):
    with pytest.raises(SystemExit) as end:
        runs("burn")
    assert end.value.code == 2 and capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("LMC_STORE_LIMIT", "lots")
    status, out, (line,) = runs()
    assert status == 2 and out == [] and "LMC_STORE_LIMIT is 'lots'; a number of gigabytes above 0" in line
