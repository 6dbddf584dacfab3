"""REPAIR: hidden units between two networks get the mean and the deviation that lie between those of the ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lmc.interpolation import interpolate
from lmc.normalization.running import at, own_copy, ready
from lmc.normalization.sites import Site, find_sites
from lmc.normalization.statistics import reset
from lmc.stacking import State, stack_states


def repair(
    model: nn.Module, a: Mapping[str, Tensor], b: Mapping[str, Tensor], lams: Sequence[float], inputs: Tensor
) -> State:
    """`Repair(model, a, b, inputs).states(lams)`: θ_λ with the unit statistics of a network, `[points, ...]`."""
    return Repair(model, a, b, inputs).states(lams)


class Repair:
    """REPAIR of the segment between two networks (Jordan et al. 2022).

    Every hidden unit's pre-activation in θ_λ is rescaled and shifted so that its mean and standard deviation on
    `inputs` are (1−λ)μ_A + λμ_B and (1−λ)σ_A + λσ_B. Layers are corrected in the order in which they run, each seeing
    inputs that are already corrected, and the correction is folded into weight and bias; so the points are no longer
    on a straight line, only the ends are still A and B. Running statistics are `reset` first, at the ends too.

    What is corrected is found by running the model once:

    - the output of every norm with weight and bias (BatchNorm, GroupNorm, LayerNorm), folded into these,
    - the output of every linear or convolutional layer with a bias that does not go straight into such a norm,
      in transformers thus also query, key, value and what is added to the residual stream;
    - not the last linear or convolutional layer that runs, which makes the logits, nor anything after it. Layers
      with neither bias nor norm, transposed convolutions and weights used without calling their module stay as
      they are.

    The last axis of linear layers and LayerNorm, the second one of the others, holds the units; all others (images,
    pixels, tokens) are samples. A unit that is constant cannot be rescaled; it is shifted.

    Args:
        model: a template whose own numbers are not used.
        a, b: state dicts of the ends.
        inputs: `[N, ...]` on their device, of their dtype. They run as one batch, so that layers can be corrected
            one after the other: memory is needed for a few layers' activations of all of them.

    Raises:
        ValueError: a module that would be corrected runs twice, or shares its weights with another.
    """

    @torch.no_grad()
    def __init__(self, model: nn.Module, a: Mapping[str, Tensor], b: Mapping[str, Tensor], inputs: Tensor) -> None:
        self._model, self._a, self._b, self._inputs = model, a, b, inputs
        self._network = own_copy(model)
        ends = reset(model, stack_states([a, b]), inputs)
        self._sites = find_sites(self._network, at(ends, 0), inputs[:2])
        self._moments = [self._measured(at(ends, k)) for k in (0, 1)]

    @torch.no_grad()
    def states(self, lams: Sequence[float]) -> State:
        """The repaired networks at every λ, stacked."""
        states = reset(self._model, interpolate(self._a, self._b, lams), self._inputs)
        for k, lam in enumerate(lams):
            self._correct(at(states, k), lam)
        return states

    def _measured(self, state: State) -> dict[str, Tensor]:
        """Mean and standard deviation of every unit, site → `[2, units]`."""
        found: dict[str, Tensor] = {}

        def measure(site: Site, output: Tensor) -> None:
            found[site.name] = _moments(output, site.axis)

        self._run(state, measure)
        return found

    def _correct(self, state: State, lam: float) -> None:
        """Rescale the units layer by layer; changes the tensors of `state` in place."""

        def correct(site: Site, output: Tensor) -> None:
            mean, deviation = _moments(output, site.axis)
            start, end = (moments[site.name] for moments in self._moments)
            target_mean, target = torch.lerp(start, end, lam)  # exact at both ends
            # Below this a deviation is rounding, and to divide by it would make noise of it.
            varies = deviation > torch.finfo(output.dtype).eps ** 0.5 * (mean.abs() + target)
            scale = torch.where(varies, target / deviation, 1.0)
            shift = target_mean - scale * mean
            output.mul_(_along(scale, site.axis, output.ndim)).add_(_along(shift, site.axis, output.ndim))
            weight, bias = state[f"{site.name}.weight"], state[f"{site.name}.bias"]
            weight.mul_(_along(scale, 0, weight.ndim))
            bias.mul_(scale).add_(shift)

        self._run(state, correct)

    def _run(self, state: State, visit: Callable[[Site, Tensor], None]) -> None:
        """Run the network on all inputs and show `visit` each site's output before anything else sees it."""
        handles = [
            site.module.register_forward_hook(lambda _module, _args, output, site=site: visit(site, output))
            for site in self._sites
        ]
        try:
            functional_call(self._network, ready(self._network, state), (self._inputs,))
        finally:
            for handle in handles:
                handle.remove()


def _moments(output: Tensor, axis: int) -> Tensor:
    """Mean and standard deviation `[2, units]` over all axes but the units'."""
    samples = output.movedim(axis, -1).flatten(0, -2)
    mean = samples.mean(0)
    variance = (samples - mean).square_().mean(0)  # measured: a third of the time of torch.var_mean
    return torch.stack((mean, variance.sqrt()))


def _along(units: Tensor, axis: int, ndim: int) -> Tensor:
    """`[units]` laid along one of `ndim` axes."""
    shape = [1] * ndim
    shape[axis] = -1
    return units.view(shape)
