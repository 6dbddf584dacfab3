"""Two networks: the segment between them, with and without a permutation of the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lmc.experiments.base import Experiment
from lmc.experiments.work import Work
from lmc.result import Piece, Table, columns, joined_records

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

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One pair: match, interpolate, measure. Reports progress; may raise Stopped or InputError."""
        from lmc.experiments.comparison import Comparison

        a, b = (self.networks()[place] for place in part)
        states = work.final_states([a, b])
        bench = Comparison(self, work)
        bench.compare((a.label, b.label), states[a.id], states[b.id], work.report)
        return bench.piece()

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        return {name: columns(joined_records(pieces, name), names) for name, names in TABLES.items()}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        return {**_means(joined_records(pieces, "barriers")), **_objectives(pieces)}


def _means(barriers: list[dict[str, Any]]) -> dict[str, float]:
    """Mean barriers over the pairs, keyed `<quantity>.<method>.direct.<split>`."""
    grouped: dict[str, list[float]] = {}
    for row in barriers:
        for quantity in ("error_barrier", "loss_barrier"):
            grouped.setdefault(f"{quantity}.{row['method']}.direct.{row['split']}", []).append(row[quantity])
    return {key: float(np.mean(values)) for key, values in grouped.items()}


def _objectives(pieces: Sequence[Piece]) -> dict[str, float]:
    """Mean of ⟨θ_A, π(θ_B)⟩ over the pairs, keyed `objective.<method>.direct`."""
    found: dict[str, list[float]] = {}
    for piece in pieces:
        for method, values in piece.values.items():
            found.setdefault(f"objective.{method}.direct", []).extend(values)
    return {key: float(np.mean(values)) for key, values in found.items()}
