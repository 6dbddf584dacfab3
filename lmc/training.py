"""Training many networks at once.

Networks of one family are trained in stacks of one fixed size, empty places filled with copies: measured, that is
what makes a network's numbers independent of its neighbours and its place, bit for bit on the CPU (without
convolutions also of the number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lmc.data import Dataset
from lmc.data.augment import augment
from lmc.interpolation import evaluate
from lmc.parameters import Parameters
from lmc.seeds import generator, seed_for
from lmc.stacking import (
    State,
    Step,
    buffer_names,
    has_convolutions,
    is_small,
    stack_states,
    training_step,
    unstack,
)

BETWEEN_REPORTS = 0.5  # seconds, in an epoch


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
    curves: list[dict[str, Any]] = field(default_factory=list)


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
    report: Callable[[float, str], None] | None = None,
    finished: Callable[[int, Trained], None] | None = None,
) -> list[Trained]:
    """Train the networks that begin at `starts`; each sees the batches that its order seed gives.

    `model` is a template whose own numbers are not used; starts and dataset share device and dtype. `checkpoints`
    are epochs to keep beside the last one (0: the start). `report(share, text)` is called after every epoch, and each
    half second in a long one, and may raise to stop; `finished(place, trained)` as soon as a stack is done. Results
    are in the order of `starts`.
    """
    size = stack_size(model)
    keep = {*checkpoints, schedule.epochs}
    results: list[Trained] = []
    step: Step | None = None
    for first in range(0, len(starts), size):
        places = range(first, min(first + size, len(starts)))
        filled = [*places, *[places[0]] * (size - len(places))]
        stack = _Stack(model, [starts[p] for p in filled], [order_seeds[p] for p in filled], dataset, schedule, step)
        step = stack.step
        trained = [Trained() for _ in filled]
        _record(trained, stack, 0, None, keep)
        for epoch in range(1, schedule.epochs + 1):
            tell = _telling(report, (first / len(starts), len(places) / len(starts)), epoch, schedule.epochs)
            _record(trained, stack, epoch, stack.run_epoch(epoch, tell), keep)
            tell(1.0)
        for place, result in zip(places, trained, strict=False):
            if finished:
                finished(place, result)
            results.append(result)
    return results


def _telling(
    report: Callable[[float, str], None] | None, part: tuple[float, float], epoch: int, epochs: int
) -> Callable[[float], None]:
    """What tells `report` of the share of an epoch that is done; `part` is the start and length of the stack's work."""

    def tell(share: float) -> None:
        if report:
            report(part[0] + part[1] * (epoch - 1 + share) / epochs, f"training, epoch {epoch} of {epochs}")

    return tell


def _record(trained: list[Trained], stack: _Stack, epoch: int, losses: Tensor | None, keep: set[int]) -> None:
    test_loss, test_error = (values.tolist() for values in stack.test())
    train_loss = None if losses is None else losses.tolist()
    for k, result in enumerate(trained):
        if train_loss is not None:
            result.curves.append({"epoch": epoch, "split": "train", "loss": train_loss[k], "error": None})
        result.curves.append({"epoch": epoch, "split": "test", "loss": test_loss[k], "error": test_error[k]})
        if epoch in keep:
            result.checkpoints[epoch] = unstack(stack.state(), k)


class _Stack:
    """The parameters, gradients and optimiser of the networks that are trained together."""

    def __init__(
        self,
        model: nn.Module,
        starts: Sequence[Mapping[str, Tensor]],
        order_seeds: Sequence[int],
        dataset: Dataset,
        schedule: Schedule,
        step: Step | None,
    ) -> None:
        self.model, self.order_seeds, self.dataset, self.schedule = model, order_seeds, dataset, schedule
        self.steps = len(dataset.train_y) // schedule.batch_size
        states = stack_states(starts)
        self.buffers = {name: states[name] for name in buffer_names(model)}
        self.parameters = Parameters({name: states[name] for name, _ in model.named_parameters()})
        self.optimizer = _optimizer(self.parameters.tensors, schedule)
        self.device, self.black = dataset.train_x.device, dataset.black()
        model.train()
        self.step = step or training_step(model, (*self._values(), *self._batch(self._order(1), 0)))

    def run_epoch(self, epoch: int, tell: Callable[[float], None]) -> Tensor:
        """One pass over the training set; mean loss of its batches, `[stack]`. `tell` hears the share done."""
        order = self._order(epoch)
        draws = [generator("augment", seed, epoch) for seed in self.order_seeds]
        total = torch.zeros(len(self.order_seeds), dtype=torch.float64, device=self.device)
        values = self._values()
        told = time.monotonic()
        for i in range(self.steps):
            x, y = self._batch(order, i)
            x = augment(x, self.schedule.augment, draws, self.black)
            gradients, losses = self.step(*values, x, y)
            self.parameters.set_gradients(gradients)
            rate = self.schedule.learning_rate((epoch - 1) * self.steps + i, self.steps)
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()
            total += losses
            if time.monotonic() - told > BETWEEN_REPORTS:
                tell((i + 1) / self.steps)
                told = time.monotonic()
        return total / self.steps

    def test(self) -> tuple[Tensor, Tensor]:
        """Loss and error of every network on the test images."""
        return evaluate(self.model, self.state(), self.dataset.test_x, self.dataset.test_y)

    def state(self) -> State:
        return {**self.parameters.named, **self.buffers}

    def _values(self) -> tuple[list[Tensor], list[Tensor]]:
        return list(self.parameters.named.values()), list(self.buffers.values())

    def _order(self, epoch: int) -> Tensor:
        """Image numbers in the order of this epoch, `[stack, N]`."""
        n = len(self.dataset.train_y)
        orders = [torch.randperm(n, generator=generator("order", seed, epoch)) for seed in self.order_seeds]
        return torch.stack(orders).to(self.device)

    def _batch(self, order: Tensor, i: int) -> tuple[Tensor, Tensor]:
        chosen = order[:, i * self.schedule.batch_size : (i + 1) * self.schedule.batch_size]
        return self.dataset.train_x[chosen], self.dataset.train_y[chosen]


def _optimizer(tensors: list[Tensor], schedule: Schedule) -> torch.optim.Optimizer:
    if schedule.optimizer == "adam":
        return torch.optim.Adam(tensors, lr=0.0, weight_decay=schedule.weight_decay, fused=True)
    momentum = schedule.momentum
    return torch.optim.SGD(tensors, lr=0.0, momentum=momentum, weight_decay=schedule.weight_decay, fused=True)
