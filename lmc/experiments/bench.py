"""The networks of one config on their data: what every comparison of networks measures with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc.barriers import barrier
from lmc.errors import InputError
from lmc.experiments.base import Experiment
from lmc.experiments.work import Report, Work, quiet, require_preserved

if TYPE_CHECKING:
    from torch import Tensor

    from lmc.data import Dataset
    from lmc.matching import ManyTask, Match, Step, Task
    from lmc.permutation import Permutation
    from lmc.stacking import State
    from lmc.symmetry import Traced

SPLITS = ("train", "test")
SHOWN_IMAGES = 8  # test images whose answers are kept for the picture
SHOWN_POINTS = 300  # the same of points in a plane, which are small
CHECK_INPUTS = 64


@dataclass(frozen=True)
class Curve:
    """Losses and errors on the grid of a segment, split → `[points]` each."""

    losses: dict[str, list[float]]
    errors: dict[str, list[float]]

    def barriers(self, lams: Sequence[float], split: str) -> dict[str, float]:
        """Loss and error barrier over the line between the ends."""
        return {
            "loss_barrier": barrier(lams, self.losses[split]),
            "error_barrier": barrier(lams, self.errors[split]),
        }

    def every(self, step: int) -> Curve:
        """The curve on a coarser grid."""
        return Curve(*({split: v[::step] for split, v in values.items()} for values in (self.losses, self.errors)))


class Bench:
    """Model, symmetries and data of the networks of `config`; the largest change of a logit is kept in `check`."""

    def __init__(self, config: Experiment, work: Work) -> None:
        from lmc.interpolation import grid

        self.config = config
        network = config.networks()[0]
        self.model, self.traced = work.model(network), work.traced(network)
        if config.hold:
            self.traced = _holding(self.traced, config.hold)
        whole = work.dataset(network)
        self.data = _measured(whole, config.eval_images)
        chosen = _subset(whole.train_y, config.match_images)
        self._matched_on = whole.train_x[chosen], whole.train_y[chosen]
        self.reset_inputs = _shuffled(whole.train_x[_subset(whole.train_y, config.reset_images)])
        self.lams = grid(config.points)
        self.check = 0.0
        self._choose_shown()

    def task(self, a: State, b: State) -> Task:
        """The task of matching `b` to `a` on the config's images."""
        from lmc.matching import Task

        return Task(self.traced, a, b, *self._matched_on)

    def many_task(self, states: Sequence[State]) -> ManyTask:
        """The same for networks that are matched all at once."""
        from lmc.matching import ManyTask

        return ManyTask(self.traced, states, *self._matched_on)

    def match(self, task: Task, method: str, report: Report = quiet) -> Match:
        """What the method finds for a task. Raises CheckFailed if it changes the function of B.

        Slow methods report progress; that may raise Stopped.
        """
        found = find(task, method, self.config, report)
        if method != "none":  # something moved
            self.require_same_function(found.permutation, task.b, f"the permutation of method {method}")
        return found

    def along(self, a: State, b: State) -> Callable[[Sequence[float]], State]:
        """What gives the networks at some λ between `a` and `b`, corrected as the config says."""
        from lmc.interpolation import interpolate
        from lmc.normalization import Repair

        if self.config.correction == "repair":
            return Repair(self.model, a, b, self.reset_inputs).states
        return lambda lams: self.corrected(interpolate(a, b, lams))

    def corrected(self, states: State) -> State:
        """Stacked networks with their statistics measured anew, if they keep any."""
        from lmc.normalization import has_statistics, reset

        return reset(self.model, states, self.reset_inputs) if has_statistics(self.model) else states

    def measure(self, states: State) -> list[tuple[Tensor, Tensor]]:
        """Losses and errors of stacked networks on each split, `[stack]` each."""
        from lmc.interpolation import evaluate

        return [evaluate(self.model, states, *self.data.split(split)) for split in SPLITS]

    def segment(self, a: State, b: State, lams: Sequence[float] | None = None) -> Curve:
        """Loss and error on the straight line from `a` to `b`; `lams` default to the config's grid."""
        from lmc.interpolation import chunks

        states_at = self.along(a, b)
        return joined([self.measure(states_at(part)) for part in chunks(self.model, lams or self.lams)])

    def answers(self, states: State) -> Tensor:
        """Class probabilities `[stack, shown, classes]` on the shown test inputs."""
        from lmc.interpolation import predict

        return predict(self.model, states, self.shown)

    def require_same_function(self, permutation: Permutation, state: State, what: str) -> None:
        """Raise CheckFailed if the permutation, described by `what`, changes the network's logits."""
        from lmc.symmetry import max_logit_difference

        inputs = self.data.test_x[:CHECK_INPUTS]
        difference = max_logit_difference(self.model, self.traced.spec, permutation, state=state, inputs=inputs)
        require_preserved(difference, what)
        self.check = max(self.check, difference)

    def pictures(self) -> dict[str, np.ndarray]:
        """The shown test inputs as they were before normalisation, and their labels."""
        return {
            "images": self.data.pixels(self.shown.cpu().double()).numpy().astype(np.float32),
            "labels": self.data.test_y.cpu().numpy()[self._shown_places],
        }

    def _choose_shown(self) -> None:
        """Choose the test inputs whose answers are kept."""
        labels = self.data.test_y.cpu().numpy()
        points = self.data.info.kind == "points"
        self._shown_places = list(range(min(SHOWN_POINTS, len(labels)))) if points else _different_labels(labels)
        self.shown = self.data.test_x[self._shown_places]


def joined(measured: Sequence[Sequence[tuple[Any, Any]]]) -> Curve:
    """Chunks of (losses, errors) on each split, put together."""
    losses, errors = (
        {split: [v for chunk in measured for v in chunk[place][k].tolist()] for place, split in enumerate(SPLITS)}
        for k in (0, 1)
    )
    return Curve(losses, errors)


def find(
    task: Task, method: str, config: Experiment, report: Report = quiet, watch: Callable[[Step], None] | None = None
) -> Match:
    """Run the method of that name with the config's settings; `watch` hears the steps of its search.

    Slow methods report progress; that may raise Stopped.
    """
    from lmc import matching

    seed = config.match_seed
    weight = {"seed": seed, "restarts": config.restarts, "kernel": config.weight_kernel, "order": config.weight_order}
    heard = {"report": report, "watch": watch or matching.unseen}
    descent = {"seed": seed, "steps": config.match_steps, **heard}
    methods: dict[str, tuple[Callable[..., Match], dict[str, Any]]] = {
        "none": (matching.no_matching, {}),
        "random": (matching.random_matching, {"seed": seed}),
        "weight": (matching.weight_matching, {**weight, **heard}),
        "activation": (
            matching.activation_matching,
            {"kernel": config.activation_kernel, "layers": config.activation_layers},
        ),
        "straight_through": (matching.straight_through, {"restarts": config.restarts, **descent}),
        "sinkhorn": (matching.sinkhorn, {"loss": config.sinkhorn_loss, **descent}),
        "annealing": (matching.simulated_annealing, {**descent, "steps": config.anneal_steps}),
    }
    method_, options = methods[method]
    return method_(task, **options)


def _holding(traced: Traced, names: Sequence[str]) -> Traced:
    """The symmetries without those of the named groups. Raises InputError that lists the groups."""
    try:
        return traced.holding(names)
    except KeyError as error:
        right = f"choose any of: {', '.join(traced.spec.groups)}"
        raise InputError("hold", error.args[0], right) from None


def _measured(data: Dataset, count: int) -> Dataset:
    """The part of a data set that is measured on: all of a split, or a fixed draw of `count`."""
    train, test = (_subset(labels, count) for labels in (data.train_y, data.test_y))
    return replace(
        data,
        train_x=data.train_x[train],
        train_y=data.train_y[train],
        test_x=data.test_x[test],
        test_y=data.test_y[test],
    )


def _subset(labels: Tensor, count: int) -> Any:
    """What indexes a fixed class-balanced draw; everything, uncopied, if there is no more than `count`."""
    from lmc.data import balanced_subset

    return slice(None) if len(labels) <= count else balanced_subset(labels, count, seed=0).to(labels.device)


def _shuffled(images: Tensor) -> Tensor:
    """The images in one fixed order: a folder lies class by class, and a batch of BatchNorm should hold all classes."""
    import torch

    from lmc.seeds import generator

    return images[torch.randperm(len(images), generator=generator("reset order")).to(images.device)]


def _different_labels(labels: np.ndarray) -> list[int]:
    """Places of the first image of each class, the first `SHOWN_IMAGES` of them."""
    _, first = np.unique(labels, return_index=True)
    return sorted(first.tolist())[:SHOWN_IMAGES]
