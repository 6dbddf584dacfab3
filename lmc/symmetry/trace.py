"""Deriving a `PermutationSpec` from a model by reading the graph of its operations."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from lmc.symmetry.spec import PermutationSpec

if TYPE_CHECKING:
    from lmc.symmetry.capture import Captured
    from lmc.symmetry.taps import Tap


@dataclass(frozen=True)
class Traced:
    """What tracing found out about a model.

    Attributes:
        spec: the permutation symmetries.
        frozen: operations without a rule, whose tensors were fixed: operation, module path, source line.
        unused: parameters that the output does not depend on; they are fixed and in no group.
        model: a copy of the model in eval mode, without gradients.
    """

    spec: PermutationSpec
    frozen: tuple[str, ...]
    unused: tuple[str, ...]
    model: nn.Module = field(repr=False)
    _captured: Captured = field(repr=False)
    _taps: Mapping[str, tuple[Tap, ...]] = field(repr=False)
    _others: dict[tuple[int, ...], Captured] = field(default_factory=dict, repr=False)

    def activations(
        self, state: Mapping[str, Tensor], x: Tensor, which: Literal["last", "all"] = "last"
    ) -> dict[str, Tensor]:
        """Every group's activations `[samples, units]` of the network `state` in eval mode.

        They are the outputs of the last nonlinearity that carries the group, or of the last operation that
        does when there is none. Other axes (batch, pixels, partners in a flatten) are samples. A group that
        no activation carries, because only products of weights do, is left out. Nothing is computed after
        the last activation asked for. Works under `torch.func.vmap` over stacked states.

        Args:
            state: the state dict to run with.
            x: inputs `[batch, …]` on the state's device, of the state's dtype.
            which: "last", or "all" to join the outputs of all nonlinearities along the samples.

        Raises:
            ValueError: `which` is neither.
            KeyError: `state` lacks an entry.
            SymmetryError: the graph is bound to its batch size and cannot be exported for this one.
        """
        if which not in ("last", "all"):
            raise ValueError(f"which must be 'last' or 'all', not {which!r}.")
        from lmc.symmetry.taps import read_taps

        taps = [tap for found in self._taps.values() for tap in (found if which == "all" else found[-1:])]
        with torch.no_grad():
            found = read_taps(self._captured_for(x), state, x, taps)
        return {name: torch.cat(found[name]) for name in self.spec.groups if name in found}

    def holding(self, groups: Collection[str]) -> Traced:
        """The same, with some groups keeping their order; see `PermutationSpec.holding`.

        Raises:
            KeyError: there is no such group; the error names it.
        """
        return replace(self, spec=self.spec.holding(groups))

    def _captured_for(self, x: Tensor) -> Captured:
        """The graph, exported anew when the model wrote its batch size into the first one."""
        from lmc.symmetry.capture import capture

        if self._captured.batch in (None, x.shape[0]):
            return self._captured
        if (key := tuple(x.shape)) not in self._others:
            first = next(self.model.parameters(), x)
            dtype = self._captured.dtype if x.is_floating_point() else x.dtype
            example = torch.zeros(x.shape, dtype=dtype, device=first.device)
            self._others[key] = capture(self.model, example)
        return self._others[key]


def trace(model: nn.Module, example: Tensor) -> Traced:
    """Find the permutation symmetries of a model.

    The model, its train flag and the global random state are left alone. Where blocks of units (attention heads,
    groups of GroupNorm) seem to be free to reorder their units each by itself, that is tried in double precision on
    two random inputs (not on the meta device). The first call of a process takes
    1–2 s, later ones a fraction of it.

    Args:
        model: any module that maps one batch to outputs.
        example: inputs `[N, …]` on the model's device; values do not matter.

    Raises:
        SymmetryError: the model cannot be exported, for example because of data-dependent control flow.
    """
    from lmc.symmetry.capture import capture, evaluation_copy
    from lmc.symmetry.reading import Reading

    if len(example) < 2:
        # Export takes a batch of one for a constant.
        example = torch.cat([example, example])
    copied = evaluation_copy(model)
    captured = capture(copied, example)
    reading = Reading(copied, captured)
    reading.run()
    spec, taps = reading.result()
    if spec.blocks and not _holds(copied, spec, example):
        spec, taps = reading.result(own_orders=False)
    return Traced(spec, tuple(reading.frozen), reading.unused(), copied, captured, taps)


def _holds(model: nn.Module, spec: PermutationSpec, example: Tensor) -> bool:
    """Whether blocks may really reorder their units by themselves: whether a random permutation keeps the function.

    Weights are disturbed first: a layer that starts at zero would hide all that comes before it.
    """
    from lmc.permutation import random_permutation
    from lmc.symmetry.check import TOLERANCE, max_logit_difference

    if example.is_meta:
        return True
    draws = torch.Generator().manual_seed(0)
    model = copy.deepcopy(model)
    for weight in model.parameters():
        if weight.ndim > 1 and weight.is_floating_point():
            noise = torch.randn(weight.shape, generator=draws, dtype=torch.float64)
            weight.add_(noise.mul(math.sqrt(len(weight) / max(1, weight.numel()))).to(weight))
    inputs = example[:2]
    if inputs.is_floating_point():
        inputs = torch.randn(inputs.shape, generator=draws, dtype=torch.float64).to(example.device)
    return max_logit_difference(model, spec, random_permutation(spec, draws), inputs=inputs) <= TOLERANCE
