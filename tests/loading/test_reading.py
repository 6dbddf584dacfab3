"""Files are read without trusting them: whatever lies in one, there are checked tensors or one sentence."""

from __future__ import annotations

import io
import os
import pickle
import random
import resource
import threading
import zipfile
from collections import OrderedDict

import malformed_files
import pytest
import torch
from torch import nn

from lmc.errors import InputError
from lmc.loading import MAX_BYTES, read_file, read_metadata, to_safetensors

STATE = malformed_files.state()


@pytest.mark.parametrize("kind", malformed_files.whole_files())
def test_whole_files_are_read(kind, tmp_path):
    content = malformed_files.whole_files()[kind]
    (tmp_path / "net").write_bytes(content)
    for source in (content, tmp_path / "net", str(tmp_path / "net")):
        found = read_file(source, "net")
        assert found.keys() == STATE.keys()
        assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_a_thousand_malformed_files(tmp_path):
    """Each gives one InputError that names the file; nothing in it runs; none takes much memory."""
    canary = tmp_path / "canary"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for name, content in malformed_files.every(str(canary)):
        try:
            read_file(content, "upload.pth")
        except InputError as error:
            assert str(error).startswith("load: upload.pth cannot be used; "), name
            assert len(str(error)) < 400 and "\n" not in str(error), name
        else:
            pytest.fail(f"{name} was read")
        assert not canary.exists(), name
        refused += 1
    assert refused >= 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1.5e6  # kilobytes


def test_the_canary_would_appear(tmp_path):
    """The hostile files do what they say where someone unpickles them."""
    canary = tmp_path / "canary"
    content = dict(malformed_files.hostile(str(canary)))["exec wrapped protocol 2, pickle"]
    pickle.loads(content)
    assert canary.exists()


def test_changed_bytes_never_end_in_anything_else():
    """One to three random bytes changed: still a network of numbers, or one sentence."""
    outcomes = {"read": 0, "refused": 0}
    generator = random.Random(0)
    for content in malformed_files.whole_files().values():
        for _ in range(150):
            changed = bytearray(content)
            for _ in range(generator.randrange(1, 4)):
                changed[generator.randrange(len(changed))] = generator.randrange(256)
            try:
                found = read_file(bytes(changed), "net")
                assert all(torch.isfinite(t).all() for t in found.values())
                outcomes["read"] += 1
            except InputError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


def test_nested_keys_do_not_end_a_thread_with_a_small_stack():
    """As deep as is allowed, in a dictionary's key."""
    content = malformed_files.archive(b"\x80\x02})" + b"\x85" * 30 + b"K\x01s.")
    caught = []

    def read():
        with pytest.raises(InputError):
            read_file(content, "net")
        caught.append(True)

    previous = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(previous)
    assert caught


WRAPPED = {
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "best": 0.5},
    "model": lambda s: {"model": s, "args": {"lr": 0.1, "milestones": (80, 120)}},
    "model_state_dict": lambda s: {"model_state_dict": s, "loss": None},
    "twice": lambda s: {"model": {"state_dict": s}},
    "data parallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {"state_dict": {f"module._orig_mod.{k}": v for k, v in s.items()}},
    "ordered": lambda s: OrderedDict(s),
    "parameters": lambda s: {k: nn.Parameter(v) for k, v in s.items()},
}


@pytest.mark.parametrize("way", WRAPPED)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_usual_wrappers(way, legacy):
    found = read_file(malformed_files.saved(WRAPPED[way](STATE), legacy), "net")
    assert list(found) == list(STATE)
    assert all(type(t) is torch.Tensor and torch.equal(t, STATE[n]) for n, t in found.items())


def test_a_checkpoint_with_an_optimiser():
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.randn(8, 4)).sum().backward()
    optimiser.step()
    content = {"model": network.state_dict(), "optimizer": optimiser.state_dict(), "rng": torch.get_rng_state()}
    found = read_file(malformed_files.saved(content), "net")
    assert found.keys() == network.state_dict().keys()
    assert found["1.num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *((d, torch.float32) for d in (torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn)),
        (torch.float64, torch.float64),
        *((d, torch.int64) for d in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)),
    ],
)
def test_types_of_numbers(given, kept):
    state = {"w": torch.tensor([1.0, 2.0, 0.5]).to(given)}
    for content in (malformed_files.saved(state), to_safetensors(state, {})):
        found = read_file(content, "net")["w"]
        assert found.dtype == kept
        assert torch.equal(found, state["w"].to(kept))


def test_tensors_share_nothing_and_are_contiguous():
    base = torch.arange(12.0).view(3, 4)
    found = read_file(malformed_files.saved({"a": base.T, "b": base, "c": base[1]}), "net")
    assert all(t.is_contiguous() for t in found.values())
    found["a"].zero_()
    assert torch.equal(found["b"], base)
    assert torch.equal(found["c"], base[1])


def test_metadata_comes_back():
    content = to_safetensors({"w": torch.zeros(2, 3).T}, {"arch": "mlp", "activation": "gelu"})
    assert read_metadata(content, "net") == {"arch": "mlp", "activation": "gelu"}
    assert read_metadata(malformed_files.saved(STATE), "net") == {}
    assert read_metadata(to_safetensors(STATE, {}), "net") == {}
    with pytest.raises(InputError, match="damaged"):
        read_metadata(content[:40], "net")


SENTENCES = {
    "nothing": (b"", "it is empty"),
    "text": (b"hello there", "it is neither safetensors nor a PyTorch file"),
    "whole model": (malformed_files.saved(nn.Linear(2, 2)), "reading it would call torch.nn.modules.linear.Linear"),
    "not finite": (
        malformed_files.saved({"w": torch.tensor([float("nan")])}),
        "its tensor w holds numbers that are not finite",
    ),
    "a value": (malformed_files.saved({"w": torch.zeros(1), "epoch": 3}), "its entry epoch is of type int"),
    "bool": (malformed_files.saved({"w": torch.ones(2, dtype=torch.bool)}), "its tensor w is bool"),
    "path": (malformed_files.saved({"../w": torch.zeros(1)}), "one of its tensors is named '../w'"),
    "number": (malformed_files.saved({1: torch.zeros(1)}), "one of its tensors is named by a value of type int"),
    "tensor": (malformed_files.saved(torch.zeros(3)), "it holds an object of type Tensor; a state dict would be right"),
    "header": (malformed_files.header({}, size=2**40), "its header claims 1,099,511,627,776 bytes"),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_sentences(case):
    content, right = SENTENCES[case]
    with pytest.raises(InputError) as caught:
        read_file(content, "net.pth")
    assert right in str(caught.value)
    assert caught.value.option == "load"


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_file(tmp_path / "missing.pth", "missing.pth")
    with pytest.raises(InputError, match="it is not a file"):
        read_file(tmp_path, "folder")
    with pytest.raises(InputError, match="cannot be"):
        read_file("a\0b", "odd")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="cannot be"):
        read_file(tmp_path / "loop", "loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="it is not a file"):
        read_file(tmp_path / "pipe", "pipe")


def test_large_files_are_refused_unread(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(InputError, match=r"it has 1,667,108,865 bytes; at most 1,667,108,864 are read"):
        read_file(tmp_path / "large", "large")


def test_a_forged_zip_is_loaded_as_it_was_checked(tmp_path):
    """Two archives in one file: what is read is what the check saw, whichever of them a reader prefers."""
    canary = tmp_path / "canary"
    bad = dict(malformed_files.hostile(str(canary)))["os.system wrapped protocol 2, zip"]
    good = malformed_files.saved(STATE)
    for content in (bad + good, good + bad):
        try:
            found = read_file(content, "net")
        except InputError:
            continue
        assert all(torch.equal(found[name], STATE[name]) for name in STATE)
    assert not canary.exists()
    with zipfile.ZipFile(io.BytesIO(bad + good)) as opened:
        assert "archive/data/0" in opened.namelist()
