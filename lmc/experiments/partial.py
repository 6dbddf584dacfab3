"""A narrow network matched into a wide one, filled up with units that do nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from lmc.errors import InputError
from lmc.experiments.bench import CHECK_INPUTS
from lmc.experiments.networks import Loaded, Network
from lmc.experiments.options import option
from lmc.experiments.pair import Pair
from lmc.experiments.work import Work
from lmc.result import Piece

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lmc.experiments.bench import Bench
    from lmc.stacking import State

SAME = 1e-8  # as far as class probabilities may be apart by rounding


@dataclass(frozen=True, kw_only=True)
class Partial(Pair):
    """A wide network and a narrow one, each of a seed of its own: B has units of 0 beside its own, and A's width.

    With permutations of the wide network, matching chooses which units of A get a partner. Example:
    `lmc.run(lmc.Partial(width=64, narrow=16, seeds=(0, 1)))`.
    """

    name: ClassVar[str] = "partial"
    revision: ClassVar[int] = 1

    narrow: int = option(16, "width of B; A has --width", low=1, high=100_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.load:
            right = "the narrow network is trained beside the wide one, so seeds would be right"
            raise InputError("load", self.load, right)
        wide = self.width
        self._set("width", self.narrow)
        try:
            self._check_shape()
        except InputError as error:
            raise InputError("narrow", self.narrow, error.right) from None
        finally:
            self._set("narrow", self.width)
            self._set("width", wide)
        if self.narrow > wide:
            raise InputError("narrow", self.narrow, f"at most the width of A, {wide}, would be right")

    def networks(self) -> tuple[Network | Loaded, ...]:
        """The wide networks in the order of the seeds, then the narrow ones."""
        wide = super().networks()
        return (*wide, *(replace(network, width=self.narrow) for network in wide))

    def members(self) -> list[tuple[int, ...]]:
        return [(a, len(self.seeds) + b) for a, b in super().members()]

    def run_part(self, part: tuple[int, ...], work: Work) -> Piece:
        """One pair. Reports progress; may raise Stopped, or InputError if B cannot be widened."""
        from lmc.experiments.comparison import Comparison
        from lmc.matching import widened

        a, b = (self.networks()[place] for place in part)
        states = [work.final_states([network])[network.id] for network in (a, b)]
        comparison = Comparison(self, work)
        larger = widened(work.traced(b).spec, work.traced(a).spec, states[1])
        self._require_same_function(comparison.bench, work, b, states[1], larger)
        comparison.compare((a.label, b.label), states[0], larger, work.report)
        return comparison.piece()

    def _require_same_function(
        self, bench: Bench, work: Work, network: Network | Loaded, narrow: State, wide: State
    ) -> None:
        """Raise InputError if the units of 0 change what the narrow network answers."""
        from lmc.interpolation import predict

        inputs = bench.data.test_x[:CHECK_INPUTS].double()

        def answers(model: nn.Module, state: State) -> Tensor:
            alone = {n: (t.double() if t.is_floating_point() else t)[None] for n, t in state.items()}
            return predict(model, alone, inputs)

        change = answers(work.model(network), narrow) - answers(bench.model, wide)
        if not float(change.abs().max()) <= SAME:
            right = "units of 0 would change the statistics that others are normalised by; none or batch would be right"
            raise InputError("norm", self.norm, right)
