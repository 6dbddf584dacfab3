"""Two networks: the segment between them, with and without a permutation of the second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.barriers import barrier
from lmc.experiments.base import Experiment
from lmc.experiments.work import Work, part
from lmc.result import Result, columns, versions

if TYPE_CHECKING:
    from lmc.matching import Match, Task
    from lmc.stacking import State

SPLITS = ("train", "test")
SHOWN_IMAGES = 8  # test images whose answers are kept for the picture
SHOWN_UNITS = 64  # units a side of the kept similarity pictures
CHECK_INPUTS = 64
TABLES = {
    "path": ("pair", "method", "split", "lam", "loss", "error"),
    "barriers": (
        "pair", "method", "split", "loss_barrier", "error_barrier", "loss_a", "loss_b", "error_a", "error_b",
    ),
    "layers": ("pair", "method", "permutation", "units", "moved", "similarity_before", "similarity_after"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pair(Experiment):
    """Every pair that can be drawn from the seeds: loss and error along its segment, under each method.

    Example: `lmc.run(lmc.Pair(width=32, seeds=(0, 1)))`.
    """

    name: ClassVar[str] = "pair"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 2

    def run(self, work: Work) -> Result:
        """Train or load the networks, match, interpolate. Reports progress; may raise Stopped or InputError."""
        networks = self.networks()
        epoch = networks[0].recipe.epochs
        pairs = self.members()
        used = sorted({place for pair in pairs for place in pair})
        found = work.checkpoints([networks[k] for k in used], [epoch], part(work.report, 0.0, 0.8))
        bench = _Bench(self, work)
        for done, (i, j) in enumerate(pairs):
            work.report(0.8 + 0.2 * done / len(pairs), f"matching and interpolating, pair {done + 1} of {len(pairs)}")
            ends = [found[networks[k].id][epoch] for k in (i, j)]
            bench.compare(f"{networks[i].label}-{networks[j].label}", *ends)
        return Result(
            experiment=self.name,
            id=self.id,
            config=self.to_json(),
            metrics={**_means(bench.barriers), "check.max_logit_difference": bench.largest_difference},
            tables={name: columns(getattr(bench, name), names) for name, names in TABLES.items()},
            arrays=bench.arrays,
            networks=[networks[k].id for k in used],
            seconds=0.0,
            made_with=versions(str(work.device), self.dtype),
        )


def array_name(pair: str, method: str, what: str, group: str = "") -> str:
    """The key in `Result.arrays`: what is one of `answers`, `permutation`, `similarity`."""
    return "|".join((pair, method, what, group))


class _Bench:
    """Compares pairs one after another and collects the rows."""

    def __init__(self, config: Pair, work: Work) -> None:
        from lmc.interpolation import grid

        self.config = config
        network = config.networks()[0]
        self.model, self.traced, self.data = work.model(network), work.traced(network), work.dataset(network)
        self.lams = grid(config.points)
        self.path: list[dict[str, Any]] = []
        self.barriers: list[dict[str, Any]] = []
        self.layers: list[dict[str, Any]] = []
        self.largest_difference = 0.0
        self.shown = _different_labels(self.data.test_y.cpu().numpy())
        pixels = self.data.test_x[self.shown].cpu().double().numpy() * self.data.std + self.data.mean
        self.arrays: dict[str, np.ndarray] = {
            "images": pixels.clip(0, 1).astype(np.float32),
            "labels": self.data.test_y[self.shown].cpu().numpy(),
        }

    def compare(self, pair: str, a: State, b: State) -> None:
        from lmc.matching import Task
        from lmc.permutation import apply_permutation

        task = Task(self.traced, a, b, self.data.train_x)
        for method in self.config.method:
            match = find(task, method, self.config)
            self._check(match, method, b)
            self._segment(pair, method, a, apply_permutation(task.spec, match.permutation, b))
            self._units(pair, method, task, match)

    def _check(self, match: Match, method: str, b: State) -> None:
        from lmc.symmetry import TOLERANCE, SymmetryError, max_logit_difference

        inputs = self.data.test_x[:CHECK_INPUTS]
        difference = max_logit_difference(self.model, self.traced.spec, match.permutation, state=b, inputs=inputs)
        if not difference <= TOLERANCE:
            raise SymmetryError(
                f"the permutation of method {method} changes the network's logits by {difference:.1e}, "
                f"more than {TOLERANCE:g}: nothing is shown, as the symmetries were traced wrongly"
            )
        self.largest_difference = max(self.largest_difference, difference)

    def _segment(self, pair: str, method: str, a: State, b: State) -> None:
        import torch

        chunks = list(self._measure(a, b))
        for place, split in enumerate(SPLITS):
            losses, errors = (torch.cat([chunk[place][k] for chunk in chunks]).tolist() for k in (0, 1))
            key = {"pair": pair, "method": method, "split": split}
            for lam, loss, error in zip(self.lams, losses, errors, strict=True):
                self.path.append({**key, "lam": lam, "loss": loss, "error": error})
            heights = {"loss_barrier": barrier(self.lams, losses), "error_barrier": barrier(self.lams, errors)}
            ends = {"loss_a": losses[0], "loss_b": losses[-1], "error_a": errors[0], "error_b": errors[-1]}
            self.barriers.append({**key, **heights, **ends})
        answers = torch.cat([chunk[-1] for chunk in chunks])
        self.arrays[array_name(pair, method, "answers")] = answers.float().cpu().numpy()

    def _measure(self, a: State, b: State) -> Iterator[tuple[Any, ...]]:
        """For each chunk of the segment: (losses, errors) on each split, then the answers on the shown images."""
        from lmc.interpolation import evaluate, predict, segment

        for states in segment(self.model, a, b, self.lams):
            measured = [evaluate(self.model, states, *self.data.split(split)) for split in SPLITS]
            yield *measured, predict(self.model, states, self.data.test_x[self.shown])

    def _units(self, pair: str, method: str, task: Task, match: Match) -> None:
        from lmc.permutation import moved

        moved_shares = moved(match.permutation)
        for group, order in match.permutation.items():
            units = len(order)
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
            self.arrays[array_name(pair, method, "permutation", group)] = order.numpy().astype(np.int32)
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


def _means(barriers: list[dict[str, Any]]) -> dict[str, float]:
    """Mean barriers over the pairs, keyed `<quantity>.<method>.direct.<split>`."""
    grouped: dict[str, list[float]] = {}
    for row in barriers:
        for quantity in ("error_barrier", "loss_barrier"):
            grouped.setdefault(f"{quantity}.{row['method']}.direct.{row['split']}", []).append(row[quantity])
    return {key: float(np.mean(values)) for key, values in grouped.items()}


def _different_labels(labels: np.ndarray) -> list[int]:
    """Places of the first image of each class, the first `SHOWN_IMAGES` of them."""
    _, first = np.unique(labels, return_index=True)
    return sorted(first.tolist())[:SHOWN_IMAGES]
