"""Many networks as one group: the simplex between them, and the network in its middle."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.barriers import simplex_excess
from lmc.errors import InputError
from lmc.experiments.bench import SPLITS
from lmc.experiments.group import Group, Matched, Mixtures
from lmc.experiments.options import option
from lmc.experiments.work import Work, naming, part
from lmc.result import Piece, Table, columns, joined_records, versions

if TYPE_CHECKING:
    from lmc.experiments.bench import Bench

TABLES = {
    "simplex": ("group", "method", "split", "weights", "kind", "loss", "error"),
    "barriers": ("group", "method", "comparison", "split", "loss_barrier", "error_barrier"),
    "merged": (
        "group", "method", "split", "loss_merged", "error_merged", "loss_parents", "error_parents",
        "best_error_parents", "loss_ensemble", "error_ensemble",
    ),
}  # fmt: skip
MOST = 32  # networks

Measured = dict[str, tuple[np.ndarray, np.ndarray]]
"""Split → losses and errors at the points."""


@dataclass(frozen=True, kw_only=True)
class Many(Group):
    """All networks as one group, each with one permutation: corners, edges, middle and random points of their simplex.

    Example: `lmc.run(lmc.Many(width=32, seeds=range(5), method=("weight", "merge_many")))`.
    """

    name: ClassVar[str] = "many"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 3

    samples: int = option(100, "random points inside the simplex", low=0, high=100_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_whole("samples")
        if len(self.load or self.seeds) > MOST:
            name = "load" if self.load else "seeds"
            raise InputError(name, getattr(self, name), f"{self.name} takes at most {MOST} networks")

    def members(self) -> list[tuple[int, ...]]:
        return [tuple(range(len(self.load or self.seeds)))]

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """The group: match, measure the simplex, its middle and the ensemble. Reports progress; may raise Stopped."""
        from lmc.experiments.bench import Bench

        networks = [self.networks()[place] for place in part]
        states = work.final_states(networks)
        simplex = _Simplex(self, Bench(self, work), [states[network.id] for network in networks])
        return simplex.piece("-".join(network.label for network in networks), work)

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        return {name: columns(joined_records(pieces, name), names) for name, names in TABLES.items()}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        """`<quantity>.<method>.<simplex or centroid>.<split>`, and errors of middle, parents and ensemble."""
        found = {}
        for row in joined_records(pieces, "barriers"):
            if row["comparison"] in ("simplex", "centroid"):
                for quantity in ("error_barrier", "loss_barrier"):
                    found[f"{quantity}.{row['method']}.{row['comparison']}.{row['split']}"] = row[quantity]
        for row in joined_records(pieces, "merged"):
            for what in ("merged", "parents", "ensemble"):
                found[f"error.{row['method']}.{what}.{row['split']}"] = row[f"error_{what}"]
        objectives = {f"objective.{method}.simplex": v[0] for method, v in pieces[0].values.items()}
        return {key: float(value) for key, value in {**found, **objectives}.items()}


class _Simplex:
    """The rows of one group, method after method."""

    def __init__(self, config: Many, bench: Bench, states: Any) -> None:
        from lmc.seeds import seed_for
        from lmc.simplex import centroid, random_weights

        self.config, self.bench, self.states = config, bench, states
        self.mixtures = Mixtures(bench)
        count = len(states)
        draws = np.random.default_rng(seed_for("simplex", count, config.samples))
        self.weights = np.concatenate([np.eye(count), centroid(count), random_weights(count, config.samples, draws)])
        self.kinds = ["corner"] * count + ["centroid"] + ["interior"] * config.samples
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self.ensemble = self._ensemble()

    def piece(self, label: str, work: Work) -> Piece:
        """Everything about the group."""
        objectives = {}
        for place, method in enumerate(self.config.method):
            share = part(work.report, place / len(self.config.method), (place + 1) / len(self.config.method))
            share(0.0, f"group {label}, {method}: matching")
            said = naming(f"group {label}, {method}", part(share, 0.0, 0.3))
            matched = Matched(self.bench, self.states, method, said)
            objectives[method] = [matched.objective()]
            share(0.3, f"group {label}, {method}: the simplex")
            self._measure(matched, {"group": label, "method": method})
        made_with = versions(str(self.bench.shown.device), self.config.dtype)
        return Piece(tables=self.rows, values=objectives, arrays={}, check=self.bench.check, made_with=made_with)

    def _measure(self, matched: Matched, key: dict[str, Any]) -> None:
        count, lams = len(self.states), self.bench.lams
        inside = self.mixtures.mixed(matched.aligned, self.weights)
        pairs = list(itertools.combinations(range(count), 2))
        common = list(enumerate(matched.common))
        edges = [self.mixtures.segment(matched, (common[i], common[j])) for i, j in pairs]
        along = [[(1 - lam) * np.eye(count)[i] + lam * np.eye(count)[j] for lam in lams[1:-1]] for i, j in pairs]
        weights = np.concatenate([self.weights, *along])
        kinds = self.kinds + ["edge"] * (len(weights) - len(self.weights))
        for split in SPLITS:
            where = {**key, "split": split}
            losses, errors = (
                np.concatenate([first[split], *(values[split][1:-1] for values in others)])
                for first, others in (
                    (inside.losses, [edge.losses for edge in edges]),
                    (inside.errors, [edge.errors for edge in edges]),
                )
            )
            for w, kind, loss, error in zip(weights.tolist(), kinds, losses.tolist(), errors.tolist(), strict=True):
                self.rows["simplex"].append({**where, "weights": w, "kind": kind, "loss": loss, "error": error})
            for (i, j), edge in zip(pairs, edges, strict=True):
                name = f"{i}-{j}" if i == 0 else f"{i}-{j} via 0"
                self.rows["barriers"].append({**where, "comparison": name, **edge.barriers(lams, split)})
            excess = {
                "loss_barrier": simplex_excess(weights, losses, losses[:count]),
                "error_barrier": simplex_excess(weights, errors, errors[:count]),
            }
            tops, middle = ({name: float(f(v)) for name, v in excess.items()} for f in (np.max, lambda v: v[count]))
            self.rows["barriers"].append({**where, "comparison": "simplex", **tops})
            self.rows["barriers"].append({**where, "comparison": "centroid", **middle})
            self.rows["merged"].append({**where, **self._merged(losses, errors), **self.ensemble[split]})

    def _merged(self, losses: np.ndarray, errors: np.ndarray) -> dict[str, float]:
        count = len(self.states)
        return {
            "loss_merged": float(losses[count]),
            "error_merged": float(errors[count]),
            "loss_parents": float(losses[:count].mean()),
            "error_parents": float(errors[:count].mean()),
            "best_error_parents": float(errors[:count].min()),
        }

    def _ensemble(self) -> dict[str, dict[str, float]]:
        """Split → loss and error of the mean of the parents' probabilities; a permutation changes neither."""
        import torch

        from lmc.interpolation import predict
        from lmc.stacking import stack_states

        found = {}
        parents = self.bench.corrected(stack_states(self.states))
        for split in SPLITS:
            x, y = self.bench.data.split(split)
            mean = predict(self.bench.model, parents, x).double().mean(0)
            loss = -mean.gather(1, y[:, None]).clamp_min(torch.finfo(torch.float32).tiny).log().mean()
            found[split] = {
                "loss_ensemble": float(loss),
                "error_ensemble": float((mean.argmax(1) != y).double().mean()),
            }
        return found
