"""Weight matching against the plain way: full sweeps, SciPy's assignments, whole networks copied."""

import statistics
import time

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from lmc.matching import Task, weight_matching
from lmc.memory import keep_freed_memory
from lmc.permutation import apply_permutation, identity
from lmc.seeds import generator
from lmc.symmetry import trace
from lmc.training import initial_state
from models import get_architecture, get_model

keep_freed_memory()
NOISE = 0.9  # machines are shared: a ratio may fall this far below its goal before the benchmark fails
DIGITS, PHOTOS = (1, 8, 8), (3, 32, 32)
NETWORKS = {
    "MLP 3x512": ("mlp", DIGITS, {"width": 512}),
    "MLP 3x1024": ("mlp", DIGITS, {"width": 1024}),
    "CNN": ("cnn", DIGITS, {}),
    "VGG-16, width 64": ("vgg", PHOTOS, {"depth": 16}),
    "ResNet-20, width 16": ("resnet", PHOTOS, {"depth": 20, "width": 16}),
    "ResNet-20, width 64": ("resnet", PHOTOS, {"depth": 20, "width": 64}),
}


def task_of(name, seed=0):
    """Two networks as initialised."""
    arch, shape, options = NETWORKS.get(name) or ("mlp", DIGITS, {"width": int(name.split("x")[1])})
    usual = get_architecture(arch)
    defaults = {part: getattr(usual, f"default_{part}") for part in ("width", "depth", "norm", "activation")}

    def build():
        return get_model(arch, input_shape=shape, classes=10, **{**defaults, **options})

    example = torch.zeros(2, *shape)
    a, b = (initial_state(build, 2 * seed + k) for k in (0, 1))
    return Task(trace(build(), example), a, b, example)


def plain(task, seed=0):
    """Every group in every sweep: B is copied in its present order, similarities are summed, SciPy assigns."""
    spec, permutation = task.spec, identity(task.spec)
    draws, groups = generator("weight_matching", seed, 0), list(spec.groups)  # the order that ours goes in
    for _ in range(100):
        before = task.objective(permutation)
        for group in [groups[k] for k in torch.randperm(len(groups), generator=draws).tolist()]:
            b = apply_permutation(spec, permutation, {name: tensor.clone() for name, tensor in task.b.items()})
            size = spec.groups[group]
            scores = torch.zeros(size, size)
            for name in spec.parameters:
                for piece in spec.pieces(name):
                    for axis, moved in enumerate(piece.groups):
                        if moved == group:
                            one, other = (piece.take(s[name]).movedim(axis, 0).reshape(size, -1) for s in (task.a, b))
                            scores += one @ other.T
            _, order = linear_sum_assignment(scores.numpy(), maximize=True)
            if float(scores[torch.arange(size), order].sum()) > float(scores.trace()):
                permutation[group] = permutation[group][torch.from_numpy(order)]
        if task.objective(permutation) <= before + 1e-7 * abs(before):
            return permutation
    return permutation


def seconds(work):
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


@pytest.mark.parametrize("name", NETWORKS)
def test_weight_matching(benchmark, name):
    """The must is 2.5 times at 3x1024, the goal 4; the mean objective is at most 0.1% lower."""
    tasks = [task_of(name, seed) for seed in range(5 if name.startswith("MLP") else 1)]
    weight_matching(tasks[0])
    slow, fast, theirs, ours = [], [], [], []
    for task in tasks:
        took, permutation = seconds(lambda task=task: plain(task))
        slow.append(took)
        theirs.append(task.objective(permutation))
        took, match = seconds(lambda task=task: weight_matching(task))
        fast.append(took)
        ours.append(match.objective)
    benchmark.pedantic(lambda: weight_matching(tasks[0]), rounds=1)
    times, objectives = (
        statistics.median(slow) / statistics.median(fast),
        statistics.mean(ours) / statistics.mean(theirs),
    )
    print(
        f"\nweight matching, {name}: plain {statistics.median(slow):.3f} s, ours {statistics.median(fast):.3f} s, "
        f"{times:.2f} times as fast; objective {objectives:.5f} of the plain one's"
    )
    if name.startswith("MLP"):
        assert objectives >= 0.999
    if name == "MLP 3x1024":
        assert times >= NOISE * 2.5


@pytest.mark.parametrize(
    ("name", "goal"), [("ResNet-20, width 16", 5), ("MLP 3x32", 5), ("MLP 3x64", 5), ("MLP 3x1024", 14)]
)
def test_twenty_restarts(benchmark, name, goal):
    task = task_of(name)
    weight_matching(task)
    one = statistics.median(seconds(lambda: weight_matching(task))[0] for _ in range(1 if "1024" in name else 5))
    many, match = seconds(lambda: benchmark.pedantic(lambda: weight_matching(task, restarts=20), rounds=1))
    print(f"\n20 restarts, {name}: {many:.3f} s, {many / one:.1f} times one (goal under {goal})")
    assert match.objective >= weight_matching(task).objective
