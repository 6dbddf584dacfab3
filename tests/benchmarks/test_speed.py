"""Training, segments and matching against plain implementations written here, in turn, in one run."""

import statistics
import time

import pytest
import torch
from torch.nn import functional

from lmc.data import load
from lmc.experiments import make_recipe
from lmc.interpolation import chunks, evaluate, grid, interpolate
from lmc.matching import Task, weight_matching
from lmc.memory import keep_freed_memory
from lmc.symmetry import trace
from lmc.training import initial_state, train
from models import get_model

SEEDS = (0, 1, 2)
keep_freed_memory()  # as in every run; the plain implementations profit from it too
NOISE = 0.9  # machines are shared: a ratio may fall this far below its goal before the benchmark fails


def build(width):
    return get_model("mlp", input_shape=(1, 8, 8), classes=10, width=width)


def ratio(benchmark, plain, ours, rounds):
    """Median time of the plain way over ours, the two run in turn; ours is what pytest-benchmark reports."""
    plain(), ours()
    times = {plain: [], ours: []}
    for _ in range(rounds):
        for work in (plain, ours):
            start = time.perf_counter()
            work()
            times[work].append(time.perf_counter() - start)
    benchmark.pedantic(ours, rounds=1)
    slow, fast = (statistics.median(times[work]) for work in (plain, ours))
    benchmark.extra_info.update(plain=slow, ours=fast, ratio=slow / fast)
    return slow, fast


def report(name, slow, fast, goal):
    print(f"\n{name}: plain {slow:.3f} s, ours {fast:.3f} s, {slow / fast:.2f} times as fast (goal {goal})")
    assert slow / fast >= NOISE * goal


def plain_training(width, epochs):
    """One torch.optim.Adam loop a seed, cosine decay, test error after each epoch as ours records it."""
    data = load("digits")
    steps = len(data.train_y) // 64
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = build(width)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
        for _ in range(epochs):
            order = torch.randperm(len(data.train_y))
            for i in range(steps):
                chosen = order[i * 64 : (i + 1) * 64]
                optimizer.zero_grad()
                functional.cross_entropy(model(data.train_x[chosen]), data.train_y[chosen]).backward()
                optimizer.step()
                schedule.step()
            with torch.no_grad():
                logits = model(data.test_x)
                functional.cross_entropy(logits, data.test_y).item()
                (logits.argmax(1) != data.test_y).double().mean().item()


def our_training(width, epochs):
    model = build(width)
    starts = [initial_state(lambda: build(width), seed) for seed in SEEDS]
    train(model, starts, SEEDS, load("digits"), make_recipe(epochs=epochs))


@pytest.mark.parametrize(("width", "epochs", "goal"), [(32, 60, 2.2), (64, 60, 2.2), (512, 8, 1.0)])
def test_training_three_seeds(benchmark, width, epochs, goal):
    slow, fast = ratio(benchmark, lambda: plain_training(width, epochs), lambda: our_training(width, epochs), 3)
    report(f"train 3 seeds, width {width}, {epochs} epochs", slow, fast, goal)


def plain_segment(model, a, b, x, y):
    """A loop over λ with load_state_dict, batches of 128."""
    for lam in grid(25):
        model.load_state_dict({name: (1 - lam) * a[name] + lam * b[name] for name in a})
        loss = wrong = 0.0
        with torch.no_grad():
            for images, labels in zip(x.split(128), y.split(128), strict=True):
                logits = model(images)
                loss += functional.cross_entropy(logits, labels, reduction="sum").item()
                wrong += (logits.argmax(1) != labels).sum().item()


def our_segment(model, a, b, x, y):
    for lams in chunks(model, grid(25)):
        evaluate(model, interpolate(a, b, lams), x, y)


@pytest.mark.parametrize(("width", "goal"), [(32, 3.0), (64, 3.0), (512, 1.2)])
def test_segment_of_25_points(benchmark, width, goal):
    data = load("digits")
    a, b = (initial_state(lambda: build(width), seed) for seed in (0, 1))
    given = build(width), a, b, data.train_x, data.train_y
    slow, fast = ratio(benchmark, lambda: plain_segment(*given), lambda: our_segment(*given), 15)
    report(f"25 points on 1,437 digits, width {width}", slow, fast, goal)


def test_weight_matching_512(benchmark):
    """For the record: two networks of width 512 as initialised."""
    data = load("digits")
    model = build(512)
    a, b = (initial_state(lambda: build(512), seed) for seed in (0, 1))
    task = Task(trace(model, data.train_x[:2]), a, b, data.train_x)
    match = benchmark.pedantic(lambda: weight_matching(task), rounds=3)
    assert match.objective > task.objective({})
