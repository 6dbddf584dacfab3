"""Does a permutation leave the function unchanged? A measurement on copies, in float64."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

# The module, not its functions: it imports this package, so one of the two must look names up late.
from lmc import permutation as permutations
from lmc.symmetry.axes import SymmetryError
from lmc.symmetry.spec import PermutationSpec

TOLERANCE = 1e-10


def max_logit_difference(
    model: nn.Module,
    spec: PermutationSpec,
    permutation: Mapping[str, Tensor],
    state: Mapping[str, Tensor] | None = None,
    *,
    inputs: Tensor,
) -> float:
    """max |Δlogit| / max(1, max |logit|) between θ and P[θ], in float64 and eval mode.

    The larger of two measurements: on the network as it is, and on a copy whose normalisation parameters
    and floating-point buffers are random. At initialisation these are all ones and zeros, so a spec that
    forgets to move them would pass the first measurement alone. The model is left alone.

    Args:
        model: the architecture, with its weights when `state` is not given.
        spec: the symmetries to believe.
        permutation: group name to index `[units]`.
        state: the weights to test instead of the model's.
        inputs: a batch `[N, …]`.
    """
    network = copy.deepcopy(model).double().eval().requires_grad_(False)
    if state is not None:
        network.load_state_dict(dict(state))
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    as_is = _difference(network, spec, permutation, inputs)
    _randomise(network, torch.Generator().manual_seed(0))
    return max(as_is, _difference(network, spec, permutation, inputs))


def check_spec(model: nn.Module, spec: PermutationSpec, inputs: Tensor, generator: torch.Generator) -> None:
    """Test a spec with a random permutation of all groups at once; on failure find the group at fault.

    Raises:
        SymmetryError: the function changed by more than 1e-10; the text names the first bad group.
    """
    permutation = permutations.random_permutation(spec, generator)
    joint = max_logit_difference(model, spec, permutation, inputs=inputs)
    if joint <= TOLERANCE:
        return
    for names in spec.together():
        change = max_logit_difference(model, spec, {name: permutation[name] for name in names}, inputs=inputs)
        if not change <= TOLERANCE:
            raise SymmetryError(
                f"Permuting the units of {names[0]!r} changes the function by {change:.2g} (relative to the "
                f"largest logit), so the spec is wrong for this model."
            )
    raise SymmetryError(
        f"Permuting all groups together changes the function by {joint:.2g}, though none of "
        f"{', '.join(permutation)} does alone, so the spec is wrong for this model."
    )


def _difference(network: nn.Module, spec: PermutationSpec, permutation: Mapping[str, Tensor], inputs: Tensor) -> float:
    state = network.state_dict()
    with torch.no_grad():
        before = network(inputs)
        permuted = permutations.apply_permutation(spec, permutation, state)
        # The state names every alias of a tied tensor, each with its own copy of the same values.
        after = torch.func.functional_call(network, permuted, (inputs,), tie_weights=False)
    change = (after - before).abs().max() / before.abs().max().clamp(min=1)
    return float(change)


def _randomise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw norm parameters and other vectors around 1, and buffers; running variances stay positive."""
    for module in network.modules():
        norm = "norm" in type(module).__name__.lower()
        for parameter in module.parameters(recurse=False):
            # Vectors too: a bias that starts at zero hides a forgotten axis just as well.
            if norm or parameter.ndim == 1:
                parameter.copy_(_uniform(parameter, generator))
    for name, buffer in network.named_buffers():
        if buffer.is_floating_point():
            drawn = _uniform(buffer, generator)
            buffer.copy_(drawn if name.endswith("var") else drawn - 1)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Values in [0.5, 1.5), drawn on the CPU so that a device changes nothing."""
    return torch.rand(like.shape, generator=generator, dtype=torch.float64).add(0.5).to(like.device)
