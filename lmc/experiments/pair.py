"""Two networks: the segment between them, with and without a permutation of the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lmc.experiments.base import Experiment
from lmc.experiments.work import Work, part
from lmc.result import Result, columns, versions

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
        from lmc.experiments.comparison import Comparison

        networks = self.networks()
        pairs = self.members()
        used = sorted({place for pair in pairs for place in pair})
        before = 0.1 if self.load else 0.8
        states = work.final_states([networks[k] for k in used], part(work.report, 0.0, before))
        bench = Comparison(self, work)
        for done, (i, j) in enumerate(pairs):
            share = (1 - before) / len(pairs)
            report = part(work.report, before + share * done, before + share * (done + 1))
            a, b = (networks[k] for k in (i, j))
            bench.compare((a.label, b.label), states[a.id], states[b.id], report)
        return Result(
            experiment=self.name,
            id=self.id,
            config=self.to_json(),
            metrics={
                **_means(bench.barriers),
                **_objectives(bench.objectives),
                "check.max_logit_difference": bench.largest_difference,
            },
            tables={name: columns(getattr(bench, name), names) for name, names in TABLES.items()},
            arrays=bench.arrays,
            networks=[networks[k].id for k in used],
            seconds=0.0,
            made_with=versions(str(work.device), self.dtype),
        )


def _means(barriers: list[dict[str, Any]]) -> dict[str, float]:
    """Mean barriers over the pairs, keyed `<quantity>.<method>.direct.<split>`."""
    grouped: dict[str, list[float]] = {}
    for row in barriers:
        for quantity in ("error_barrier", "loss_barrier"):
            grouped.setdefault(f"{quantity}.{row['method']}.direct.{row['split']}", []).append(row[quantity])
    return {key: float(np.mean(values)) for key, values in grouped.items()}


def _objectives(found: dict[str, list[float]]) -> dict[str, float]:
    """Mean of ⟨θ_A, π(θ_B)⟩ over the pairs, keyed `objective.<method>.direct`."""
    return {f"objective.{method}.direct": float(np.mean(values)) for method, values in found.items()}
