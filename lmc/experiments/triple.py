"""Three networks: the triangle between them, and what one permutation for each of them can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.barriers import simplex_excess
from lmc.experiments.comparison import array_name
from lmc.experiments.group import Curve, Group, Matched, Mixtures
from lmc.experiments.options import option
from lmc.experiments.work import Work, naming, part
from lmc.result import Piece, Table, columns, joined_records, versions

if TYPE_CHECKING:
    from lmc.experiments.bench import Bench
    from lmc.permutation import Permutation

TABLES = {
    "simplex": ("triple", "method", "split", "w0", "w1", "w2", "loss", "error"),
    "barriers": ("triple", "method", "comparison", "split", "loss_barrier", "error_barrier"),
    "path": ("triple", "method", "comparison", "split", "lam", "loss", "error"),
    "via": (
        "triple", "method", "reference", "comparison", "split", "loss_barrier", "error_barrier",
        "direct_loss_barrier", "direct_error_barrier",
    ),
    "cycle": ("triple", "method", "split", "home", "loss_barrier", "error_barrier"),
}  # fmt: skip
SHORT = {"1-2 direct": "direct", "1-2 via 0": "via", "simplex": "simplex", "centroid": "centroid"}
"""Comparison in the table `barriers` → its name in a metric."""

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Triple(Group):
    """Every triple that can be drawn from the seeds: its edges, its inside, and what a third network is good for.

    Networks 1 and 2 of a triple are matched to network 0. The edge between them is then compared with the two matched
    to each other (Sharma et al. 2024, strong connectivity). Example: `lmc.run(lmc.Triple(width=32, seeds=(0, 1, 2)))`.
    """

    name: ClassVar[str] = "triple"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 3

    side: int = option(24, "steps along a side of the triangle", low=1, high=200)
    references: int = option(
        3, "so many of a triple's networks are, in turn, the reference that the other two meet at", low=1, high=3
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_whole("side")
        self._check_whole("references")

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One triple: match, measure the segments and the triangle. Reports progress; may raise Stopped."""
        from lmc.experiments.bench import Bench

        networks = [self.networks()[place] for place in part]
        states = work.final_states(networks)
        bench = Bench(self, work)
        return _Triangle(self, bench, work, networks, [states[network.id] for network in networks]).piece()

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        return {name: columns(joined_records(pieces, name), names) for name, names in TABLES.items()}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        """Means of `<quantity>.<method>.<direct, via, simplex or centroid>.<split>`, home shares and objectives."""
        found: dict[str, list[float]] = {}
        for row in joined_records(pieces, "barriers"):
            if row["comparison"] in SHORT:
                for quantity in ("error_barrier", "loss_barrier"):
                    key = f"{quantity}.{row['method']}.{SHORT[row['comparison']]}.{row['split']}"
                    found.setdefault(key, []).append(row[quantity])
        for row in joined_records(pieces, "cycle"):
            found.setdefault(f"home.{row['method']}", []).append(row["home"])
        for piece in pieces:
            for method, values in piece.values.items():
                found.setdefault(f"objective.{method}.simplex", []).extend(values)
        return {key: float(np.mean(values)) for key, values in found.items()}


class _Triangle:
    """The rows of one triple, method after method."""

    def __init__(self, config: Triple, bench: Bench, work: Work, networks: Any, states: Any) -> None:
        self.config, self.bench, self.report, self.states = config, bench, work.report, states
        self.label = "-".join(network.label for network in networks)
        self.mixtures = Mixtures(bench)
        self.rows: Rows = {name: [] for name in TABLES}
        self.arrays = bench.pictures()
        self.objectives: dict[str, list[float]] = {}

    def piece(self) -> Piece:
        """Everything about the triple."""
        methods = self.config.method
        for place, method in enumerate(methods):
            share = part(self.report, place / len(methods), (place + 1) / len(methods))
            share(0.0, f"triple {self.label}, {method}: matching")
            said = naming(f"triple {self.label}, {method}", part(share, 0.0, 0.2))
            matched = Matched(self.bench, self.states, method, said)
            key = {"triple": self.label, "method": method}
            self.objectives[method] = [matched.objective()]
            share(0.2, f"triple {self.label}, {method}: the edges")
            self._edges(matched, key)
            if method != "none":
                self._cycle(matched, key)
            share(0.5, f"triple {self.label}, {method}: the triangle")
            self._inside(matched, key)
        made_with = versions(str(self.bench.shown.device), self.config.dtype)
        return Piece(
            tables=self.rows, values=self.objectives, arrays=self.arrays, check=self.bench.check, made_with=made_with
        )

    def _edges(self, matched: Matched, key: dict[str, Any]) -> None:
        common = list(enumerate(matched.common))
        edges = {
            "0-1": self.mixtures.segment(matched, (common[0], common[1])),
            "0-2": self.mixtures.segment(matched, (common[0], common[2])),
            "1-2 via 0": self.mixtures.segment(matched, (common[1], common[2])),
            "1-2 direct": self._direct(matched, 1, 2),
        }
        for name, curve in edges.items():
            for split in curve.losses:
                where = {**key, "comparison": name, "split": split}
                self.rows["barriers"].append({**where, **curve.barriers(self.bench.lams, split)})
                values = zip(self.bench.lams, curve.losses[split], curve.errors[split], strict=True)
                self.rows["path"] += [{**where, "lam": lam, "loss": loss, "error": e} for lam, loss, e in values]
        for reference, (i, j) in list(enumerate(((1, 2), (0, 2), (0, 1))))[: self.config.references]:
            via = self.mixtures.segment(matched, ((i, matched.to(reference, i)), (j, matched.to(reference, j))))
            direct = self._direct(matched, i, j)
            for split in via.losses:
                alone = {f"direct_{name}": v for name, v in direct.barriers(self.bench.lams, split).items()}
                where = {**key, "reference": reference, "comparison": f"{i}-{j} via {reference}", "split": split}
                self.rows["via"].append({**where, **via.barriers(self.bench.lams, split), **alone})

    def _direct(self, matched: Matched, i: int, j: int) -> Curve:
        return self.mixtures.segment(matched, ((i, matched.common[0]), (j, matched.alone(i, j))))

    def _cycle(self, matched: Matched, key: dict[str, Any]) -> None:
        """Network 0 matched to 1, as that to 2, and as that back to 0: which units come home, and is it far away?"""
        from lmc.permutation import agreement, compose

        around: Permutation = matched.common[0]
        for reference, j in ((1, 0), (2, 1), (0, 2)):
            around = compose(matched.to(reference, j), around)
        curve = self.mixtures.segment(matched, ((0, matched.common[0]), (0, around)))
        home = agreement(around, matched.common[0])
        for split in curve.losses:
            self.rows["cycle"].append({**key, "split": split, "home": home, **curve.barriers(self.bench.lams, split)})

    def _inside(self, matched: Matched, key: dict[str, Any]) -> None:
        """The triangle: its edges are segments, the rest mixtures of three."""
        from lmc.simplex import centroid, simplex_grid

        weights = simplex_grid(3, self.config.side)
        if self.config.side % 3:
            weights = np.concatenate([weights, centroid(3)])
        inside = np.asarray((weights > 0).all(1))
        mixed = self.mixtures.mixed(matched.aligned, weights[inside])
        common = list(enumerate(matched.common))
        edges = {
            pair: self.mixtures.segment(matched, (common[pair[0]], common[pair[1]]), self.config.side + 1)
            for pair in ((0, 1), (0, 2), (1, 2))
        }
        for split in mixed.losses:
            losses, errors = (
                _on_triangle(weights, inside, [getattr(c, what)[split] for c in (mixed, *edges.values())])
                for what in ("losses", "errors")
            )
            where = {**key, "split": split}
            for w, loss, error in zip(weights.tolist(), losses, errors, strict=True):
                self.rows["simplex"].append(
                    {**where, "w0": w[0], "w1": w[1], "w2": w[2], "loss": float(loss), "error": float(error)}
                )
            middle = int(np.argmin(np.abs(weights - 1 / 3).sum(1)))
            excess = {name: simplex_excess(weights, v, _corners(weights, v)) for name, v in
                      (("loss_barrier", losses), ("error_barrier", errors))}  # fmt: skip
            fine = [
                self.mixtures.segment(matched, (common[i], common[j])) for i, j in edges
            ]  # a coarse grid may miss it
            along = [curve.barriers(self.bench.lams, split) for curve in fine]
            tops = {name: max(float(np.max(v)), *(edge[name] for edge in along)) for name, v in excess.items()}
            centre = {name: float(values[middle]) for name, values in excess.items()}
            self.rows["barriers"].append({**where, "comparison": "simplex", **tops})
            self.rows["barriers"].append({**where, "comparison": "centroid", **centre})
        self.arrays[array_name(self.label, key["method"], "answers")] = self.mixtures.answers(matched.aligned, weights)


def _on_triangle(weights: np.ndarray, inside: np.ndarray, values: Sequence[Sequence[float]]) -> np.ndarray:
    """Values at all weights from those inside and those along the edges 0–1, 0–2 and 1–2."""
    found = np.empty(len(weights))
    found[inside] = values[0]
    for (i, j), along in zip(((0, 1), (0, 2), (1, 2)), values[1:], strict=True):
        edge = np.flatnonzero(weights[:, 3 - i - j] == 0)
        found[edge] = np.asarray(along)[np.rint(weights[edge, j] * (len(along) - 1)).astype(int)]
    return found


def _corners(weights: np.ndarray, values: np.ndarray) -> list[float]:
    return [float(values[int(np.argmax(weights[:, k]))]) for k in range(weights.shape[1])]
