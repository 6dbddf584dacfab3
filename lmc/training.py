"""Training many networks at once.

Networks of one family are trained in stacks of one fixed size, empty places filled with copies: measured, that is
what makes a network's numbers independent of its neighbours and its place, bit for bit on the CPU (without
convolutions also of the number of threads).

A training can be interrupted and goes on, elsewhere too, with the same numbers. That is possible between epochs and
nowhere else: every random draw comes from a generator made from a seed and the epoch, so after an epoch the tensors
are all there is to save.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from lmc.data import Dataset
from lmc.data.augment import augment
from lmc.interpolation import evaluate
from lmc.parameters import Parameters
from lmc.seeds import generator, seed_for
from lmc.stacking import (
    State,
    buffer_names,
    has_convolutions,
    is_small,
    stack_states,
    training_step,
    unstack,
)
from lmc.training_state import Resume, Rows, Saves, Snapshot, digest, restore, tensors_of

__all__ = ["Fork", "Resume", "Schedule", "Trained", "initial_state", "stack_size", "train"]

Fork = tuple[int, int] | None
BETWEEN_REPORTS = 0.2  # seconds, in an epoch and while it is tested


class Schedule(Protocol):
    """What training needs to know of a recipe (`lmc.experiments.Recipe` fits)."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def optimizer(self) -> str: ...
    @property
    def momentum(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def augment(self) -> str: ...
    def learning_rate(self, step: int, steps_per_epoch: int) -> float: ...


@dataclass
class Trained:
    """Checkpoints by epoch (0 is the start) and learning curves.

    A row of `curves` is an epoch and a split: on `test`, loss (nats) and error at its end; on `train`, the mean
    loss of its batches while the network was learning from them, error None.
    """

    checkpoints: dict[int, State] = field(default_factory=dict)
    curves: Rows = field(default_factory=list)


def initial_state(build: Callable[[], nn.Module], seed: int, dtype: torch.dtype = torch.float32) -> State:
    """The state in which `build` leaves a network under `seed`: drawn in float32 on the CPU, then cast to `dtype`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("initialisation", seed))
        model = build()
    return {
        name: t.detach().clone().to(dtype) if t.is_floating_point() else t for name, t in model.state_dict().items()
    }


def stack_size(model: nn.Module) -> int:
    """How many networks are trained together; depends on the architecture alone, so that numbers never do.

    Measured on two cores: three small networks cost little more than one; of large ones two run fastest, and a stack
    of one would be slower, and its numbers would depend on the number of threads. Batched convolutions take 1.4 times
    as long as one after another.
    """
    if has_convolutions(model):
        return 1
    return 3 if is_small(model) else 2


def train(
    model: nn.Module,
    starts: Sequence[Mapping[str, Tensor]],
    order_seeds: Sequence[int],
    dataset: Dataset,
    schedule: Schedule,
    *,
    checkpoints: Sequence[int] = (),
    begin: int = 0,
    masks: Sequence[Mapping[str, Tensor]] = (),
    forks: Sequence[Fork] = (),
    report: Callable[[float, str], None] | None = None,
    finished: Callable[[int, Trained], None] | None = None,
    recorded: Callable[[int, Rows], None] | None = None,
    resume: Resume | None = None,
) -> list[Trained]:
    """Train the networks that begin at `starts`; each sees the batches that its order seed gives.

    `model` is a template whose own numbers are not used; starts and dataset share device and dtype. `checkpoints`
    are epochs to keep beside the last one (0: the start). Results are in the order of `starts`.

    The starts are networks after epoch `begin`; schedule and data order go on from there, the optimiser is fresh.
    `masks` (one a network, 1 where a weight is trained and 0 where it stays 0; tensors that are left out are trained)
    go with starts that are 0 there. `forks` are (epoch, order seed from then on), one a network, or None.

    `report(share, text)` is called after every epoch, and in between as soon as `BETWEEN_REPORTS` have passed and a
    step, or a layer in a test, is done; it may raise to stop. `recorded(place, rows)` hears the new rows of a
    network's curves after every epoch, `finished(place, trained)` comes as soon as a stack is done.

    With `resume`, a stack goes on after the epoch that was saved last, and ends with the same bits (on the CPU) as if
    it had never stopped; `recorded` then hears all rows so far first. It begins anew if what was saved is damaged, of
    another training or version of torch, or lacks one of `checkpoints`.
    """
    size = stack_size(model)
    keep = {*checkpoints, schedule.epochs}
    results: list[Trained] = []
    for first in range(0, len(starts), size):
        places = tuple(range(first, min(first + size, len(starts))))
        filled = [*places, *[places[0]] * (size - len(places))]
        members = [
            Member(starts[p], order_seeds[p], forks[p] if forks else None, masks[p] if masks else None) for p in filled
        ]
        stack = _Stack(model, members, dataset, schedule, begin)
        reports = _Reports(report, first / len(starts), len(places) / len(starts), begin, schedule.epochs)
        saves = Saves(resume, places, stack.identity) if resume else None
        stack_results = _train_stack(stack, places, keep, reports, recorded, saves)
        if finished:
            for place, result in zip(places, stack_results, strict=True):
                finished(place, result)
        results += stack_results
    return results


def _train_stack(
    stack: _Stack,
    places: tuple[int, ...],
    keep: set[int],
    reports: _Reports,
    recorded: Callable[[int, Rows], None] | None,
    saves: Saves | None,
) -> list[Trained]:
    """Curves and checkpoints of the networks at `places`, the first ones of the stack."""

    def hear(rows: Sequence[Rows]) -> None:
        for place, new in zip(places, rows, strict=True):
            if recorded:
                recorded(place, new)

    epochs = stack.schedule.epochs
    done, trained = _resumed(stack, keep, saves)
    if trained:
        hear([list(result.curves) for result in trained])
        reports.tell(done)
    else:
        trained = [Trained() for _ in places]
        done = stack.begin
        hear(_record(trained, stack, done, None, keep, reports))
    for epoch in range(done + 1, epochs + 1):
        hear(_record(trained, stack, epoch, stack.run_epoch(epoch, reports), keep, reports))
        if saves and epoch < epochs:
            saves.offer(partial(_snapshot, stack, trained, epoch))
        reports.tell(epoch)
    return trained


def _resumed(stack: _Stack, keep: set[int], saves: Saves | None) -> tuple[int, list[Trained]]:
    """Epochs done and what they left, the stack being as it was after them; 0 and nothing if none were saved."""
    found = saves.load() if saves else None
    if found is None:
        return 0, []
    wanted = sorted(epoch for epoch in keep if epoch <= found.epoch)
    if any(epoch not in kept for kept in found.checkpoints for epoch in wanted) or not stack.restore(found.tensors):
        return 0, []
    return found.epoch, [
        Trained({epoch: stack.own(kept[epoch]) for epoch in wanted}, curves)
        for kept, curves in zip(found.checkpoints, found.curves, strict=True)
    ]


def _snapshot(stack: _Stack, trained: Sequence[Trained], epoch: int) -> Snapshot:
    return Snapshot(epoch, stack.tensors(), [t.curves for t in trained], [t.checkpoints for t in trained])


def _record(
    trained: Sequence[Trained], stack: _Stack, epoch: int, losses: Tensor | None, keep: set[int], reports: _Reports
) -> list[Rows]:
    """The new rows of each network, which are added to its curves; also its checkpoint if it is to be kept."""
    test_loss, test_error = (values.tolist() for values in stack.test(reports))
    train_loss = None if losses is None else losses.tolist()
    new: list[Rows] = []
    for k, result in enumerate(trained):
        rows: Rows = []
        if train_loss is not None:
            rows.append({"epoch": epoch, "split": "train", "loss": train_loss[k], "error": None})
        rows.append({"epoch": epoch, "split": "test", "loss": test_loss[k], "error": test_error[k]})
        result.curves += rows
        if epoch in keep:
            result.checkpoints[epoch] = unstack(stack.state(), k)
        new.append(rows)
    return new


class _Reports:
    """Tells `report` how far a stack is, whose work is the share from `start` to `start + length` of the whole."""

    def __init__(
        self, report: Callable[[float, str], None] | None, start: float, length: float, begin: int, epochs: int
    ) -> None:
        self._report, self._start, self._length, self._begin, self._epochs = report, start, length, begin, epochs
        self.done = float(begin)  # epochs
        self._told = time.monotonic()

    def tell(self, done: float) -> None:
        """Report that so many epochs are done."""
        self.done = done
        if self._report:
            epoch = max(1, math.ceil(done))
            share = self._start + self._length * (done - self._begin) / (self._epochs - self._begin)
            self._report(share, f"training, epoch {epoch} of {self._epochs}")
        self._told = time.monotonic()

    def tell_if_due(self, done: float) -> None:
        """The same, unless the last report was just now."""
        self.done = done
        if time.monotonic() - self._told > BETWEEN_REPORTS:
            self.tell(done)

    @contextlib.contextmanager
    def between_layers(self, model: nn.Module) -> Iterator[None]:
        """Report, if it is due, whenever a module of `model` is about to run: a single batch can take seconds."""

        def hook(*_: object) -> None:
            self.tell_if_due(self.done)

        handles = [module.register_forward_pre_hook(hook) for module in model.modules()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@dataclass(frozen=True)
class Member:
    """One network of a stack: where it begins, the data that it sees, and the weights that it trains."""

    start: Mapping[str, Tensor]
    order_seed: int
    fork: Fork = None
    mask: Mapping[str, Tensor] | None = None

    def order_at(self, epoch: int) -> int:
        """The seed of the data order in an epoch."""
        return self.fork[1] if self.fork and epoch > self.fork[0] else self.order_seed


class _Stack:
    """The parameters, gradients and optimiser of the networks that are trained together."""

    def __init__(
        self, model: nn.Module, members: Sequence[Member], dataset: Dataset, schedule: Schedule, begin: int
    ) -> None:
        self.model, self.members, self.dataset, self.schedule, self.begin = model, members, dataset, schedule, begin
        self.steps = len(dataset.train_y) // schedule.batch_size
        states = stack_states([member.start for member in members])
        self.buffers = {name: states[name] for name in buffer_names(model)}
        self.parameters = Parameters({name: states[name] for name, _ in model.named_parameters()})
        self.masks = self._masks()
        self.optimizer = _optimizer(self.parameters.tensors, schedule)
        self.device, self.black = dataset.train_x.device, dataset.black()
        model.train()
        self.step = training_step(model, (*self._values(), *self._batch(self._order(1), 0)))

    def _masks(self) -> list[Tensor]:
        """What the gradients are multiplied by, one for each tensor of the parameters; nothing if all are trained."""
        masks = [member.mask for member in self.members if member.mask is not None]
        return self.parameters.alike(stack_states(masks)) if masks else []

    def run_epoch(self, epoch: int, reports: _Reports) -> Tensor:
        """One pass over the training set; mean loss of its batches, `[stack]`."""
        order = self._order(epoch)
        draws = [generator("augment", member.order_at(epoch), epoch) for member in self.members]
        total = torch.zeros(len(self.members), dtype=torch.float64, device=self.device)
        values = self._values()
        for i in range(self.steps):
            x, y = self._batch(order, i)
            x = augment(x, self.schedule.augment, draws, self.black)
            gradients, losses = self.step(*values, x, y)
            self.parameters.set_gradients(gradients)
            for tensor, mask in zip(self.parameters.tensors, self.masks, strict=False):
                assert tensor.grad is not None
                tensor.grad.mul_(mask)
            rate = self.schedule.learning_rate((epoch - 1) * self.steps + i, self.steps)
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()
            total += losses
            reports.tell_if_due(epoch - 1 + (i + 1) / self.steps)
        return total / self.steps

    def test(self, reports: _Reports) -> tuple[Tensor, Tensor]:
        """Loss and error of every network on the test images."""
        with reports.between_layers(self.model):
            return evaluate(self.model, self.state(), self.dataset.test_x, self.dataset.test_y)

    def state(self) -> State:
        return {**self.parameters.named, **self.buffers}

    def identity(self) -> str:
        """What tells this training from others: starts, order seeds, schedule, data. The module is not looked into."""
        schedule, data = self.schedule, self.dataset
        about = {
            "begin": self.begin,
            "orders": [[member.order_seed, member.fork] for member in self.members],
            "data": [data.info.name, data.mean, data.std],
            "schedule": [schedule.epochs, schedule.batch_size, schedule.momentum, schedule.weight_decay],
            "names": [schedule.optimizer, schedule.augment],
            "rates": [schedule.learning_rate(epoch * self.steps, self.steps) for epoch in range(schedule.epochs)],
        }
        numbers = {"train": data.train_y, "test": data.test_y}
        for k, member in enumerate(self.members):
            for what, state in (("start", member.start), ("mask", member.mask or {})):
                numbers |= {f"{what}/{k}/{name}": tensor for name, tensor in state.items()}
        return digest(json.dumps(about), numbers)

    def tensors(self) -> State:
        """All that the next epoch depends on, by name."""
        return tensors_of(self.parameters.tensors, self.buffers, self.optimizer)

    def restore(self, saved: Mapping[str, Tensor]) -> bool:
        """Become as the stack was whose `tensors` these are; False, and nothing is changed, if they do not fit."""
        return restore(saved, self.parameters.tensors, self.buffers, self.optimizer)

    def own(self, state: Mapping[str, Tensor]) -> State:
        """A copy on the stack's device."""
        return {name: tensor.to(self.device, copy=True) for name, tensor in state.items()}

    def _values(self) -> tuple[list[Tensor], list[Tensor]]:
        return list(self.parameters.named.values()), list(self.buffers.values())

    def _order(self, epoch: int) -> Tensor:
        """Image numbers in the order of this epoch, `[stack, N]`."""
        n = len(self.dataset.train_y)
        draws = [generator("order", member.order_at(epoch), epoch) for member in self.members]
        orders = [torch.randperm(n, generator=draw) for draw in draws]
        return torch.stack(orders).to(self.device)

    def _batch(self, order: Tensor, i: int) -> tuple[Tensor, Tensor]:
        chosen = order[:, i * self.schedule.batch_size : (i + 1) * self.schedule.batch_size]
        return self.dataset.train_x[chosen], self.dataset.train_y[chosen]


def _optimizer(tensors: list[Tensor], schedule: Schedule) -> torch.optim.Optimizer:
    if schedule.optimizer == "adam":
        return torch.optim.Adam(tensors, lr=0.0, weight_decay=schedule.weight_decay, fused=True)
    momentum = schedule.momentum
    return torch.optim.SGD(tensors, lr=0.0, momentum=momentum, weight_decay=schedule.weight_decay, fused=True)
