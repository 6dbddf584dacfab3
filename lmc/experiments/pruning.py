"""Two networks pruned level by level: does the permutation of the dense networks still align them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.barriers import CONNECTED
from lmc.errors import InputError
from lmc.experiments.comparison import SHOWN_UNITS, array_name
from lmc.experiments.history import History, matched, means
from lmc.experiments.networks import Loaded, Network, PruningPlan
from lmc.experiments.options import check_choice, option
from lmc.experiments.work import Work, naming, part
from lmc.result import Piece, Table, columns, joined_records, versions

if TYPE_CHECKING:
    from torch import Tensor

    from lmc.experiments.bench import Bench
    from lmc.permutation import Permutation
    from lmc.pruning import Mask

TABLES = {
    "levels": (
        "pair", "method", "level", "density", "permutation", "split", "loss_barrier", "error_barrier",
        "error_a", "error_b", "agreement",
    ),
    "masks": ("pair", "method", "level", "permutation", "layer", "density_a", "density_b", "overlap", "chance"),
}  # fmt: skip
LAST_LAYERS = ("keep", "prune")
MOST_LEVELS = 40


@dataclass(frozen=True, kw_only=True)
class Pruned(History):
    """Pairs of networks under iterative magnitude pruning with rewinding."""

    prune: float = option(0.2, "share of the remaining weights that a level prunes", low=0.001, high=0.999)
    rewind: int = option(2, "epoch whose weights every level begins again with", low=0, high=10_000)
    last_layer: str = option(
        "keep", "the layer that gives the logits: keep or prune; biases and norms are kept", choices=LAST_LAYERS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = self.__dataclass_fields__["prune"].metadata
        if isinstance(self.prune, bool) or not isinstance(self.prune, int | float):
            raise InputError("prune", self.prune, "a number between 0 and 1 would be right")
        if not limits["low"] <= self.prune <= limits["high"]:
            raise InputError(
                "prune", self.prune, f"a share from {limits['low']:g} to {limits['high']:g} would be right"
            )
        self._set("prune", float(self.prune))
        self._check_whole("rewind", (0, self.recipe.epochs - 1))
        check_choice("last_layer", self.last_layer, LAST_LAYERS)

    def pruned(self, network: Network) -> Network:
        """The network under this experiment's pruning; its checkpoints are the levels from 1 on."""
        return replace(network, pruning=PruningPlan(share=self.prune, rewind=self.rewind, last_layer=self.last_layer))

    def wanted(self) -> list[tuple[Network, tuple[int, ...]]]:
        """The dense networks also at the epoch that levels rewind to."""
        return [
            (network, tuple(sorted({self.rewind, *epochs})) if network.pruning is None else epochs)
            for network, epochs in super().wanted()
        ]


@dataclass(frozen=True, kw_only=True)
class Pruning(Pruned):
    """Every pair at every level of pruning: no permutation, the dense networks' and one fitted at that level.

    Weights of linear layers and convolutions are pruned, the smallest of all layers together (Sharma et al. 2024;
    Frankle et al. 2020). B is permuted with its mask; A stays as it is. Example:
    `lmc.run(lmc.Pruning(width=128, seeds=(0, 1, 2)))`.
    """

    name: ClassVar[str] = "pruning"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 2

    levels: int = option(12, "levels of pruning after the dense one, which is level 0", low=1, high=MOST_LEVELS)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_whole("levels")

    def parts(self) -> list[tuple[int, ...]]:
        """(place of A, of B, level), the dense ones first."""
        return [(*pair, level) for level in range(self.levels + 1) for pair in self.members()]

    def reads(self, part: tuple[int, ...]) -> list[tuple[Network | Loaded, tuple[int, ...]]]:
        dense = self.pair(part)
        found: list[tuple[Network | Loaded, tuple[int, ...]]] = [(n, (n.last_epoch,)) for n in dense]
        return found + [(self.pruned(n), (part[2],)) for n in dense if part[2]]

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One level of one pair. Reports progress; may raise Stopped."""
        from lmc.experiments.bench import Bench

        return _Level(self, part, Bench(self, work), work).piece()

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        return {name: columns(joined_records(pieces, name), names) for name, names in TABLES.items()}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        """Mean barriers at the last level, `<quantity>.<method>.<direct, dense or sparse>.<split>`.

        `density` is the share of weights that is left there; `connected_density.<method>.<comparison>.<split>` the
        lowest one down to which the mean error barrier is at most 0.02, if it is so for the dense networks.
        """
        records = joined_records(pieces, "levels")
        densities = {row["level"]: row["density"] for row in records}
        found = means(records, "method", "permutation", "split", "level")
        headlines = {"density": densities[self.levels]}
        for method, permutation, split in dict.fromkeys(key[:3] for key in found):
            key = f"{method}.{'direct' if permutation == 'none' else permutation}.{split}"
            at = [found[method, permutation, split, level] for level in range(self.levels + 1)]
            headlines |= {f"{quantity}.{key}": value for quantity, value in at[-1].items()}
            holds = [values["error_barrier"] <= CONNECTED for values in at]
            if holds[0]:
                level = holds.index(False) - 1 if False in holds else self.levels
                headlines[f"connected_density.{key}"] = densities[level]
        return headlines


class _Level:
    """The rows and pictures of one level of one pair."""

    def __init__(self, config: Pruning, part: tuple[int, ...], bench: Bench, work: Work) -> None:
        from lmc.pruning import everything, mask_of, prunable

        self.config, self.bench, self.work, self.level = config, bench, work, part[2]
        a, b = config.pair(part)
        self.label = f"{a.label}-{b.label}"
        states = work.final_states([a, b])
        self.dense = (states[a.id], states[b.id])
        self.names = prunable(bench.model, config.last_layer)
        if self.level:
            pruned = [config.pruned(network) for network in (a, b)]
            found = work.checkpoints(pruned, [self.level])
            self.a, self.b = (found[network.id][self.level] for network in pruned)
            self.masks = tuple(mask_of(state, self.names) for state in (self.a, self.b))
        else:
            self.a, self.b = self.dense
            self.masks = tuple(everything(state, self.names) for state in self.dense)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self.arrays: dict[str, np.ndarray] = {}

    def piece(self) -> Piece:
        """Everything about the level."""
        from lmc.permutation import agreement, identity

        where = f"pair {self.label}, level {self.level}"
        self._picture("none", "a", self.masks[0])
        self.work.report(0.0, f"{where}: no permutation")
        self._measure("none", "none", identity(self.bench.traced.spec), None)
        methods = self.config.method[1:]
        for k, method in enumerate(methods):
            begun = (k + 1) / (len(methods) + 1)
            self.work.report(begun, f"{where}: {method}")
            said = naming(where, part(self.work.report, begun, 1.0))
            dense = matched(self.bench, method, *self.dense, said)
            sparse = matched(self.bench, method, self.a, self.b, said) if self.level else dense
            share = agreement(dense, sparse)
            self._measure(method, "dense", dense, share)
            self._measure(method, "sparse", sparse, share)
        made_with = versions(str(self.bench.shown.device), self.config.dtype)
        return Piece(tables=self.rows, values={}, arrays=self.arrays, check=self.bench.check, made_with=made_with)

    def _measure(self, method: str, permutation: str, order: Permutation, share: float | None) -> None:
        from lmc.permutation import apply_permutation
        from lmc.pruning import density, overlap

        spec = self.bench.traced.spec
        b, mask = apply_permutation(spec, order, self.b), apply_permutation(spec, order, self.masks[1])
        curve = self.bench.segment(self.a, b)
        where = {"pair": self.label, "method": method, "level": self.level, "permutation": permutation}
        for split, (error_a, error_b) in self._as_they_are().items():
            row = {**where, "density": density(self.masks[0]), "split": split, **curve.barriers(self.bench.lams, split)}
            self.rows["levels"].append({**row, "error_a": error_a, "error_b": error_b, "agreement": share})
        for layer, (both, chance) in overlap(self.masks[0], mask).items():
            kept = {f"density_{name}": _kept(m[layer]) for name, m in (("a", self.masks[0]), ("b", mask))}
            self.rows["masks"].append({**where, "layer": layer, **kept, "overlap": both, "chance": chance})
        self._picture(method, permutation, mask)

    def _as_they_are(self) -> dict[str, tuple[float, float]]:
        """Split → errors of A and B with their stored statistics."""
        from lmc.experiments.bench import SPLITS
        from lmc.stacking import stack_states

        measured = self.bench.measure(stack_states([self.a, self.b]))
        return {
            split: (float(errors[0]), float(errors[1])) for split, (_, errors) in zip(SPLITS, measured, strict=True)
        }

    def _picture(self, method: str, permutation: str, mask: Mask) -> None:
        """Keep the first units of every layer's mask, as shares of 255 over the places of a kernel."""
        for layer, kept in mask.items() if self.level else ():
            shown: Tensor = kept.flatten(2).double().mean(-1) if kept.ndim > 2 else kept.double()
            name = array_name(self.label, method, f"mask_{permutation}@{self.level}", layer)
            self.arrays[name] = (255 * shown[:SHOWN_UNITS, :SHOWN_UNITS]).round().byte().cpu().numpy()


def _kept(mask: Tensor) -> float:
    return float(mask.double().mean())
