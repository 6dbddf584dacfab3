"""`PermutationSpec`: which axes of which tensors move together, as plain data over state-dict names."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lmc.symmetry.axes import (
    Axis,
    Fixed,
    Group,
    Product,
    Sum,
    SymmetryError,
    concatenation,
    groups_in,
    product,
    spans,
)


@dataclass(frozen=True)
class Piece:
    """A block of a tensor that, sliced and reshaped, has at most one group along every dimension.

    Attributes:
        slices: one slice for every axis of the tensor.
        shape: the block's shape after reshaping; products are unfolded into several dimensions.
        groups: for every dimension of `shape` the group that moves along it, or None.
    """

    slices: tuple[slice, ...]
    shape: tuple[int, ...]
    groups: tuple[str | None, ...]

    def take(self, tensor: Tensor) -> Tensor:
        """The block of `tensor` in `shape`; a view where strides allow one."""
        return tensor[self.slices].reshape(self.shape)


@dataclass(frozen=True)
class PermutationSpec:
    """The permutation symmetries of one architecture (Git Re-Basin, Ainsworth et al. 2022, section 3).

    Attributes:
        groups: group name to number of units.
        axes: for every entry of the state dict, the term along each of its axes.
        parameters: the entries that are parameters, so that matching can leave buffers out.
        blocks: for a group whose units lie in blocks of equal size, the group of these blocks. Its permutations move
            the units of one block to one block, the same for all groups with these blocks, and in any order there.

    Raises:
        SymmetryError: an axis names a group that is not in `groups`, or gives it another size.
    """

    groups: dict[str, int]
    axes: dict[str, tuple[Axis, ...]]
    parameters: tuple[str, ...]
    blocks: dict[str, str] = field(default_factory=dict)
    _pieces: dict[str, tuple[Piece, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, axes in self.axes.items():
            for group in itertools.chain.from_iterable(map(groups_in, axes)):
                if self.groups.get(group.name) != group.size:
                    raise SymmetryError(
                        f"{name!r} moves with {group.size} units of {group.name!r}, but the groups are {self.groups}."
                    )
        for name in self.parameters:
            if name not in self.axes:
                raise SymmetryError(f"the parameter {name!r} has no axes in the spec.")
        for units, blocks in self.blocks.items():
            known = units in self.groups and blocks in self.groups and blocks not in self.blocks
            if not known or self.groups[units] % self.groups[blocks]:
                raise SymmetryError(f"the groups {units!r} and {blocks!r} do not divide into blocks: {self.groups}.")

    def together(self) -> list[tuple[str, ...]]:
        """The groups, those that move together side by side: blocks first, then the groups whose units lie in them."""
        inside: dict[str, list[str]] = {}
        for units, blocks in self.blocks.items():
            inside.setdefault(blocks, []).append(units)
        return [(name, *inside.get(name, ())) for name in self.groups if name not in self.blocks]

    def holding(self, names: Collection[str]) -> PermutationSpec:
        """The symmetries that are left when these groups keep their order, and all that move together with one of them.

        Raises:
            KeyError: there is no such group; the error names it.
        """
        for name in names:
            if name not in self.groups:
                raise KeyError(name)
        held = {name for groups in self.together() if set(groups) & set(names) for name in groups}
        return PermutationSpec(
            groups={name: size for name, size in self.groups.items() if name not in held},
            axes={name: tuple(_held(axis, held) for axis in axes) for name, axes in self.axes.items()},
            parameters=self.parameters,
            blocks={units: blocks for units, blocks in self.blocks.items() if units not in held},
        )

    def index(
        self, axis: Axis, permutation: Mapping[str, Tensor], device: torch.device | str | None = None
    ) -> Tensor | None:
        """The index `[axis.size]` that permutes an axis, or None when the axis is not moved.

        Groups that `permutation` leaves out keep their order.
        """
        if not any(group.name in permutation for group in groups_in(axis)):
            return None
        return _index(axis, permutation, device)

    def pieces(self, name: str) -> tuple[Piece, ...]:
        """Blocks that together cover the tensor `name` exactly once.

        Raises:
            KeyError: the spec has no such tensor.
            SymmetryError: a concatenation lies inside a moving product of the tensor.
        """
        if name not in self._pieces:
            choices = [spans(axis) for axis in self.axes[name]]
            self._pieces[name] = tuple(_piece(runs) for runs in itertools.product(*choices))
        return self._pieces[name]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers; `from_json` is the inverse."""
        return {
            "groups": dict(self.groups),
            "axes": {name: [_axis_to_json(axis) for axis in axes] for name, axes in self.axes.items()},
            "parameters": list(self.parameters),
            "blocks": dict(self.blocks),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PermutationSpec:
        """The spec that `to_json` wrote.

        Raises:
            SymmetryError: `data` is not such a description.
        """
        try:
            groups = {str(name): int(size) for name, size in data["groups"].items()}
            axes = {name: tuple(map(_axis_from_json, terms)) for name, terms in data["axes"].items()}
            parameters = tuple(data["parameters"])
            blocks = dict(data.get("blocks", {}))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise SymmetryError(f"this is not a permutation spec: {error!r}.") from error
        return cls(groups=groups, axes=axes, parameters=parameters, blocks=blocks)


def _held(axis: Axis, names: Collection[str]) -> Axis:
    """The term with these groups fixed."""
    if isinstance(axis, Group):
        return Fixed(axis.size) if axis.name in names else axis
    if isinstance(axis, Product):
        return product(_held(part, names) for part in axis.parts)
    if isinstance(axis, Sum):
        return concatenation(_held(part, names) for part in axis.parts)
    return axis


def _index(axis: Axis, permutation: Mapping[str, Tensor], device: torch.device | str | None) -> Tensor:
    if isinstance(axis, Group) and axis.name in permutation:
        return permutation[axis.name].to(device=device, dtype=torch.long)
    if isinstance(axis, Product):
        combined = torch.zeros(1, dtype=torch.long, device=device)
        for part in axis.parts:
            inner = _index(part, permutation, combined.device)
            combined = (combined[:, None] * part.size + inner).reshape(-1)
        return combined
    if isinstance(axis, Sum):
        starts = itertools.accumulate((part.size for part in axis.parts), initial=0)
        pairs = zip(axis.parts, starts, strict=False)
        return torch.cat([_index(part, permutation, device) + start for part, start in pairs])
    return torch.arange(axis.size, device=device)


def _piece(runs: tuple[tuple[int, int, tuple[Axis, ...]], ...]) -> Piece:
    factors = [factor for _, _, run in runs for factor in run]
    return Piece(
        slices=tuple(slice(start, stop) for start, stop, _ in runs),
        shape=tuple(factor.size for factor in factors),
        groups=tuple(factor.name if isinstance(factor, Group) else None for factor in factors),
    )


def _axis_to_json(axis: Axis) -> dict[str, Any]:
    if isinstance(axis, Fixed):
        return {"fixed": axis.size}
    if isinstance(axis, Group):
        return {"group": axis.name, "size": axis.size}
    key = "product" if isinstance(axis, Product) else "sum"
    return {key: [_axis_to_json(part) for part in axis.parts]}


def _axis_from_json(data: Mapping[str, Any]) -> Axis:
    if "fixed" in data:
        return Fixed(int(data["fixed"]))
    if "group" in data:
        return Group(str(data["group"]), int(data["size"]))
    if "product" in data:
        return Product(tuple(map(_axis_from_json, data["product"])))
    return Sum(tuple(map(_axis_from_json, data["sum"])))
