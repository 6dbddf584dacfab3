"""One network trained under another's mask: does a permutation carry a mask over?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lmc.experiments.history import matched
from lmc.experiments.networks import Loaded, Network, content_id
from lmc.experiments.options import option
from lmc.experiments.pruning import MOST_LEVELS, Pruned
from lmc.experiments.work import Work, part
from lmc.result import Piece, Table, columns, joined_records, versions

if TYPE_CHECKING:
    from lmc.experiments.bench import Bench
    from lmc.pruning import Mask

COLUMNS = ("pair", "method", "mask", "level", "density", "split", "loss", "error")


@dataclass(frozen=True, kw_only=True)
class Transport(Pruned):
    """B trained from its own rewind point under several masks of one level (Sharma et al. 2024).

    They are its own, A's in the order of the dense networks' permutation, A's as it is, and a random one that keeps as
    many weights in every layer as A's. Example: `lmc.run(lmc.Transport(width=128, level=8))`.
    """

    name: ClassVar[str] = "transport"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 2

    level: int = option(12, "level of pruning whose masks are tried", low=1, high=MOST_LEVELS)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_whole("level")

    def reads(self, part: tuple[int, ...]) -> list[tuple[Network | Loaded, tuple[int, ...]]]:
        a, b = self.pair(part)
        return [
            (a, (a.last_epoch,)),
            (b, tuple(sorted({self.rewind, b.last_epoch}))),
            *((self.pruned(network), (self.level,)) for network in (a, b)),
        ]

    def wanted(self) -> list[tuple[Network, tuple[int, ...]]]:
        """A level needs the ones before it."""
        every = tuple(range(1, self.level + 1))
        return [(n, every if n.pruning else epochs) for n, epochs in super().wanted()]

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One pair: B is trained under every mask. Reports progress; may raise Stopped or InputError."""
        from lmc.experiments.bench import Bench
        from lmc.pruning import density, mask_of, prunable
        from lmc.stacking import stack_states

        bench = Bench(self, work)
        a, b = self.pair(part)
        names = prunable(bench.model, self.last_layer)
        pruned = work.checkpoints([self.pruned(a), self.pruned(b)], [self.level])
        own = pruned[self.pruned(b).id][self.level]
        masks = self._masks(a, b, mask_of(pruned[self.pruned(a).id][self.level], names), bench, work)
        trained = self._trained(b, masks, work)
        found = {("none", "own"): (mask_of(own, names), own)}
        found |= {key: (masks[key], state) for key, state in zip(masks, trained, strict=True)}
        measured = bench.measure(stack_states([state for _, state in found.values()]))
        rows = [
            {"pair": f"{a.label}-{b.label}", "method": method, "mask": name, "level": self.level,
             "density": density(mask), "split": split, "loss": float(losses[k]), "error": float(errors[k])}
            for split, (losses, errors) in zip(("train", "test"), measured, strict=True)
            for k, ((method, name), (mask, _)) in enumerate(found.items())
        ]  # fmt: skip
        made_with = versions(str(bench.shown.device), self.dtype)
        return Piece(tables={"transport": rows}, values={}, arrays={}, check=bench.check, made_with=made_with)

    def _masks(self, a: Network, b: Network, mask: Mask, bench: Bench, work: Work) -> dict[tuple[str, str], Mask]:
        """(method, name) → a mask for B, made from A's."""
        from lmc.permutation import apply_permutation, invert
        from lmc.pruning import random_mask
        from lmc.seeds import generator

        states = work.final_states([a, b])
        found: dict[tuple[str, str], Mask] = {}
        for method in self.method[1:]:
            order = matched(bench, method, states[a.id], states[b.id], work.report)
            found[method, "transported"] = apply_permutation(bench.traced.spec, invert(order), mask)
        found["none", "unpermuted"] = mask
        draws = generator("random mask", self.match_seed, b.seed, b.order_seed, self.level)
        found["none", "random"] = random_mask(mask, draws)
        return found

    def _trained(self, b: Network, masks: dict[tuple[str, str], Mask], work: Work) -> list[Any]:
        from lmc.experiments.trainer import Trainer
        from lmc.pruning import masked

        pruned, trainer, keys = self.pruned(b), Trainer(work), list(masks)
        start = trainer.rewound(pruned)
        trained = trainer.run(
            [pruned] * len(masks),
            [masked(start, mask) for mask in masks.values()],
            begin=self.rewind,
            masks=list(masks.values()),
            saved_as=lambda places: content_id("transport", 1, {"id": self.id, "masks": [keys[p] for p in places]}),
            report=part(work.report, 0.05, 0.95),
        )
        return [found.checkpoints[b.last_epoch] for found in trained]

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        return {"transport": columns(joined_records(pieces, "transport"), COLUMNS)}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        """Mean error and loss of B, `<quantity>.<method>.<mask>.<split>`."""
        found: dict[str, list[float]] = {}
        for row in joined_records(pieces, "transport"):
            for quantity in ("loss", "error"):
                found.setdefault(f"{quantity}.{row['method']}.{row['mask']}.{row['split']}", []).append(row[quantity])
        return {key: float(np.mean(values)) for key, values in found.items()}
