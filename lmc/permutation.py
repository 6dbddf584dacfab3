"""Permutations as values: make, apply, compose, invert and compare them.

A permutation is a dictionary from group name to an index: unit `i` of the result is unit `p[i]` of the
input, so permuting rows is `weight[p]`. A group that is left out keeps its order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lmc.symmetry.spec import PermutationSpec

Permutation = dict[str, Tensor]


def identity(spec: PermutationSpec) -> Permutation:
    """The permutation that moves nothing, with every group written out."""
    return {name: torch.arange(size) for name, size in spec.groups.items()}


def random_permutation(spec: PermutationSpec, generator: torch.Generator, share: float = 1.0) -> Permutation:
    """A uniform draw for every group, on the generator's device; below 1, only a `share` of the units may move.

    That is a share of every group, at least two units. Groups are drawn in the order of their names, so that the order
    of `spec.groups` changes nothing; those that lie in blocks last.
    """

    def draw(size: int) -> Tensor:
        order = torch.randperm(size, generator=generator, device=generator.device)
        if share >= 1:
            return order
        chosen = order[: max(2, round(share * size))]
        kept = torch.arange(size, device=generator.device)
        kept[chosen] = chosen[torch.randperm(len(chosen), generator=generator, device=generator.device)]
        return kept

    drawn = {name: draw(size) for name, size in sorted(spec.groups.items()) if name not in spec.blocks}
    for name, blocks in sorted(spec.blocks.items()):
        size = spec.groups[name] // spec.groups[blocks]
        drawn[name] = in_blocks(drawn[blocks], [draw(size) for _ in drawn[blocks]])
    return {name: drawn[name] for name in spec.groups}


def in_blocks(blocks: Tensor, units: Sequence[Tensor]) -> Tensor:
    """The index that puts block `blocks[i]` in place `i`, its units there in the order `units[i]`."""
    return torch.cat([block * len(order) + order for block, order in zip(blocks, units, strict=True)])


def compose(second: Mapping[str, Tensor], first: Mapping[str, Tensor]) -> Permutation:
    """The permutation that applies `first` and then `second`."""
    result = dict(first)
    for name, index in second.items():
        result[name] = first[name].to(index.device)[index] if name in first else index
    return result


def invert(permutation: Mapping[str, Tensor]) -> Permutation:
    """The permutation that undoes `permutation`."""
    return {name: torch.argsort(index) for name, index in permutation.items()}


def group_agreement(p: Mapping[str, Tensor], q: Mapping[str, Tensor]) -> dict[str, float]:
    """For every group of either, the share of units that both place the same; 1.0 for an empty group."""
    return {name: same / max(1, units) if units else 1.0 for name, (same, units) in _matches(p, q).items()}


def agreement(p: Mapping[str, Tensor], q: Mapping[str, Tensor]) -> float:
    """The share of units, over all groups of either, that both place the same; 1.0 without groups."""
    counts = _matches(p, q).values()
    units = sum(size for _, size in counts)
    return sum(same for same, _ in counts) / units if units else 1.0


def moved(permutation: Mapping[str, Tensor]) -> dict[str, float]:
    """For every group the share of units that changed place."""
    return {name: 1.0 - share for name, share in group_agreement(permutation, {}).items()}


def _matches(p: Mapping[str, Tensor], q: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """For every group: units placed the same, and units."""
    found = {}
    for name in dict.fromkeys((*p, *q)):
        left = p[name] if name in p else torch.arange(len(q[name]))
        right = q[name] if name in q else torch.arange(len(left))
        if len(left) != len(right):
            raise ValueError(f"{name!r} has {len(left)} units in one and {len(right)} in the other.")
        found[name] = (int((left.cpu() == right.cpu()).sum()), len(left))
    return found


def apply_permutation(
    spec: PermutationSpec, permutation: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The permuted network: a new state dict with the same entries.

    Moved tensors are new, the others are passed through, and `state` is never changed. Works under
    `torch.func.vmap` over stacked states and stacked permutations.

    Args:
        spec: the symmetries of the architecture.
        permutation: group name to index `[units]`.
        state: state-dict name to tensor, with one axis for every term in `spec.axes[name]`.

    Raises:
        ValueError: the spec does not know an entry, or an entry has another number of axes.
    """
    unknown = [name for name in permutation if name not in spec.groups]
    if unknown:
        raise ValueError(f"the permutation moves {unknown[0]!r}; the groups are {', '.join(spec.groups)}.")
    return {name: _permute(spec, permutation, name, tensor) for name, tensor in state.items()}


def _permute(spec: PermutationSpec, permutation: Mapping[str, Tensor], name: str, tensor: Tensor) -> Tensor:
    if name not in spec.axes:
        raise ValueError(f"the spec has no tensor {name!r}; is it the spec of another architecture?")
    axes = spec.axes[name]
    if tuple(axis.size for axis in axes) != tuple(tensor.shape):
        expected = [axis.size for axis in axes]
        raise ValueError(f"{name!r} has shape {list(tensor.shape)}, but the spec says {expected}.")
    for dim, axis in enumerate(axes):
        index = spec.index(axis, permutation, tensor.device)
        if index is not None:
            tensor = tensor.index_select(dim, index)
    return tensor


def validate(spec: PermutationSpec, permutation: Mapping[str, Tensor]) -> None:
    """Check that every entry is a permutation of a group of the spec, and that blocks keep together.

    Raises:
        ValueError: one sentence naming the group and what would be right.
    """
    for name, index in permutation.items():
        if name not in spec.groups:
            raise ValueError(f"the permutation moves {name!r}; the groups are {', '.join(spec.groups)}.")
        size = spec.groups[name]
        if index.dtype != torch.long or index.ndim != 1:
            found = f"{index.dtype} with {index.ndim} axes"
            raise ValueError(f"the index of {name!r} must be one axis of torch.int64, not {found}.")
        if not torch.equal(index.sort().values.cpu(), torch.arange(size)):
            raise ValueError(f"the index of {name!r} must hold each of 0 … {size - 1} exactly once.")
    for name, blocks in spec.blocks.items():
        units, count = spec.groups[name], spec.groups[blocks]
        came_from = permutation.get(name, torch.arange(units)).cpu().reshape(count, -1) // (units // count)
        order = permutation.get(blocks, torch.arange(count)).cpu()
        if not torch.equal(came_from, order[:, None].expand_as(came_from)):
            raise ValueError(f"the index of {name!r} must keep blocks together and move them as {blocks!r} does.")
