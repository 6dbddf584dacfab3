"""Pairs compared one after another: matched, checked, interpolated, measured; the rows are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc.barriers import barrier
from lmc.experiments.base import Experiment
from lmc.experiments.work import Report, Work, part, require_preserved
from lmc.result import Piece, versions

if TYPE_CHECKING:
    from torch import Tensor

    from lmc.data import Dataset
    from lmc.matching import Match, Task
    from lmc.stacking import State

SPLITS = ("train", "test")
SHOWN_IMAGES = 8  # test images whose answers are kept for the picture
SHOWN_POINTS = 300  # the same of points in a plane, which are small
PLANE_SIDE = 64  # points a side where the answers over a plane are kept
SHOWN_UNITS = 64  # units a side of the kept similarity pictures
CHECK_INPUTS = 64

Ends = dict[str, tuple[float, float]]
"""Split → loss and error of a network as it is."""


def array_name(pair: str, method: str, what: str, group: str = "") -> str:
    """The key in `Result.arrays`: what is one of `answers`, `plane`, `permutation`, `similarity`."""
    return "|".join((pair, method, what, group))


class Comparison:
    """The tables `path`, `barriers` and `layers` and the arrays of pairs that are compared with A."""

    def __init__(self, config: Experiment, work: Work) -> None:
        from lmc.interpolation import grid

        self.config = config
        network = config.networks()[0]
        self.model, self.traced = work.model(network), work.traced(network)
        whole = work.dataset(network)
        self.data = _measured(whole, config.eval_images)
        self.reset_inputs = _shuffled(whole.train_x[_subset(whole.train_y, config.reset_images)])
        self.lams = grid(config.points)
        self.path: list[dict[str, Any]] = []
        self.barriers: list[dict[str, Any]] = []
        self.layers: list[dict[str, Any]] = []
        self.largest_difference = 0.0
        self.objectives: dict[str, list[float]] = {method: [] for method in config.method}
        self.arrays: dict[str, np.ndarray] = {}
        self._ends: dict[str, Ends] = {}
        self._show_inputs()

    def compare(self, labels: tuple[str, str], a: State, b: State, report: Report) -> None:
        """Measure the segment from `a` to `b` under every method; `labels` are their names."""
        from lmc.matching import Task
        from lmc.permutation import apply_permutation

        pair = "-".join(labels)
        task = Task(self.traced, a, b, self.data.train_x)
        ends = self._as_they_are(labels, a, b)
        for place, method in enumerate(self.config.method):
            share = part(report, place / len(self.config.method), (place + 1) / len(self.config.method))
            share(0.0, f"pair {pair}, {method}: matching")
            match = find(task, method, self.config)
            self._check(match, method, b)
            self.objectives[method].append(match.objective)
            moved = apply_permutation(task.spec, match.permutation, b)
            share(0.2, f"pair {pair}, {method}: interpolating")
            self._segment(pair, method, a, moved, ends, part(share, 0.2, 1.0))
            self._units(pair, method, task, match)

    def piece(self) -> Piece:
        """What was measured so far."""
        return Piece(
            tables={"path": self.path, "barriers": self.barriers, "layers": self.layers},
            values=self.objectives,
            arrays=self.arrays,
            check=self.largest_difference,
            made_with=versions(str(self.shown.device), self.config.dtype),
        )

    def _check(self, match: Match, method: str, b: State) -> None:
        if method == "none":  # nothing moved
            return
        from lmc.symmetry import max_logit_difference

        inputs = self.data.test_x[:CHECK_INPUTS]
        difference = max_logit_difference(self.model, self.traced.spec, match.permutation, state=b, inputs=inputs)
        require_preserved(difference, f"the permutation of method {method}")
        self.largest_difference = max(self.largest_difference, difference)

    # The segment

    def _segment(
        self, pair: str, method: str, a: State, b: State, ends: tuple[Ends, Ends] | None, report: Report
    ) -> None:
        chunks = []
        for done, chunk in self._measure(a, b):
            chunks.append(chunk)
            report(done, f"pair {pair}, {method}: interpolating")
        for place, split in enumerate(SPLITS):
            losses, errors = (_joined([chunk[place][k] for chunk in chunks]).tolist() for k in (0, 1))
            key = {"pair": pair, "method": method, "split": split}
            for lam, loss, error in zip(self.lams, losses, errors, strict=True):
                self.path.append({**key, "lam": lam, "loss": loss, "error": error})
            heights = {"loss_barrier": barrier(self.lams, losses), "error_barrier": barrier(self.lams, errors)}
            of_a, of_b = ((losses[k], errors[k]) for k in (0, -1)) if ends is None else (end[split] for end in ends)
            values = {"loss_a": of_a[0], "loss_b": of_b[0], "error_a": of_a[1], "error_b": of_b[1]}
            self.barriers.append({**key, **heights, **values})
        answers = _joined([chunk[2] for chunk in chunks])
        self.arrays[array_name(pair, method, "answers")] = answers.float().cpu().numpy()
        if self.data.info.kind == "points":
            plane = _joined([chunk[3] for chunk in chunks])
            self.arrays[array_name(pair, method, "plane")] = (255 * plane).round().byte().cpu().numpy()

    def _measure(self, a: State, b: State) -> Iterator[tuple[float, list[Any]]]:
        """For each chunk of λ the share done, and (losses, errors) on each split, answers on the shown inputs."""
        from lmc.interpolation import chunks, evaluate, predict

        states_at, done = self._path(a, b), 0
        for lams in chunks(self.model, self.lams):
            states = states_at(lams)
            measured: list[Any] = [evaluate(self.model, states, *self.data.split(split)) for split in SPLITS]
            measured.append(predict(self.model, states, self.shown))
            if self.data.info.kind == "points":
                measured.append(predict(self.model, states, self.plane))
            done += len(lams)
            yield done / len(self.lams), measured

    def _path(self, a: State, b: State) -> Callable[[Sequence[float]], State]:
        """What gives the networks at some λ, corrected as the config says."""
        from lmc.interpolation import interpolate
        from lmc.normalization import Repair, has_statistics, reset

        if self.config.correction == "repair":
            return Repair(self.model, a, b, self.reset_inputs).states
        if has_statistics(self.model):
            return lambda lams: reset(self.model, interpolate(a, b, lams), self.reset_inputs)
        return lambda lams: interpolate(a, b, lams)

    def _as_they_are(self, labels: tuple[str, str], a: State, b: State) -> tuple[Ends, Ends] | None:
        """Both networks with their stored statistics, where the ends of a path are something else."""
        from lmc.interpolation import evaluate
        from lmc.normalization import has_statistics

        if not has_statistics(self.model):
            return None
        for label, state in zip(labels, (a, b), strict=True):
            if label not in self._ends:
                alone = {name: tensor[None] for name, tensor in state.items()}
                found = {split: evaluate(self.model, alone, *self.data.split(split)) for split in SPLITS}
                self._ends[label] = {split: (float(loss), float(error)) for split, (loss, error) in found.items()}
        return self._ends[labels[0]], self._ends[labels[1]]

    # Pictures

    def _show_inputs(self) -> None:
        """Choose the test inputs whose answers are kept, and keep them as they were before normalisation."""
        labels = self.data.test_y.cpu().numpy()
        points = self.data.info.kind == "points"
        places = list(range(min(SHOWN_POINTS, len(labels)))) if points else _different_labels(labels)
        self.shown = self.data.test_x[places]
        self.arrays["images"] = self.data.pixels(self.shown.cpu().double()).numpy().astype(np.float32)
        self.arrays["labels"] = labels[places]
        if points:
            from lmc.data import plane, plane_extent

            self.plane = plane(self.data, PLANE_SIDE).to(self.shown.device, self.shown.dtype)
            self.arrays["extent"] = np.asarray(plane_extent(self.data))

    def _units(self, pair: str, method: str, task: Task, match: Match) -> None:
        from lmc.permutation import moved

        moved_shares = moved(match.permutation)
        for group, order in match.permutation.items():
            units = len(order)
            self.arrays[array_name(pair, method, "permutation", group)] = order.numpy().astype(np.int32)
            if group not in task.correlation:  # blocks, whose units stand for them
                continue
            correlation = task.correlation[group].cpu()
            after = correlation[:, order]
            self.layers.append(
                {
                    "pair": pair,
                    "method": method,
                    "permutation": group,
                    "units": units,
                    "moved": moved_shares[group],
                    "similarity_before": float(correlation.diagonal().mean()),
                    "similarity_after": float(after.diagonal().mean()),
                }
            )
            rows = np.unique(np.linspace(0, units - 1, min(units, SHOWN_UNITS)).round().astype(int))
            shown = after.numpy()[np.ix_(rows, rows)].astype(np.float32)
            self.arrays[array_name(pair, method, "similarity", group)] = shown


def find(task: Task, method: str, config: Experiment) -> Match:
    """Run the method of that name with the config's settings."""
    from lmc import matching

    methods: dict[str, Callable[[], Match]] = {
        "none": lambda: matching.no_matching(task),
        "random": lambda: matching.random_matching(task, seed=config.match_seed),
        "weight": lambda: matching.weight_matching(task, seed=config.match_seed, restarts=config.restarts),
        "activation": lambda: matching.activation_matching(task, kernel=config.activation_kernel),
    }
    return methods[method]()


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


def _joined(parts: list[Tensor]) -> Tensor:
    import torch

    return torch.cat(parts)


def _different_labels(labels: np.ndarray) -> list[int]:
    """Places of the first image of each class, the first `SHOWN_IMAGES` of them."""
    _, first = np.unique(labels, return_index=True)
    return sorted(first.tolist())[:SHOWN_IMAGES]
