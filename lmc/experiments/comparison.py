"""Pairs compared one after another: matched, checked, interpolated, measured; the rows are collected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc.barriers import barrier
from lmc.experiments.base import INSTANT, Experiment
from lmc.experiments.bench import SPLITS, Bench
from lmc.experiments.work import Report, Work, naming, part
from lmc.result import Piece, versions

if TYPE_CHECKING:
    from torch import Tensor

    from lmc.matching import Match, Task
    from lmc.stacking import State

PLANE_SIDE = 64  # points a side where the answers over a plane are kept
SHOWN_UNITS = 64  # units a side of the kept similarity pictures

Ends = dict[str, tuple[float, float]]
"""Split → loss and error of a network as it is."""


def array_name(pair: str, method: str, what: str, group: str = "") -> str:
    """The key in `Result.arrays`: what is one of `answers`, `plane`, `permutation`, `similarity`."""
    return "|".join((pair, method, what, group))


def matching_share(method: str) -> float:
    """The share of its time that a method needs to find a permutation, as far as progress tells."""
    return 0.2 if method in INSTANT else 0.8


class Comparison:
    """The tables `path`, `barriers` and `layers` and the arrays of pairs that are compared with A."""

    def __init__(self, config: Experiment, work: Work) -> None:
        self.config, self.bench = config, Bench(config, work)
        self.path: list[dict[str, Any]] = []
        self.barriers: list[dict[str, Any]] = []
        self.layers: list[dict[str, Any]] = []
        self.objectives: dict[str, list[float]] = {}
        self.arrays = self.bench.pictures()
        self._ends: dict[str, Ends] = {}
        self._points = self.bench.data.info.kind == "points"
        if self._points:
            self._lay_plane()

    def compare(self, labels: tuple[str, str], a: State, b: State, report: Report) -> None:
        """Measure the segment from `a` to `b` under every method; `labels` are their names."""
        task = self.bench.task(a, b)
        for place, method in enumerate(self.config.method):
            share = part(report, place / len(self.config.method), (place + 1) / len(self.config.method))
            said = f"pair {'-'.join(labels)}, {method}"
            share(0.0, f"{said}: matching")
            matched = matching_share(method)
            match = self.bench.match(task, method, naming(said, part(share, 0.0, matched)))
            self.under(labels, method, task, match, part(share, matched, 1.0))
            self._units("-".join(labels), method, task, match)

    def under(self, labels: tuple[str, str], method: str, task: Task, match: Match, report: Report) -> None:
        """Measure the segment of a task under what a method has found, and keep the permutation."""
        from lmc.permutation import apply_permutation

        pair = "-".join(labels)
        self.objectives.setdefault(method, []).append(match.objective)
        moved = apply_permutation(task.spec, match.permutation, task.b)
        report(0.0, f"pair {pair}, {method}: interpolating")
        self._segment(pair, method, task.a, moved, self._as_they_are(labels, task.a, task.b), report)
        for group, order in match.permutation.items():
            self.arrays[array_name(pair, method, "permutation", group)] = order.numpy().astype(np.int32)

    def piece(self) -> Piece:
        """What was measured so far."""
        return Piece(
            tables={"path": self.path, "barriers": self.barriers, "layers": self.layers},
            values=self.objectives,
            arrays=self.arrays,
            check=self.bench.check,
            made_with=versions(str(self.bench.shown.device), self.config.dtype),
        )

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
            for lam, loss, error in zip(self.bench.lams, losses, errors, strict=True):
                self.path.append({**key, "lam": lam, "loss": loss, "error": error})
            heights = {
                "loss_barrier": barrier(self.bench.lams, losses),
                "error_barrier": barrier(self.bench.lams, errors),
            }
            of_a, of_b = ((losses[k], errors[k]) for k in (0, -1)) if ends is None else (end[split] for end in ends)
            values = {"loss_a": of_a[0], "loss_b": of_b[0], "error_a": of_a[1], "error_b": of_b[1]}
            self.barriers.append({**key, **heights, **values})
        answers = _joined([chunk[2] for chunk in chunks])
        self.arrays[array_name(pair, method, "answers")] = answers.float().cpu().numpy()
        if self._points:
            plane = _joined([chunk[3] for chunk in chunks])
            self.arrays[array_name(pair, method, "plane")] = (255 * plane).round().byte().cpu().numpy()

    def _measure(self, a: State, b: State) -> Iterator[tuple[float, list[Any]]]:
        """For each chunk of λ the share done, and (losses, errors) on each split, answers on the shown inputs."""
        from lmc.interpolation import chunks, predict

        bench = self.bench
        states_at, done = bench.along(a, b), 0
        for lams in chunks(bench.model, bench.lams):
            states = states_at(lams)
            measured: list[Any] = [*bench.measure(states), bench.answers(states)]
            if self._points:
                measured.append(predict(bench.model, states, self.plane))
            done += len(lams)
            yield done / len(bench.lams), measured

    def _as_they_are(self, labels: tuple[str, str], a: State, b: State) -> tuple[Ends, Ends] | None:
        """Both networks with their stored statistics, where the ends of a path are something else."""
        from lmc.normalization import has_statistics

        if not has_statistics(self.bench.model):
            return None
        for label, state in zip(labels, (a, b), strict=True):
            if label not in self._ends:
                alone = {name: tensor[None] for name, tensor in state.items()}
                found = zip(SPLITS, self.bench.measure(alone), strict=True)
                self._ends[label] = {split: (float(loss), float(error)) for split, (loss, error) in found}
        return self._ends[labels[0]], self._ends[labels[1]]

    # Pictures

    def _lay_plane(self) -> None:
        from lmc.data import plane, plane_extent

        data, shown = self.bench.data, self.bench.shown
        self.plane = plane(data, PLANE_SIDE).to(shown.device, shown.dtype)
        self.arrays["extent"] = np.asarray(plane_extent(data))

    def _units(self, pair: str, method: str, task: Task, match: Match) -> None:
        from lmc.permutation import moved

        moved_shares = moved(match.permutation)
        for group, order in match.permutation.items():
            units = len(order)
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


def _joined(parts: list[Tensor]) -> Tensor:
    import torch

    return torch.cat(parts)
