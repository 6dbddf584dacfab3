"""Training of convolutional networks: BatchNorm, augmentation, twins, and a plain PyTorch loop beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from lmc.data.augment import augment
from lmc.errors import Stopped
from lmc.experiments import Recipe
from lmc.permutation import apply_permutation, random_permutation
from lmc.seeds import generator
from lmc.symmetry import trace
from lmc.training import initial_state, stack_size, train
from models import get_model

F64 = torch.float64
SGD = Recipe(epochs=2, optimizer="sgd", lr=0.05, momentum=0.9, weight_decay=1e-3)


def builder(arch="cnn", width=4, norm="batch", **more):
    shape = {"input_shape": (1, 8, 8), "classes": 10}
    return lambda: get_model(arch, **shape, width=width, norm=norm, **more)


@pytest.fixture(scope="module")
def few(digits):
    """200 training images, so that a network of several layers takes a second."""
    return replace(digits, train_x=digits.train_x[:200], train_y=digits.train_y[:200])


def distance(a, b) -> float:
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.mark.parametrize(("arch", "width"), [("cnn", 4), ("resnet", 2), ("vit", 8)])
def test_neighbours_and_place_change_no_bit(few, arch, width):
    norm = "layer" if arch == "vit" else "batch"
    build = builder(arch, width, norm, depth=8 if arch == "resnet" else 2)
    assert stack_size(build()) == 1
    recipe = replace(SGD, augment="crop")

    def run(seeds):
        return train(build(), [initial_state(build, seed) for seed in seeds], seeds, few, recipe)

    alone, among = run([7])[0].checkpoints[2], run([8, 7])[1].checkpoints[2]
    assert all(torch.equal(alone[name], among[name]) for name in alone)


def plain_loop(data, build, start, seed, recipe):
    """One network, one loop: nn.Module, torch.optim.SGD, augmentation drawn as documented."""
    model = build().double()
    model.load_state_dict(start)
    optimizer = torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    steps = len(data.train_y) // recipe.batch_size
    for epoch in range(1, recipe.epochs + 1):
        order = torch.randperm(len(data.train_y), generator=generator("order", seed, epoch))
        draws = generator("augment", seed, epoch)
        for i in range(steps):
            chosen = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
            images = augment(data.train_x[chosen][None], recipe.augment, [draws], data.black())[0]
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate((epoch - 1) * steps + i, steps)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), data.train_y[chosen]).backward()
            optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group"])
def test_a_plain_loop_gives_the_same_numbers_and_statistics(few, norm):
    data, build, recipe = few.to("cpu", F64), builder(norm=norm), replace(SGD, augment="flip_crop")
    start = initial_state(build, 3, F64)
    ours = train(build().double(), [start], [5], data, recipe)[0].checkpoints[2]
    assert distance(ours, plain_loop(data, build, start, 5, recipe)) < 1e-9


def test_a_long_test_is_reported_and_can_be_stopped(few, monkeypatch):
    """Every batch of a large network's test, and every layer in it, is a chance."""
    monkeypatch.setattr("lmc.training.BETWEEN_REPORTS", -1.0)
    data, build = replace(few, test_x=few.train_x.repeat(8, 1, 1, 1), test_y=few.train_y.repeat(8)), builder()
    recipe, start, heard = replace(SGD, epochs=1), initial_state(build, 3), []
    loud = train(build(), [start], [5], data, recipe, report=lambda share, text: heard.append(share))[0]
    batches = -(-1600 // 720)
    assert heard.count(0.0) >= batches * len(build().convs)
    silent = train(build(), [start], [5], data, recipe)[0]
    assert loud.curves == silent.curves and distance(loud.checkpoints[1], silent.checkpoints[1]) == 0

    def stop(share, text):
        if share == 1.0:
            raise Stopped

    kept = []
    with pytest.raises(Stopped):
        train(build(), [start], [5], data, recipe, report=stop, recorded=lambda place, rows: kept.extend(rows))
    assert [row["epoch"] for row in kept] == [0], "stopped before the test of epoch 1 was done"


def test_augmentation_follows_the_order_seed_and_changes_training(few):
    data, build = few.to("cpu", F64), builder()
    start = initial_state(build, 3, F64)

    def run(seed, kind):
        recipe = replace(SGD, augment=kind, epochs=1)
        return train(build().double(), [start], [seed], data, recipe)[0].checkpoints[1]

    assert distance(run(5, "flip"), run(5, "flip")) == 0
    assert distance(run(5, "flip"), run(5, "none")) > 1e-6


@pytest.mark.parametrize(
    ("arch", "norm"), [("cnn", "batch"), ("resnet", "batch"), ("resnet", "layer"), ("vit", "layer")]
)
def test_a_permuted_twin_stays_permuted(few, arch, norm):
    """Start B at π(A), give both the same batches, and B stays π(A), running statistics included."""
    data = few.to("cpu", F64)
    build = builder(arch, 8 if arch == "vit" else 4, norm, depth=8 if arch == "resnet" else 2)
    a = initial_state(build, 1, F64)
    spec = trace(build(), data.train_x[:2].float()).spec
    permutation = random_permutation(spec, generator("test"))
    b = apply_permutation(spec, permutation, a)
    recipe = replace(SGD, augment="crop")
    of_a, of_b = (run.checkpoints[2] for run in train(build().double(), [a, b], [5, 5], data, recipe))
    assert distance(apply_permutation(spec, permutation, of_a), of_b) < 1e-9
    assert distance(of_a, of_b) > 1e-3 and distance(of_a, a) > 1e-3
