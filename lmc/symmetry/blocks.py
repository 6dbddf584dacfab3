"""Units that every block reorders by itself: those of attention heads, and the channels in the groups of GroupNorm.

Reading a graph finds products of a group of blocks and a group of units, which says that blocks may trade places and
that all blocks may reorder their units alike. Where units never meet those of another block, each block may have an
order of its own; then the units of all blocks are one group, whose permutations keep blocks together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from lmc.symmetry.axes import Axis, Fixed, Group, Product, Sum, concatenation, product

Terms = tuple[Axis, ...]


def find_blocks(tensors: Iterable[Terms], activations: Iterable[Terms]) -> dict[str, str]:
    """Atom of the units → atom of their blocks.

    Units qualify that never occur without their blocks: in the `tensors` of the state dict only right behind them in
    a product, in `activations` somewhere in the same tensor. An activation with the blocks along two axes but not the
    units, as a product of every block with every other has, says that units of two blocks met. (A sum over such
    products at once leaves no trace in the terms; whoever uses this checks the function.)
    """
    found: dict[str, str] = {}
    others: set[str] = set()  # atoms that also occur elsewhere
    for terms in tensors:
        for axis in terms:
            for units, blocks in _occurrences(axis):
                if blocks is None or found.setdefault(units, blocks) != blocks:
                    others.add(units)
    for terms in activations:
        times = _times(Product(terms))
        for units, blocks in found.items():
            alone = units in times and blocks not in times
            if alone or times[blocks] > max(1, times[units]):
                others.add(units)
    kept = {units: blocks for units, blocks in found.items() if units not in others}
    return {units: blocks for units, blocks in kept.items() if blocks not in kept}


def _times(axis: Axis) -> Counter[str]:
    """How often every atom is a factor of an entry; the parts of a sum hold different entries."""
    if isinstance(axis, Group):
        return Counter([axis.name])
    found: Counter[str] = Counter()
    if isinstance(axis, Product | Sum):
        for part in axis.parts:
            found = found + _times(part) if isinstance(axis, Product) else found | _times(part)
    return found


def _occurrences(axis: Axis) -> Iterable[tuple[str, str | None]]:
    """Every atom of a term, with the atom right before it in its product."""
    if isinstance(axis, Group):
        yield axis.name, None
    elif isinstance(axis, Sum):
        for part in axis.parts:
            yield from _occurrences(part)
    elif isinstance(axis, Product):
        before: Axis = Fixed(1)
        for part in axis.parts:
            if isinstance(part, Group):
                yield part.name, before.name if isinstance(before, Group) else None
            else:
                yield from _occurrences(part)
            before = part


def merged(axis: Axis, blocks: Mapping[str, str]) -> Axis:
    """The term with blocks and their units as one group; units without their blocks count as fixed."""
    if isinstance(axis, Group):
        return Fixed(axis.size) if axis.name in blocks else axis
    if isinstance(axis, Sum):
        return concatenation(merged(part, blocks) for part in axis.parts)
    if not isinstance(axis, Product):
        return axis
    parts: list[Axis] = []
    for part in axis.parts:
        before = parts[-1] if parts else None
        joins = isinstance(part, Group) and isinstance(before, Group) and blocks.get(part.name) == before.name
        if joins and isinstance(part, Group) and isinstance(before, Group):
            parts[-1] = Group(part.name, before.size * part.size)
        else:
            parts.append(merged(part, blocks))
    return product(parts)
