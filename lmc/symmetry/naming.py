"""From the atoms of a finished trace to groups with names that people know from the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def outer_factors(axis: Axis) -> Axis:
    """The factors of the first product that holds both a moving factor and, behind it, a sum."""
    if isinstance(axis, Product):
        for place, part in enumerate(axis.parts):
            if isinstance(part, Sum):
                moving = [p for p in axis.parts[:place] if not isinstance(p, Fixed)]
                if moving:
                    return Product(tuple(moving))
    if isinstance(axis, Product | Sum):
        for part in axis.parts:
            try:
                spans(part)
            except SymmetryError:
                return outer_factors(part)
    return axis


def group_names(axes: Mapping[str, tuple[Axis, ...]], parameters: list[str]) -> dict[str, tuple[str, int]]:
    """Atom name to group name and size, in state-dict order.

    A group is named by the module of the first weight that produces it on its axis 0; failing that by the
    first tensor that has it at all, as with a bias alone or a matrix used from the left.
    """

    def preference(name: str, dim: int) -> int:
        return 0 if dim == 0 and len(axes[name]) > 1 else 1 if dim == 0 else 2

    seen: dict[str, tuple[int, int, str, int]] = {}
    for order, name in enumerate(parameters):
        for dim, axis in enumerate(axes[name]):
            for atom in groups_in(axis):
                rank = (preference(name, dim), order, name, atom.size)
                seen[atom.name] = min(rank, seen.get(atom.name, rank))
    result: dict[str, tuple[str, int]] = {}
    taken: set[str] = set()
    for atom_name, (_, _, name, size) in sorted(seen.items(), key=lambda item: item[1][1]):
        base = name.rpartition(".")[0] or name
        label, count = base, 1
        while label in taken:
            count += 1
            label = f"{base}#{count}"
        taken.add(label)
        result[atom_name] = (label, size)
    return result


def block_names(
    blocks: Mapping[str, str], names: Mapping[str, tuple[str, int]], axes: Iterable[tuple[Axis, ...]]
) -> dict[str, tuple[str, int]]:
    """Names and sizes of the blocks that no tensor has by themselves: those of the first units in them."""
    sizes = {atom.name: atom.size for terms in axes for axis in terms for atom in groups_in(axis)}
    found: dict[str, tuple[str, int]] = {}
    for units, outer in blocks.items():
        if outer not in names and outer not in found:
            found[outer] = (f"{names[units][0]} blocks", sizes[outer])
    return found


def renamed(axis: Axis, names: Mapping[str, tuple[str, int]]) -> Axis:
    """The term with group names for atoms: `names` maps an atom to its group's name and size."""
    if isinstance(axis, Group):
        # Atoms that no parameter has are of no use to anyone: they count as fixed.
        return Group(*names[axis.name]) if axis.name in names else Fixed(axis.size)
    if isinstance(axis, Product):
        return product(renamed(part, names) for part in axis.parts)
    if isinstance(axis, Sum):
        return concatenation(renamed(part, names) for part in axis.parts)
    return axis
