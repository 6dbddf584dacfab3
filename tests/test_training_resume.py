"""A training that was interrupted goes on to exactly the numbers of one that was not."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace

import pytest
import safetensors.torch
import torch

import lmc.training_state
from lmc.errors import Stopped
from lmc.experiments import Recipe
from lmc.stacking import training_step
from lmc.training import Resume, initial_state, stack_size, train
from lmc.training_state import Saves, Snapshot, pack, unpack
from models import get_model

F32, F64 = torch.float32, torch.float64
ADAM = Recipe(epochs=4, batch_size=32)
SGD = Recipe(epochs=4, batch_size=32, optimizer="sgd", lr=0.1, momentum=0.9)
STEPS = replace(SGD, weight_decay=5e-4, decay="step", milestones=(2, 3), warmup=2)


@pytest.fixture(scope="module")
def few(digits):
    """Seven steps an epoch, the last 16 images of it left over."""
    return replace(digits, train_x=digits.train_x[:240], train_y=digits.train_y[:240])


def builder(width=13, arch="mlp", **more):
    more = {"depth": 1, "norm": "none"} | more
    return lambda: get_model(arch, input_shape=(1, 8, 8), classes=10, width=width, **more)


@dataclass
class Memory:
    """What a training saves, by its places; all of it in `history`."""

    saved: dict[tuple[int, ...], bytes] = field(default_factory=dict)
    history: list[tuple[tuple[int, ...], bytes]] = field(default_factory=list)
    asked: list[tuple[int, ...]] = field(default_factory=list)

    def resume(self, every=0.0) -> Resume:
        return Resume(load=self.load, save=self.save, every=every)

    def load(self, places):
        self.asked.append(places)
        return self.saved.get(places)

    def save(self, places, content):
        self.history.append((places, content))
        self.saved[places] = content


@dataclass(frozen=True)
class Case:
    recipe: Recipe
    build: object = builder()
    dtype: torch.dtype = F32
    seeds: tuple[int, ...] = (7, 8, 9)
    checkpoints: tuple[int, ...] = (0, 1, 3)

    def run(self, data, **options):
        """Every call has a model and starts of its own, as on another worker."""
        starts = [initial_state(self.build, seed, self.dtype) for seed in self.seeds]
        data, model = data.to("cpu", self.dtype), self.build().to(self.dtype)
        options = {"checkpoints": self.checkpoints} | options
        return train(model, starts, [seed + 50 for seed in self.seeds], data, self.recipe, **options)

    def interrupted(self, data, reports, **options) -> Memory:
        """What was saved by a training that is stopped at this report (the first is 1)."""
        memory, count = Memory(), itertools.count(1)

        def report(share, text):
            if next(count) == reports:
                raise Stopped

        with pytest.raises(Stopped):
            self.run(data, report=report, resume=memory.resume(), **options)
        return memory


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.curves == b.curves
        assert list(a.checkpoints) == list(b.checkpoints)
        for epoch, state in b.checkpoints.items():
            assert a.checkpoints[epoch].keys() == state.keys()
            for name, tensor in state.items():
                assert a.checkpoints[epoch][name].dtype == tensor.dtype
                assert torch.equal(a.checkpoints[epoch][name], tensor), (epoch, name)


@pytest.fixture(scope="module")
def steps():
    """Traced steps by architecture, precision and shape of a batch."""
    return {}


@pytest.fixture(autouse=True)
def _traced_once(monkeypatch, steps):
    """One traced step for all trainings of an architecture, as for all stacks of one training: tracing takes long."""

    def step(model, example):
        key = (str(model), str(example[2].dtype), example[2].shape)
        if key not in steps:
            steps[key] = training_step(model, example)
        return steps[key]

    monkeypatch.setattr("lmc.training.training_step", step)


@pytest.fixture(autouse=True)
def _reports_after_epochs_only(monkeypatch):
    """So that a slow machine does not report in between, and reports can be counted."""
    monkeypatch.setattr("lmc.training.BETWEEN_REPORTS", float("inf"))


@pytest.fixture(scope="module")
def saved(few):
    """A short case, its result and all contents that it saved."""
    case, memory = Case(ADAM, seeds=(7, 8)), Memory()
    return case, case.run(few, resume=memory.resume()), [content for _, content in memory.history]


# The same numbers, bit for bit

LARGE = builder(224, depth=3)  # in stacks of two
CASES = {
    "adam": Case(ADAM),
    "adam-32-float64": Case(replace(ADAM, weight_decay=0.01, decay="none"), builder(32), dtype=F64),
    "adam-128-warmup": Case(replace(ADAM, warmup=2), builder(128)),
    "adam-224": Case(ADAM, LARGE, seeds=(7, 8)),
    "sgd-32": Case(replace(SGD, momentum=0.0), builder(32)),
    "momentum": Case(SGD),
    "momentum-32-float64": Case(STEPS, builder(32), dtype=F64),
    "momentum-128-step": Case(STEPS, builder(128)),
    "momentum-224": Case(SGD, LARGE, seeds=(7, 8)),
    "one-of-three": Case(SGD, seeds=(7,)),
    "one-of-two": Case(SGD, LARGE, seeds=(7,)),
    "batchnorm": Case(SGD, builder(norm="batch"), seeds=(7, 8)),
    "batchnorm-adam": Case(ADAM, builder(norm="batch")),
    "cnn": Case(replace(STEPS, augment="flip_crop"), builder(4, "cnn", norm="batch"), seeds=(7,)),
    "cnn-adam": Case(replace(ADAM, augment="crop"), builder(4, "cnn", norm="layer"), seeds=(7,)),
}


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_training_ends_with_the_same_bits(few, name):
    case = CASES[name]
    undisturbed = case.run(few)
    memory = case.interrupted(few, 3)
    assert len(memory.history) == 3
    for epoch in range(1, 4):
        memory.saved = dict(memory.history[epoch - 1 : epoch])
        heard = []
        again = case.run(few, resume=memory.resume(), report=lambda share, _, to=heard: to.append(share))
        assert_same(again, undisturbed)
        assert heard == pytest.approx([e / 4 for e in range(epoch, 5)]), "what was done, then every epoch"
    start, end = undisturbed[0].checkpoints[3], undisturbed[0].checkpoints[4]
    assert not torch.equal(start["head.weight"], end["head.weight"]), "it still learned in the last epoch"


def test_those_cases_have_stacks_of_every_size():
    assert {stack_size(case.build()) for case in CASES.values()} == {1, 2, 3}


def test_interrupted_again_and_again(few):
    case, memory, reports = Case(STEPS), Memory(), 0

    def stop(share, text):
        nonlocal reports
        reports += 1
        if reports % 2 == 0:  # the first report of a training that goes on tells what is done already
            raise Stopped

    for _ in range(2):
        with pytest.raises(Stopped):
            case.run(few, resume=memory.resume(), report=stop)
    assert len(memory.history) == 3
    assert_same(case.run(few, resume=memory.resume()), case.run(few))


@pytest.mark.parametrize("reports", [2, 6])
def test_several_stacks_with_filled_places(few, reports):
    """Four networks in two stacks of three: stopped in the first, or in the second with its two copies."""
    case = Case(SGD, seeds=(7, 8, 9, 10))
    memory = case.interrupted(few, reports)
    assert set(memory.saved) == ({(0, 1, 2)} if reports == 2 else {(0, 1, 2), (3,)})
    memory.asked.clear()
    assert_same(case.run(few, resume=memory.resume()), case.run(few))
    assert memory.asked == [(0, 1, 2), (3,)]


def test_what_was_loaded_is_copied(few, saved):
    """Into memory that is aligned as torch's own: sums of unaligned numbers may be made in another order."""
    case, expected, contents = saved
    memory = Memory({(0, 1): contents[-1]})
    found = case.run(few, resume=memory.resume())
    assert_same(found, expected)
    for state in found[0].checkpoints.values():
        assert all(tensor.data_ptr() % 64 == 0 for tensor in state.values())


# Checkpoints


def test_other_checkpoints_than_those_kept(few, saved):
    case, expected, contents = saved
    fewer = replace(case, checkpoints=(3,))
    heard = []
    memory = Memory({(0, 1): contents[2]})
    assert_same(fewer.run(few, resume=memory.resume(), recorded=lambda *rows: heard.append(rows)), fewer.run(few))
    assert len(heard[0][1]) == 7, "it went on after epoch 3"
    more = replace(case, checkpoints=(0, 2))
    heard.clear()
    assert_same(more.run(few, resume=memory.resume(), recorded=lambda *rows: heard.append(rows)), more.run(few))
    assert len(heard[0][1]) == 1, "epoch 2 was not kept, so it began anew"
    assert [sorted(trained.checkpoints) for trained in expected] == [[0, 1, 3, 4]] * 2


# What is heard


def test_new_rows_are_heard_of_real_places_alone(few):
    heard = []
    case = Case(ADAM, seeds=(7, 8, 9, 10))
    trained = case.run(few, recorded=lambda place, rows: heard.append((place, rows)))
    assert [place for place, _ in heard] == [0, 1, 2] * 5 + [3] * 5
    for place in range(4):
        rows = [rows for p, rows in heard if p == place]
        assert [len(part) for part in rows] == [1, 2, 2, 2, 2]
        assert [row for part in rows for row in part] == trained[place].curves


def test_all_rows_so_far_are_heard_once_on_resume(few):
    case, heard = Case(ADAM, seeds=(7, 8)), []
    memory = case.interrupted(few, 3)
    trained = case.run(few, resume=memory.resume(), recorded=lambda place, rows: heard.append((place, rows)))
    assert [(place, len(rows)) for place, rows in heard] == [(0, 7), (1, 7), (0, 2), (1, 2)]
    for place in range(2):
        assert [row for p, rows in heard if p == place for row in rows] == trained[place].curves


# When it is saved


def test_saved_after_every_epoch_but_the_last(few):
    memory = Memory()
    Case(replace(ADAM, epochs=3), seeds=(7,)).run(few, resume=memory.resume())
    assert [json.loads(notes(content)["state"])["epoch"] for _, content in memory.history] == [1, 2]
    memory = Memory()
    Case(replace(ADAM, epochs=1), seeds=(7,)).run(few, resume=memory.resume())
    assert memory.history == []


def test_a_short_training_saves_nothing(few):
    memory = Memory()
    Case(ADAM).run(few, resume=memory.resume(every=20.0))
    assert memory.history == [] and memory.asked == [(0, 1, 2)]


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.mark.parametrize(("takes", "next_after"), [(0.0, 20.0), (0.9, 20.0), (1.0, 20.0), (2.0, 40.0), (10.0, 200.0)])
def test_saves_are_apart_by_the_interval_and_by_twenty_times_what_they_take(monkeypatch, takes, next_after):
    clock, times = Clock(), []
    monkeypatch.setattr(lmc.training_state, "time", clock)

    def save(places, content):
        times.append(clock.now)
        clock.now += takes

    saves = Saves(Resume(lambda places: None, save), (0,), lambda: "x")  # 20 s
    for moment in (1000.0, 1019.9, 1020.0):
        clock.now = moment
        saves.offer(lambda: Snapshot(1, {}, [[]], [{}]))
    assert times == [1020.0]
    done = 1020.0 + takes
    for moment in (done + next_after - 0.1, done + next_after + 0.1):
        clock.now = moment
        saves.offer(lambda: Snapshot(1, {}, [[]], [{}]))
    assert times == [1020.0, done + next_after + 0.1]


# Content that cannot be used


def notes(content: bytes) -> dict[str, str]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]


def test_the_content_is_a_plain_safetensors_file(saved):
    contents = saved[2]
    tensors = safetensors.torch.load(contents[2])
    kept = [name for name in tensors if name.startswith("checkpoints/")]
    assert {tuple(name.split("/")[1:3]) for name in kept} == {(k, e) for k in "01" for e in "013"}
    assert {name for name in tensors if name.startswith("optimizer/")} == {
        f"optimizer/0/{key}" for key in ("exp_avg", "exp_avg_sq", "step")
    }
    state = json.loads(notes(contents[2])["state"])
    assert (state["epoch"], state["torch"], state["dtypes"]) == (3, torch.__version__, ["torch.float32"])
    assert [row["epoch"] for row in state["curves"][1]] == [0, 1, 1, 2, 2, 3, 3]


@pytest.fixture(scope="module")
def small():
    """A small content under the name `x`, and what is in it."""
    tensors = {"parameters/0": torch.randn(3, 4), "optimizer/0/step": torch.tensor(7.0)}
    rows = [[{"epoch": 1, "split": "test", "loss": float("nan"), "error": 0.1 + 0.2}]]
    snapshot = Snapshot(1, tensors, rows, [{0: {"a.weight": torch.randn(2, dtype=F64)}}])
    return snapshot, pack(snapshot, "x")


def test_what_is_packed_is_unpacked(small):
    snapshot, content = small
    found = unpack(content, "x")
    assert found.epoch == 1 and repr(found.curves) == repr(snapshot.curves)
    assert found.tensors.keys() == snapshot.tensors.keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in snapshot.tensors.items())
    assert torch.equal(found.checkpoints[0][0]["a.weight"], snapshot.checkpoints[0][0]["a.weight"])


def test_every_changed_byte_is_noticed_or_changes_nothing(small):
    snapshot, content = small
    for place, bit in itertools.product(range(len(content)), (0, 3, 6, 7)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        found = unpack(bytes(damaged), "x")
        if found is not None:  # only spaces in the header
            assert chr(content[place]).isspace()
            assert torch.equal(found.tensors["parameters/0"], snapshot.tensors["parameters/0"])


def test_every_cut_is_noticed(small):
    _, content = small
    assert all(unpack(content[:end], "x") is None for end in range(len(content)))
    assert unpack(content + b"\0", "x") is None and unpack(content * 2, "x") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"\xff" * 100, b"\x80\x04K\x01.", b"PK\x03\x04", b"\x02\0\0\0\0\0\0\0{}", b"[" * 200_000],
)
def test_what_is_no_content_is_none(content):
    assert unpack(content, "x") is None


def test_content_of_another_training_or_version_is_none(small, monkeypatch):
    content = small[1]
    assert unpack(content, "y") is None
    monkeypatch.setattr(lmc.training_state, "FORMAT", 2)
    assert unpack(content, "x") is None
    monkeypatch.undo()
    monkeypatch.setattr(torch, "__version__", "1.0")
    assert unpack(content, "x") is None


OTHERS = {
    "order": Case(ADAM, seeds=(8, 7)),
    "width": Case(ADAM, builder(14), seeds=(7, 8)),
    "depth": Case(ADAM, builder(depth=2), seeds=(7, 8)),
    "dtype": Case(ADAM, seeds=(7, 8), dtype=F64),
    "rate": Case(replace(ADAM, lr=2e-3), seeds=(7, 8)),
    "optimizer": Case(SGD, seeds=(7, 8)),
    "shorter": Case(replace(ADAM, epochs=3), seeds=(7, 8)),
    "batches": Case(replace(ADAM, batch_size=64), seeds=(7, 8)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_content_of_another_training_is_ignored(few, saved, name):
    other, contents = replace(OTHERS[name], checkpoints=(0, 1)), saved[2]
    memory = Memory({(0, 1): contents[1]})
    assert_same(other.run(few, resume=memory.resume(every=20.0)), other.run(few))


def test_other_data_is_another_training(few, saved):
    case, _, contents = saved
    other = replace(few, train_y=few.train_y.flip(0))
    memory = Memory({(0, 1): contents[1]})
    assert_same(case.run(other, resume=memory.resume(every=20.0)), case.run(other))


@pytest.mark.parametrize("damage", ["cut", "tensor", "curve", "nothing"])
def test_a_damaged_content_begins_anew_with_the_right_numbers(few, saved, damage):
    case, expected, contents = saved
    content = contents[2]
    middle = len(content) // 2
    memory = Memory({(0, 1): {
        "cut": content[:middle],
        "tensor": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "curve": content.replace(b'loss\\": 2.', b'loss\\": 3.', 1),
        "nothing": content,
    }[damage]})  # fmt: skip
    assert (memory.saved[0, 1] == content) == (damage == "nothing")
    first = []
    found = case.run(few, resume=memory.resume(), recorded=lambda place, rows: first.append(rows))
    assert_same(found, expected)
    assert len(first[0]) == (7 if damage == "nothing" else 1)


def test_a_content_of_another_layout_is_ignored(few, saved):
    """As a later version of the program might leave it, should its format be called the same."""
    case, expected, contents = saved
    identity = json.loads(notes(contents[2])["state"])["training"]
    for change in ("missing", "more", "shape", "dtype"):
        snapshot = unpack(contents[2], identity)
        name = "optimizer/0/exp_avg"
        if change == "missing":
            del snapshot.tensors[name]
        elif change == "more":
            snapshot.tensors["optimizer/1/step"] = torch.zeros(())
        elif change == "shape":
            snapshot.tensors[name] = torch.zeros(1, 1)
        else:
            snapshot.tensors[name] = snapshot.tensors[name].double()
        memory = Memory({(0, 1): pack(snapshot, identity)})
        assert unpack(memory.saved[0, 1], identity) is not None
        assert_same(case.run(few, resume=memory.resume(every=20.0)), expected)
