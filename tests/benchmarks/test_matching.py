"""Every matching method against a plain implementation, in turn, in one run: time, and objective ⟨θ_A, π(θ_B)⟩."""

import statistics
import time

import pytest
import torch

from lmc.data import load
from lmc.matching import (
    Task,
    activation_matching,
    simulated_annealing,
    sinkhorn,
    straight_through,
    weight_matching,
)
from lmc.memory import keep_freed_memory
from lmc.symmetry import trace
from lmc.training import initial_state
from models import get_architecture, get_model
from tests.benchmarks import plain

keep_freed_memory()
NOISE = 0.9  # machines are shared: a ratio may fall this far below its goal before the benchmark fails
DIGITS, PHOTOS = (1, 8, 8), (3, 32, 32)
NETWORKS = {
    "MLP 3x512": ("mlp", DIGITS, {"width": 512}),
    "MLP 3x1024": ("mlp", DIGITS, {"width": 1024}),
    "CNN": ("cnn", DIGITS, {}),
    "VGG-16, width 16": ("vgg", PHOTOS, {"depth": 16, "width": 16}),
    "VGG-16, width 64": ("vgg", PHOTOS, {"depth": 16, "width": 64}),
    "ResNet-20, width 16": ("resnet", PHOTOS, {"depth": 20, "width": 16}),
    "ResNet-20, width 64": ("resnet", PHOTOS, {"depth": 20, "width": 64}),
}
HEAVY = ("VGG-16, width 64", "ResNet-20, width 64")
IMAGES = 64  # of noise, for networks that take photos


def task_of(name, seed=0):
    """Two networks as initialised, with digits or, for those that take photos, noise."""
    arch, shape, options = NETWORKS.get(name) or ("mlp", DIGITS, {"width": int(name.split("x")[1])})
    usual = get_architecture(arch)
    defaults = {part: getattr(usual, f"default_{part}") for part in ("width", "depth", "norm", "activation")}

    def build():
        return get_model(arch, input_shape=shape, classes=10, **{**defaults, **options})

    a, b = (initial_state(build, 2 * seed + k) for k in (0, 1))
    if shape == DIGITS:
        data = load("digits")
        x, y = data.train_x, data.train_y
    else:
        draws = torch.Generator().manual_seed(0)
        x, y = torch.randn(IMAGES, *shape, generator=draws), torch.arange(IMAGES) % 10
    return Task(trace(build(), x[:2]), a, b, x, y)


def seconds(work):
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def compared(name, method, tasks, theirs, ours):
    """Both ways on every task in turn; how many times as fast ours is, and the ratio of mean objectives."""
    slow, fast, reached, objectives = [], [], [], []
    for task in tasks:
        took, permutation = seconds(lambda task=task: theirs(task))
        slow.append(took)
        reached.append(task.objective(permutation))
        took, match = seconds(lambda task=task: ours(task))
        fast.append(took)
        objectives.append(match.objective)
    times = statistics.median(slow) / statistics.median(fast)
    mean, plainly = statistics.mean(objectives), statistics.mean(reached)
    print(
        f"\n{method}, {name}: plain {statistics.median(slow):.3f} s, ours {statistics.median(fast):.3f} s, "
        f"{times:.2f} times as fast; objective {mean:.2f}, the plain one's {plainly:.2f}"
    )
    return times, mean / plainly


@pytest.mark.parametrize("name", NETWORKS)
def test_weight_matching(benchmark, name):
    """The must is 2.5 times at 3x1024, the goal 4; the mean objective is at most 0.1% lower; all are fixed points."""
    tasks = [task_of(name, seed) for seed in range(5 if name.startswith("MLP") else 1)]
    weight_matching(tasks[0])
    times, objectives = compared(name, "weight matching", tasks, plain.weight_matching, weight_matching)
    match = benchmark.pedantic(lambda: weight_matching(tasks[0]), rounds=1)
    assert plain.dense_gain(tasks[0], match.permutation) < 1e-5
    if name.startswith("MLP"):
        assert objectives >= 0.999
        assert max(plain.dense_gain(task, weight_matching(task).permutation) for task in tasks) < 1e-5
    if name == "MLP 3x1024":
        assert times >= NOISE * 2.5


@pytest.mark.parametrize(
    ("name", "goal"), [("ResNet-20, width 16", 5), ("MLP 3x32", 5), ("MLP 3x64", 5), ("MLP 3x1024", 14)]
)
def test_twenty_restarts(benchmark, name, goal):
    """In times of one: goals are under 5, and under 14 for the largest."""
    tasks = [task_of(name, seed) for seed in range(1 if "1024" in name else 5)]
    weight_matching(tasks[0]), weight_matching(tasks[0], restarts=20)
    one, many = [], []
    for task in tasks:
        one.append(statistics.median(seconds(lambda task=task: weight_matching(task))[0] for _ in range(5)))
        took, match = seconds(lambda task=task: weight_matching(task, restarts=20))
        many.append(took)
        assert match.objective >= weight_matching(task).objective
    benchmark.pedantic(lambda: weight_matching(tasks[0]), rounds=1)
    ratio = statistics.mean(many) / statistics.mean(one)
    print(f"\n20 restarts, {name}: {statistics.mean(many):.3f} s, {ratio:.1f} times one (goal under {goal})")
    assert ratio <= goal / NOISE


@pytest.mark.parametrize("name", NETWORKS)
def test_activation_matching(benchmark, name):
    task = task_of(name)
    activation_matching(task)
    times, objectives = compared(name, "activation matching", [task], plain.activation_matching, activation_matching)
    benchmark.pedantic(lambda: activation_matching(task), rounds=1)
    assert times >= NOISE and objectives == pytest.approx(1, abs=0.02)


STEPWISE = {  # the same number of steps or swaps of both; how many of most networks, and of heavy ones
    "straight-through": (plain.straight_through, straight_through, 5, 2),
    "Sinkhorn": (plain.sinkhorn, sinkhorn, 10, 3),
    "annealing": (plain.annealing, simulated_annealing, 500, 10),
}


@pytest.mark.parametrize(
    ("method", "name"),
    [
        *((method, name) for method in ("straight-through", "Sinkhorn") for name in NETWORKS),
        *(("annealing", name) for name in ("MLP 3x16", "MLP 3x64", "CNN")),
    ],
)
def test_stepwise_methods(benchmark, method, name):
    """Ours judges permutations on images that it does not learn from, so where a step is short it takes longer."""
    theirs, ours, usual, few = STEPWISE[method]
    task, steps = task_of(name), few if name in HEAVY else usual
    said = f"{method}, {steps} steps"
    times, _ = compared(name, said, [task], lambda task: theirs(task, steps), lambda task: ours(task, steps=steps))
    benchmark.pedantic(lambda: ours(task, steps=1), rounds=1)
    assert times >= 0.5
