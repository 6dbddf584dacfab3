"""What experiments on whole histories share: pairs of networks that are followed through training or pruning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lmc.errors import InputError
from lmc.experiments.base import METHODS, Experiment
from lmc.experiments.networks import Loaded, Network
from lmc.experiments.options import check_choice, option
from lmc.experiments.work import Report, naming, part

if TYPE_CHECKING:
    from lmc.experiments.bench import Bench
    from lmc.permutation import Permutation
    from lmc.stacking import State

CONTROLS = ("none", "twin")


@dataclass(frozen=True, kw_only=True)
class History(Experiment):
    """Pairs of networks at several moments. With the control `twin` each network is compared with its twin.

    A twin begins with the same weights in another order and sees the same batches, so it stays the same network in
    another order, and every permutation that is found must remove the whole barrier.
    """

    method: tuple[str, ...] = option(
        ("none", "weight"), "matching methods; none is always in the result", choices=METHODS
    )
    control: str = option(
        "none", "B of a pair: none for another seed, twin for A in another order, trained alike", choices=CONTROLS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("control", self.control, CONTROLS)
        if self.load:
            right = "a file holds one moment of a network, not its history; seeds would be right"
            raise InputError("load", self.load, right)
        if self.correction != "reset":
            raise InputError("correction", self.correction, "reset would be right here")

    def networks(self) -> tuple[Network | Loaded, ...]:
        """The networks in the order of the seeds, then their twins if they are the control."""
        own = super().networks()
        if self.control == "none":
            return own
        return (*own, *(replace(network, twin=network.seed) for network in own if isinstance(network, Network)))

    def members(self) -> list[tuple[int, ...]]:
        count = len(self.seeds)
        if self.control == "none":
            return super().members()
        twins: list[tuple[int, ...]] = [(place, count + place) for place in range(count)]
        return twins[: self.groups]

    def pair(self, part: tuple[int, ...]) -> tuple[Network, Network]:
        """The two networks of a part, whose first entries are their places."""
        a, b = (self.networks()[place] for place in part[:2])
        assert isinstance(a, Network) and isinstance(b, Network)
        return a, b


def matched(bench: Bench, method: str, a: State, b: State, report: Report) -> Permutation:
    """The permutation of `b` that the method finds. Raises CheckFailed if it changes the function of `b`.

    What is done is reported as the beginning of a part; that may raise Stopped.
    """
    return bench.match(bench.task(a, b), method, naming(method, part(report, 0.0, 0.0))).permutation


def means(records: list[dict[str, Any]], *names: str) -> dict[tuple[Any, ...], dict[str, float]]:
    """Mean loss and error barrier over the pairs, for every combination of the columns `names`."""
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in records:
        grouped.setdefault(tuple(row[name] for name in names), []).append(row)
    return {
        key: {q: sum(row[q] for row in found) / len(found) for q in ("loss_barrier", "error_barrier")}
        for key, found in grouped.items()
    }
