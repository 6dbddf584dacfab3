import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmc import Store
from lmc.cli import main
from lmc.data import list_datasets
from lmc.experiments import Pair
from lmc.experiments.spelling import option_fields, parse

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["pair", "--width", "4", "--epochs", "1", "--points", "3"]


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "lmc", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, **options
    )


def test_json_is_exactly_one_object_with_the_promised_keys(tmp_path, capsys):
    assert main([*QUICK, "--json", "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    content = json.loads(out)
    assert list(content) == ["experiment", "id", "config", "metrics", "tables", "seconds"]
    assert content["experiment"] == "pair" and content["config"]["recipe"]["epochs"] == 1
    assert set(content["tables"]) == {"path", "barriers", "layers"} and content["tables"]["path"][0]["method"] == "none"
    assert (
        "error_barrier.weight.direct.test" in content["metrics"] and "check.max_logit_difference" in content["metrics"]
    )
    assert content["id"] == parse(Pair, {"width": ["4"], "epochs": ["1"], "points": ["3"]}).id


def test_the_summary_names_every_method(tmp_path, capsys):
    assert main([*QUICK, "--method", "random", "weight", "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("none", "random", "weight", "test error", "nats")) and "activation" not in out
    assert main(["runs", "--store", str(tmp_path)]) == 0
    assert "pair  digits  mlp  width 4  networks 0 1" in capsys.readouterr().out


def test_histories_have_summaries_of_their_own(tmp_path, capsys):
    common = ["--width", "4", "--epochs", "2", "--points", "3", "--store", str(tmp_path)]
    wanted = {
        ("trajectory", "--checkpoints", "0", "2"): (
            "last epoch",
            "worst epoch",
            "leaves at most 2 points from then on",
        ),
        ("pruning", "--levels", "1", "--rewind", "1"): ("80.", "dense's", "level's own"),
        ("transport", "--level", "1", "--rewind", "1"): ("own mask", "A's, moved", "random"),
        ("instability", "--forks", "0", "1"): ("another data order", "epoch     1"),
    }
    for arguments, words in wanted.items():
        assert main([*arguments, *common]) == 0
        out = capsys.readouterr().out
        assert all(word in out for word in words), out


BAD = [
    (["--width", "0"], "--width: 0 cannot be used; a whole number from 1 to 16,384 would be right."),
    (["--width", "1e9"], "--width: 1000000000.0 cannot be used"),
    (["--width", "wide"], "--width: wide cannot be used"),
    (["--seeds", "1"], "--seeds: 1 cannot be used; pair needs at least 2 networks."),
    (["--seeds", "1", "1"], "--seeds: 1 1 cannot be used; two networks would be the same"),
    (["--seeds", "a", "b"], "--seeds: a cannot be used"),
    (["--order-seeds", "1"], "--order-seeds: 1 cannot be used"),
    (["--points", "1"], "--points: 1 cannot be used"),
    (["--lr", "nan"], "--lr: nan cannot be used"),
    (["--arch", "vgg9"], "--arch: vgg9 cannot be used; choose one of: mlp, cnn, vgg, resnet, vit."),
    (
        ["--method", "magic"],
        "--method: magic cannot be used; choose one of: none, random, weight, activation, straight_through, sinkhorn, "
        "annealing.",
    ),
    (
        ["--recipe", "magic"],
        "--recipe: magic cannot be used; choose one of: default, short, short_sgd, simultaneous, "
        "rebasin_resnet, rebasin_vgg.",
    ),
    (["--device", "gpu"], "--device: gpu cannot be used; auto, cpu or cuda would be right."),
    (["--width", "16384"], "--width: 16384 cannot be used; the network would have"),
    (["--store", __file__], "--store: the store folder"),
    (["--width", "9" * 400], "--width: a number of more than 80 digits cannot be used"),
    (["--store", "~nobody-of-that-name/x"], "--store: the store folder"),
    (["--momentum", "0.5"], "--momentum: 0.5 cannot be used; adam has none"),
    (["--colour", "red"], "unrecognized arguments: --colour red"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_ends_with_2_and_one_line(tmp_path, capfd, monkeypatch, arguments, sentence):
    monkeypatch.setenv("LMC_STORE", str(tmp_path))
    try:
        status = main(["pair", *arguments])
    except SystemExit as end:  # argparse's own way out
        status = end.code
    out, err = capfd.readouterr()
    assert status == 2 and out == ""
    assert sentence in err and err.count("\n") == 1 and "usage" not in err and "Traceback" not in err


def test_help_documents_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as end:
        main(["pair", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    for spec in option_fields(Pair):
        assert f"--{spec.name.replace('_', '-')}" in text
    assert all(
        words in text
        for words in ("(default: 32, 16 for cnn", "(default: 0 1)", "(default: adam)", "--json", "--store")
    )


def test_data_lists_what_there_is_in_columns(capsys, tmp_path):
    assert main(["data", "--data-dir", str(tmp_path)]) == 0
    heads, *rows = capsys.readouterr().out.splitlines()
    rows = {row.split()[0]: row for row in rows}
    assert list(rows) == list_datasets()
    where = heads.index("where")
    assert all(row[where - 2 : where] == "  " and row[where] != " " for row in rows.values())
    assert rows["digits"][where:] == "built in" and "1,437" in rows["digits"]
    assert f"the first use downloads it to {tmp_path}" in rows["mnist"]
    assert rows["folder"][where:] == "any folder with train/CLASS/* and test/CLASS/*"


def saved(path, arch="mlp", width=6, seed=0, **metadata):
    """A small network in a file."""
    import torch

    from lmc.loading import to_safetensors
    from models import get_model

    torch.manual_seed(seed)
    shape = (1, 8, 8)
    model = get_model(arch, input_shape=shape, classes=10, width=width)
    path.write_bytes(to_safetensors(model.state_dict(), metadata))
    return str(path)


def test_load_keeps_good_files_and_names_bad_ones(tmp_path, capfd):
    store = tmp_path / "store"
    first, second = saved(tmp_path / "one.safetensors"), saved(tmp_path / "two.pt", seed=1, activation="tanh")
    bad = tmp_path / "notes.txt"
    bad.write_text("no network")
    assert main(["load", first, str(bad), second, "--store", str(store)]) == 2
    out, err = capfd.readouterr()
    assert err.count("\n") == 1 and err.startswith(f"lmc: {bad} cannot be used; it is neither safetensors nor")
    assert "Recognised as Multi-layer perceptron, width 6, depth 3, norm none" in out
    assert out.count("Function check: 18 hidden units") == 2 and out.count("Data sets that fit: digits.") == 2
    networks = {about["label"]: about for about in Store(store, shipped=None).networks()}
    assert set(networks) == {"one", "two"}
    assert networks["one"]["config"]["activation"] == "relu" and networks["two"]["config"]["activation"] == "tanh"


def test_load_prints_one_object_and_its_ids_can_be_compared(tmp_path, capsys):
    store = str(tmp_path / "store")
    files = [saved(tmp_path / f"{seed}.pt", seed=seed) for seed in (0, 1)]
    assert main(["load", *files, "--label", "odd", "--label", "two words", "--store", store, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["refused"] == []
    assert [one["label"] for one in content["networks"]] == ["odd", "two words"]
    assert all(one["datasets"] == ["digits"] and one["arch"] == "mlp" for one in content["networks"])
    ids = [one["id"] for one in content["networks"]]
    pair = ["pair", "--load", *ids, "--width", "6", "--method", "none", "--points", "3"]
    assert main([*pair, "--store", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["load"] == ids
    assert main(["networks", "--store", store]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "  loaded  " in line]
    assert {row.split("  ")[1] for row in rows} == {"odd", "two words"}


def test_loading_again_brings_the_new_name_and_activation(tmp_path):
    store, file = str(tmp_path / "store"), saved(tmp_path / "one.pt")
    assert main(["load", file, "--store", store]) == 0
    assert main(["load", file, "--store", store, "--label", "other", "--activation", "tanh"]) == 0
    (about,) = Store(store, shipped=None).networks()
    assert about["label"] == "other" and about["config"]["activation"] == "tanh"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--label", "a", "--label", "b"], "--label: a b cannot be used; give one for each of the 1 files."),
        (["--label", "a|b"], "--label: a|b cannot be used; 1 to 80 printable characters, without |"),
        (["--activation", "sine"], "activation: sine cannot be used; mlp has relu, gelu, tanh."),
        (["--store", __file__], "--store: the store folder"),
    ],
)
def test_load_refuses_bad_options_in_one_line(tmp_path, capfd, monkeypatch, options, sentence):
    monkeypatch.setenv("LMC_STORE", str(tmp_path / "store"))
    assert main(["load", saved(tmp_path / "one.pt"), *options]) == 2
    out, err = capfd.readouterr()
    assert out == "" and sentence in err and err.count("\n") == 1


@pytest.mark.slow
def test_an_interrupt_ends_with_130_and_keeps_finished_networks(tmp_path):
    call = ["pair", "--seeds", *map(str, range(6)), "--width", "8", "--epochs", "400", "--store", str(tmp_path)]
    call += ["--method", "sinkhorn", "--match-steps", "5000"]  # it would go on for a while after the training
    process = subprocess.Popen(
        [sys.executable, "-m", "lmc", *call], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 90
    while not list((tmp_path / "networks").glob("*/epoch-00400.safetensors")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and out == "" and "Traceback" not in err and "interrupted" in err
    store = Store(tmp_path, shipped=None)
    kept = [path.name for path in (tmp_path / "networks").iterdir()]
    assert kept and any(store.load_checkpoint(id, 400) is not None for id in kept) and not list(store.results())


BLOCK = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {names!r} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from lmc.cli import main
from lmc.data import list_datasets
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_core_runs_bare(tmp_path):
    names = {"streamlit", "altair", "dask", "torchvision", "platformdirs", "tqdm", "pandas"}  # torch brings filelock
    call = [sys.executable, "-c", BLOCK.format(names=names), *QUICK, "--json"]
    environment = {**os.environ, "LMC_STORE": str(tmp_path)}
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tables"]["path"]


def test_importing_the_package_loads_neither_torch_nor_scikit_learn():
    code = (
        "import lmc, sys; print([m for m in ('torch', 'sklearn', 'streamlit', 'altair', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
