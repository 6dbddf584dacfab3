"""One start, two data orders: from which epoch on does training no longer part the networks?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from lmc.errors import InputError
from lmc.experiments.base import Experiment
from lmc.experiments.history import means
from lmc.experiments.networks import Loaded, Network
from lmc.experiments.options import check_number, option
from lmc.experiments.work import Work
from lmc.result import Piece, Table, columns, joined_records, versions

COLUMNS = ("network", "fork_epoch", "split", "loss_barrier", "error_barrier")
USUAL = (0, 1, 2, 5, 10, 20)


@dataclass(frozen=True, kw_only=True)
class Instability(Experiment):
    """Each network against a copy that sees the data in another order from epoch k on, without any permutation.

    This is the instability analysis of Frankle et al. 2020: once training is stable, both end in one linearly
    connected region. Example: `lmc.run(lmc.Instability(width=64, seeds=(0, 1), forks=(0, 5, 20)))`.
    """

    name: ClassVar[str] = "instability"
    revision: ClassVar[int] = 1
    group_size: ClassVar[int] = 1
    methods: ClassVar[tuple[str, ...]] = ("none",)

    method: tuple[str, ...] = option(("none",), "nothing is permuted here", choices=methods)
    forks: tuple[int, ...] = option(USUAL, "epochs after which the copy sees another order", low=0, high=10_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.load:
            raise InputError("load", self.load, "these networks have to be trained here; seeds would be right")
        if self.correction != "reset":
            raise InputError("correction", self.correction, "reset would be right here")
        if isinstance(self.forks, str) or not isinstance(self.forks, Sequence) or not self.forks:
            raise InputError("forks", self.forks, "a list of epochs would be right")
        last = self.recipe.epochs - 1
        given = [epoch for epoch in USUAL if epoch <= last] if self.forks == USUAL else self.forks
        limits = {"low": 0, "high": last}
        self._set("forks", tuple(sorted({int(check_number("forks", k, limits, whole=True)) for k in given})))

    def networks(self) -> tuple[Network | Loaded, ...]:
        """The networks in the order of the seeds, then their copies fork by fork."""
        own = [network for network in super().networks() if isinstance(network, Network)]
        return (*own, *(_copy(network, fork) for fork in self.forks for network in own))

    def members(self) -> list[tuple[int, ...]]:
        """(place of a network, of its copy): all copies of a network before those of the next."""
        count = len(self.seeds)
        return [(k, count * (fork + 1) + k) for k in range(count) for fork in range(len(self.forks))]

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One network and one copy. Reports progress; may raise Stopped."""
        from lmc.experiments.bench import Bench

        bench = Bench(self, work)
        a, b = (self.networks()[place] for place in part)
        states = work.final_states([a, b])
        work.report(0.0, f"network {a.label} and its copy {b.label}")
        curve = bench.segment(states[a.id], states[b.id])
        fork = self.forks[part[1] // len(self.seeds) - 1]
        rows = [
            {"network": a.label, "fork_epoch": fork, "split": split, **curve.barriers(bench.lams, split)}
            for split in curve.losses
        ]
        made_with = versions(str(bench.shown.device), self.dtype)
        return Piece(tables={"instability": rows}, values={}, arrays={}, check=0.0, made_with=made_with)

    def tables(self, pieces: Sequence[Piece]) -> dict[str, Table]:
        return {"instability": columns(joined_records(pieces, "instability"), COLUMNS)}

    def metrics(self, pieces: Sequence[Piece]) -> dict[str, float]:
        """Mean barriers `<quantity>.none.<fork…>.<split>`, the epoch behind `fork`."""
        found = means(joined_records(pieces, "instability"), "fork_epoch", "split")
        return {
            f"{quantity}.none.fork{fork}.{split}": value
            for (fork, split), values in found.items()
            for quantity, value in values.items()
        }


def _copy(network: Network, fork: int) -> Network:
    """The network whose data order is another one after epoch `fork`."""
    other = network.order_seed + 1
    return replace(network, fork=(fork, other)) if fork else replace(network, order_seed=other)
