"""Training: neighbours change nothing, a plain PyTorch loop gives the same numbers, and twins stay twins."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from lmc.barriers import barrier
from lmc.errors import Stopped
from lmc.experiments import Recipe
from lmc.interpolation import evaluate, grid, interpolate
from lmc.matching import Task, activation_matching, weight_matching
from lmc.permutation import apply_permutation, random_permutation
from lmc.seeds import generator
from lmc.stacking import SMALL
from lmc.symmetry import trace
from lmc.training import Trained, initial_state, stack_size, train
from models import get_model

F32, F64 = torch.float32, torch.float64
SGD = Recipe(epochs=2, optimizer="sgd", lr=0.1)
ADAM = Recipe(epochs=2)


def builder(width, depth=3, norm="none", activation="relu"):
    shape = {"input_shape": (1, 8, 8), "classes": 10}
    return lambda: get_model("mlp", **shape, width=width, depth=depth, norm=norm, activation=activation)


def run(data, build, seeds, recipe, *, orders=None, starts=None, dtype=F32, **options) -> list[Trained]:
    starts = starts or [initial_state(build, seed, dtype) for seed in seeds]
    return train(build().to(dtype), starts, orders or list(seeds), data.to("cpu", dtype), recipe, **options)


@pytest.fixture
def threads():
    """Sets the number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def same(a: Trained, b: Trained) -> bool:
    equal = [torch.equal(a.checkpoints[e][n], b.checkpoints[e][n]) for e in a.checkpoints for n in a.checkpoints[e]]
    return a.checkpoints.keys() == b.checkpoints.keys() and all(equal)


def distance(a, b) -> float:
    return max(float((a[name] - b[name]).abs().max()) for name in a)


# A network's numbers do not depend on its neighbours


@pytest.mark.parametrize("width", [13, 32, 128])
@pytest.mark.parametrize("recipe", [SGD, ADAM], ids=["sgd", "adam"])
def test_neighbours_place_and_threads_change_no_bit(digits, threads, width, recipe):
    build, recipe = builder(width), replace(recipe, epochs=4 if width < 100 else 2)
    found = []
    for count in (1, 2):
        threads(count)
        found += [
            run(digits, build, [7], recipe, checkpoints=[1])[0],
            run(digits, build, [7, 8, 9, 10], recipe, checkpoints=[1])[0],
            run(digits, build, [8, 7, 9], recipe, checkpoints=[1])[1],
            run(digits, build, [10, 9, 8, 7], recipe, checkpoints=[1])[3],
        ]
    assert all(same(found[0], other) for other in found[1:])
    start = initial_state(build, 7)
    assert distance(found[0].checkpoints[recipe.epochs], start) > 1e-3, "it learned nothing"


def test_the_stacks_of_that_test_are_of_both_sizes():
    assert [stack_size(builder(width)()) for width in (13, 32, 128, 512)] == [3, 3, 3, 2]
    assert sum(p.numel() for p in builder(128)().parameters()) < SMALL


def test_neighbours_change_no_bit_in_stacks_of_two(digits, threads):
    build, recipe = builder(224), replace(SGD, epochs=2)
    assert stack_size(build()) == 2
    threads(1)
    alone = run(digits, build, [7], recipe)[0]
    threads(2)
    others = run(digits, build, [8, 7, 9], recipe)
    assert same(alone, others[1])
    assert same(run(digits, build, [9], recipe)[0], others[2])


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_neighbours_change_nothing_in_float64(digits, norm):
    build = builder(16, norm=norm)
    alone = run(digits, build, [7], SGD, dtype=F64)[0].checkpoints[2]
    among = run(digits, build, [5, 6, 7], SGD, dtype=F64)[2].checkpoints[2]
    assert distance(alone, among) < 1e-9


# Compared with plain PyTorch


def plain_loop(data, build, start, order_seed, recipe, optimizer, rates):
    """One network, one loop: nn.Module, torch.optim, cross_entropy; `rates` gives the rate of every step."""
    model = build().double()
    model.load_state_dict(start)
    optimizer = optimizer(model.parameters())
    x, y = data.train_x.double(), data.train_y
    steps = len(y) // recipe.batch_size
    losses = []
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        order, total = torch.randperm(len(y), generator=generator("order", order_seed, epoch)), 0.0
        for i in range(steps):
            chosen = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
            for group in optimizer.param_groups:
                group["lr"] = rates((epoch - 1) * steps + i, steps)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            logits = model(data.test_x.double())
        error = (logits.argmax(1) != data.test_y).double().mean().item()
        losses.append((total / steps, nn.functional.cross_entropy(logits, data.test_y).item(), error))
    return model.state_dict(), losses


def cosine(recipe):
    """PyTorch's own cosine schedule, listed step by step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    total = recipe.epochs * (1437 // recipe.batch_size)
    schedule, rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total), []
    for _ in range(total):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return lambda step, steps: rates[step]


def step_with_warmup(step, steps):
    """Two epochs up to 0.05, then tenths from epochs 3 and 4 on."""
    if step < 2 * steps:
        return 0.05 * (step + 1) / (2 * steps)
    return 0.05 if step < 3 * steps else 0.005 if step < 4 * steps else 0.0005


CASES = {
    "adam": (Recipe(epochs=3), lambda p: torch.optim.Adam(p, lr=1e-3), cosine),
    "adam-l2": (
        Recipe(epochs=3, weight_decay=0.01, decay="none"),
        lambda p: torch.optim.Adam(p, weight_decay=0.01),
        lambda recipe: lambda step, steps: 1e-3,
    ),
    "sgd-step-warmup": (
        Recipe(
            epochs=5, optimizer="sgd", lr=0.05, momentum=0.9, weight_decay=5e-4, decay="step", milestones=(3, 4),
            warmup=2, batch_size=100,
        ),
        lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9, weight_decay=5e-4),
        lambda recipe: step_with_warmup,
    ),
}  # fmt: skip


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("case", CASES)
def test_equals_a_plain_loop(digits, case, norm):
    recipe, optimizer, schedule = CASES[case]
    build = builder(24, norm=norm)
    ours = run(digits, build, [3, 4], recipe, orders=[30, 40], dtype=F64)
    for trained, seed, order in zip(ours, (3, 4), (30, 40), strict=True):
        start = initial_state(build, seed, F64)
        state, losses = plain_loop(digits, build, start, order, recipe, optimizer, schedule(recipe))
        assert distance(trained.checkpoints[recipe.epochs], state) < 1e-9
        curves = {(row["epoch"], row["split"]): row for row in trained.curves}
        for epoch, (train_loss, test_loss, test_error) in enumerate(losses, 1):
            assert curves[epoch, "train"]["loss"] == pytest.approx(train_loss, abs=1e-9)
            assert curves[epoch, "test"]["loss"] == pytest.approx(test_loss, abs=1e-9)
            assert curves[epoch, "test"]["error"] == pytest.approx(test_error, abs=1e-12)


def test_warmup_before_cosine():
    recipe = Recipe(epochs=4, warmup=1)
    rates = [recipe.learning_rate(step, 10) for step in range(40)]
    assert rates[0] == pytest.approx(1e-4) and rates[9] == pytest.approx(1e-3) == rates[10]
    assert rates[25] == pytest.approx(5e-4) and rates[39] < 1e-5
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))


# Seeds


def test_start_and_order_have_seeds_of_their_own(digits):
    build, recipe = builder(8), replace(ADAM, epochs=1)
    same_start = run(digits, build, [1, 1], recipe, orders=[1, 2], checkpoints=[0])
    assert distance(same_start[0].checkpoints[0], same_start[1].checkpoints[0]) == 0
    assert distance(same_start[0].checkpoints[1], same_start[1].checkpoints[1]) > 1e-4
    same_order = run(digits, build, [1, 2], recipe, orders=[5, 5], checkpoints=[0])
    assert distance(same_order[0].checkpoints[0], same_order[1].checkpoints[0]) > 1e-2
    twice = run(digits, build, [1, 1], recipe, orders=[5, 5])
    assert same(*twice)


def test_the_start_is_pytorch_s_default_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    state = initial_state(builder(16), 3)
    assert torch.equal(before, torch.get_rng_state())
    assert distance(state, initial_state(builder(16), 3)) == 0 and distance(state, initial_state(builder(16), 4)) > 0
    assert state["layers.0.weight"].abs().max() <= 1 / 8  # U(−1/√64, 1/√64)
    wide = initial_state(builder(16), 3, F64)
    assert wide["head.bias"].dtype == F64 and torch.equal(wide["head.bias"].float(), state["head.bias"])


# Checkpoints, reports


def test_keeps_the_epochs_asked_for_and_the_last(digits):
    trained = run(digits, builder(8), [0], replace(ADAM, epochs=4), checkpoints=[0, 2])[0]
    assert sorted(trained.checkpoints) == [0, 2, 4]
    assert distance(trained.checkpoints[0], initial_state(builder(8), 0)) == 0
    assert distance(trained.checkpoints[2], trained.checkpoints[4]) > 0
    keys = [(row["epoch"], row["split"]) for row in trained.curves]
    assert keys == [(0, "test")] + [(e, s) for e in range(1, 5) for s in ("train", "test")]


def test_reports_every_epoch_and_stops_when_told_to(digits, monkeypatch):
    monkeypatch.setattr("lmc.training.BETWEEN_REPORTS", float("inf"))  # none in an epoch, however slow the machine
    heard, done = [], []

    def report(share, text):
        heard.append((share, text))
        if len(heard) == 5:
            raise Stopped

    with pytest.raises(Stopped):
        run(
            digits, builder(8), range(6), replace(ADAM, epochs=3), report=report,
            finished=lambda place, trained: done.append((place, sorted(trained.checkpoints))),
        )  # fmt: skip
    shares = [share for share, _ in heard]
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert heard[1][1] == "training, epoch 2 of 3"
    assert done == [(place, [3]) for place in (0, 1, 2)], "the first stack was finished before the stop"


def test_reports_after_steps_and_between_layers_of_a_test(digits, monkeypatch):
    build, recipe = builder(8, depth=2), replace(ADAM, epochs=2)
    silent = run(digits, build, [0], recipe)[0]
    heard = []
    monkeypatch.setattr("lmc.training.BETWEEN_REPORTS", -1.0)  # at every chance
    loud = run(digits, build, [0], recipe, report=lambda share, text: heard.append((share, text)))[0]
    assert same(loud, silent) and loud.curves == silent.curves, "reports change no bit"
    shares, steps = [share for share, _ in heard], 1437 // 64
    layers = shares.count(0.0)
    assert layers > 3
    in_epochs = [(epoch * steps + step) / (2 * steps) for epoch in (0, 1) for step in range(1, steps + 1)]
    in_tests = [0.0] * layers + [0.5] * layers + [1.0] * layers
    assert shares == pytest.approx(sorted([*in_epochs, *in_tests, 0.5, 1.0]))
    assert {text for share, text in heard if share <= 0.5} == {"training, epoch 1 of 2"}


def test_reports_are_apart(digits, monkeypatch):
    """With a clock that moves a tenth of a second whenever it is read."""
    ticks, heard = itertools.count(), []

    class Clock:
        monotonic = staticmethod(lambda: next(ticks) / 10)

    monkeypatch.setattr("lmc.training.time", Clock)
    run(digits, builder(8), [0], replace(ADAM, epochs=1), report=lambda share, text: heard.append(share))
    steps = 1437 // 64
    assert steps / 4 < len(heard) < steps, "seldom enough, though there are more chances than steps"


@pytest.mark.parametrize("stop", [1, 3])
def test_a_stop_in_a_test_leaves_the_model_as_it_was(digits, monkeypatch, stop):
    build, recipe, reports = builder(8), replace(ADAM, epochs=1), itertools.count(1)
    model, start = build(), initial_state(build, 0)
    expected = train(build(), [start], [0], digits, recipe)[0]

    def report(share, text):
        if next(reports) == stop:
            raise Stopped

    monkeypatch.setattr("lmc.training.BETWEEN_REPORTS", -1.0)
    with pytest.raises(Stopped):
        train(model, [start], [0], digits, recipe, report=report)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert same(train(model, [start], [0], digits, recipe)[0], expected)


# Twins (DESIGN 4.3)


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_permuted_start_stays_permuted(digits, optimizer, norm):
    build = builder(16, norm=norm)
    rates = {"lr": 0.03, "momentum": 0.9} if optimizer == "sgd" else {"lr": 5e-3}
    recipe = Recipe(epochs=8, optimizer=optimizer, weight_decay=1e-4, **rates)
    spec_of = trace(build(), torch.zeros(2, 1, 8, 8))
    start = initial_state(build, 11, F64)
    pi = random_permutation(spec_of.spec, torch.Generator().manual_seed(1))
    starts = [start, apply_permutation(spec_of.spec, pi, start)]
    a, b = run(digits, build, [0, 0], recipe, starts=starts, orders=[4, 4], dtype=F64, checkpoints=[0, 1, 3, 5])
    assert sorted(a.checkpoints) == [0, 1, 3, 5, 8]
    model, data = build().double(), digits.to("cpu", F64)
    for epoch, state in a.checkpoints.items():
        assert distance(apply_permutation(spec_of.spec, pi, state), b.checkpoints[epoch]) < 1e-9
        task = Task(spec_of, state, b.checkpoints[epoch], data.train_x)
        for match in (weight_matching(task), activation_matching(task)):
            aligned = apply_permutation(spec_of.spec, match.permutation, b.checkpoints[epoch])
            for split in ("train", "test"):
                values = evaluate(model, interpolate(state, aligned, grid(7)), *data.split(split))
                assert all(barrier(grid(7), v.tolist()) < 1e-9 for v in values)
    loss, error = evaluate(model, interpolate(a.checkpoints[8], b.checkpoints[8], grid(7)), *data.split("test"))
    assert barrier(grid(7), error.tolist()) > 0.1, "without alignment these twins are far apart"
    assert error[0] < 0.5, "they learned something"
    assert loss[0] == pytest.approx(float(loss[-1]), abs=1e-9)


def test_twins_with_other_batches_part(digits):
    """So that the test above can fail: another order of batches breaks the twinship."""
    build = builder(16)
    traced = trace(build(), torch.zeros(2, 1, 8, 8))
    start = initial_state(build, 11, F64)
    pi = random_permutation(traced.spec, torch.Generator().manual_seed(1))
    starts = [start, apply_permutation(traced.spec, pi, start)]
    a, b = run(digits, build, [0, 0], ADAM, starts=starts, orders=[4, 5], dtype=F64)
    assert distance(apply_permutation(traced.spec, pi, a.checkpoints[2]), b.checkpoints[2]) > 1e-3


# Masks, later starts and forks


@pytest.mark.parametrize("case", ["adam-l2", "sgd-step-warmup"])
def test_masked_weights_stay_zero_and_the_rest_equals_a_plain_loop(digits, case):
    """The plain way: every step is followed by setting the pruned weights to 0."""
    recipe, optimizer, schedule = CASES[case]
    build, start = builder(24), initial_state(builder(24), 3, F64)
    name = "layers.1.weight"
    mask = {name: torch.rand(start[name].shape, generator=torch.Generator().manual_seed(0)) < 0.3}
    start[name] = start[name] * mask[name]

    class Masked(nn.Module):
        """Multiplies one weight by the mask whenever it runs."""

        def __init__(self):
            super().__init__()
            self.inner = build().double()

        def forward(self, x):
            state = dict(self.inner.named_parameters())
            return torch.func.functional_call(self.inner, {**state, name: state[name] * mask[name]}, (x,))

    ours = run(digits, build, [3, 4], recipe, starts=[start] * 2, orders=[30, 40], dtype=F64, masks=[mask] * 2)
    inner = {f"inner.{key}": tensor for key, tensor in start.items()}
    state, _ = plain_loop(digits, Masked, inner, 30, recipe, optimizer, schedule(recipe))
    found = ours[0].checkpoints[recipe.epochs]
    assert (found[name][~mask[name]] == 0).all() and (found[name][mask[name]] != 0).all()
    assert distance(found, {key.removeprefix("inner."): tensor for key, tensor in state.items()}) < 1e-9
    assert distance(ours[1].checkpoints[recipe.epochs], found) > 1e-3, "another order"


def test_masks_keep_networks_apart_bit_for_bit(digits):
    build = builder(13)
    starts = [initial_state(build, seed) for seed in (7, 8, 9)]
    masks = [{"layers.1.weight": torch.rand(13, 13) < share} for share in (0.2, 0.5, 0.9)]
    together = run(digits, build, [7, 8, 9], SGD, starts=starts, masks=masks)
    alone = run(digits, build, [8], SGD, starts=starts[1:2], masks=masks[1:2])
    assert same(together[1], alone[0])


def test_a_later_beginning_goes_on_with_schedule_and_order(digits):
    """Without momentum nothing but the weights is carried over, so the way there does not matter."""
    build, recipe = builder(16), Recipe(epochs=5, optimizer="sgd", lr=0.1, momentum=0.0)
    whole = run(digits, build, [3], recipe, checkpoints=[2], dtype=F64)[0]
    rest = run(digits, build, [3], recipe, starts=[whole.checkpoints[2]], begin=2, dtype=F64)[0]
    assert distance(rest.checkpoints[5], whole.checkpoints[5]) < 1e-12
    assert [row["epoch"] for row in rest.curves if row["split"] == "test"] == [2, 3, 4, 5]
    assert rest.curves[1:] == whole.curves[-len(rest.curves) + 1 :]


def test_a_fork_sees_another_order_afterwards_only(digits):
    build, recipe = builder(13), replace(SGD, epochs=4)
    usual, fork, other = run(
        digits, build, [3, 3, 3], recipe, orders=[3, 3, 5], forks=[None, (2, 5), None], checkpoints=[1, 2, 3]
    )
    for epoch in (1, 2):
        assert distance(usual.checkpoints[epoch], fork.checkpoints[epoch]) == 0
    assert distance(usual.checkpoints[3], fork.checkpoints[3]) > 1e-3
    assert distance(other.checkpoints[2], usual.checkpoints[2]) > 1e-3
    start = usual.checkpoints[2]
    seconds = Recipe(epochs=4, optimizer="sgd", lr=0.1, momentum=0.0)
    plain = run(digits, build, [3], seconds, orders=[5], starts=[start], begin=2)[0]
    forked = run(digits, build, [3], seconds, orders=[3], starts=[start], begin=2, forks=[(2, 5)])[0]
    assert same(plain, forked)
