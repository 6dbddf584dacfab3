"""Reading a captured graph once, operation by operation, to learn which axes move together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torch.fx import Node

from lmc.symmetry.axes import Axis, Fixed, SymmetryError, Unifier, groups_in, spans
from lmc.symmetry.blocks import find_blocks, merged
from lmc.symmetry.call import Call, Known, operation
from lmc.symmetry.capture import Captured, place_of, shape_of
from lmc.symmetry.naming import block_names, group_names, outer_factors, renamed
from lmc.symmetry.reshaped import Reshaped, Terms
from lmc.symmetry.rules import RULES
from lmc.symmetry.rules_pointwise import NONLINEARITIES
from lmc.symmetry.spec import PermutationSpec
from lmc.symmetry.taps import Tap, taps_of


class Reading:
    """One pass over a captured graph, operation by operation; satisfies `call.Tracer`."""

    def __init__(self, model: nn.Module, captured: Captured) -> None:
        self.captured = captured
        self.unifier = Unifier()
        self.deferred: list[tuple[Axis, Node]] = []
        self.frozen: dict[str, None] = {}
        self.terms: dict[Node, Known] = {}
        self.state = {k: v for k, v in model.state_dict(keep_vars=True).items() if isinstance(v, Tensor)}
        parameters = model.named_parameters(remove_duplicate=False)
        self.parameters = {name for name, _ in parameters if name in self.state}
        # Tied tensors have several names, and one set of axes.
        self.shared: dict[int, Terms] = {}
        self.used: set[int] = set()
        self.joined: set[int] = set()

    # What rules ask for.

    def terms_of(self, node: Node) -> Terms | None:
        """The terms of a node's tensor; a buffer becomes fixed by being asked for."""
        terms = self.terms.get(node)
        if isinstance(terms, Reshaped):
            return terms.axes()
        if not isinstance(terms, tuple):
            return None
        name = self.captured.stored.get(node.name)
        if name is not None and name not in self.parameters:
            self.unifier.fix(*terms)
        return terms

    def statistics_of(self, node: Node) -> Terms:
        """The terms of a buffer that is to join its channel."""
        terms = self.terms.get(node)
        if not isinstance(terms, tuple):
            raise SymmetryError(f"{node} is not one tensor.")
        name = self.captured.stored.get(node.name)
        if name is not None:
            self.joined.add(id(self.state[name]))
        return terms

    # The pass.

    def run(self) -> None:
        """Read every node, then settle what could only be known at the end."""
        for node in self.captured.module.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "output":
                for source in node.all_input_nodes:
                    self._fix(source)
            elif node.op == "call_function":
                self._operation(node)
        for name, tensor in self.state.items():
            unused = name in self.parameters and id(tensor) not in self.used
            if unused or (name not in self.parameters and id(tensor) not in self.joined):
                self.unifier.fix(*self._axes_of(name))
        for axis, node in self.deferred:
            if any(groups_in(self.unifier.resolve(axis))):
                self.unifier.fix(axis)
                self._report(node)
        for name in self.state:
            self._make_sliceable(name)

    def _axes_of(self, name: str) -> Terms:
        tensor = self.state[name]
        if id(tensor) not in self.shared:
            self.shared[id(tensor)] = tuple(self.unifier.fresh(size) for size in tensor.shape)
        return self.shared[id(tensor)]

    def _placeholder(self, node: Node) -> None:

        name = self.captured.stored.get(node.name)
        shape = shape_of(node.meta.get("val"))
        if name is not None and name in self.state:
            self.terms[node] = self._axes_of(name)
            if node.users:
                self.used.add(id(self.state[name]))
        elif shape is not None:
            self.terms[node] = tuple(map(Fixed, shape))

    def _operation(self, node: Node) -> None:

        value = node.meta.get("val")
        shape = shape_of(value)
        if operation(node) == "getitem":
            several, place = self.terms.get(node.args[0]), node.args[1]  # type: ignore[arg-type]
            if isinstance(several, list) and isinstance(place, int):
                self.terms[node] = several[place]
                return
        harmless = operation(node).startswith("sym_") or "_assert" in str(node.target)
        if harmless and shape is None and not isinstance(value, tuple | list):
            return  # a size or an assertion: nothing moves
        rule = RULES.get(operation(node))
        if rule is not None:
            try:
                result = rule(Call(self, node))
            except SymmetryError:
                result = None
            if result is not None:
                self.terms[node] = result
                return
        self._freeze(node)

    def _freeze(self, node: Node) -> None:
        """No rule: fix all that the operation touches, and say so if anything could have moved."""

        touched = [self._fix(source) for source in node.all_input_nodes]
        if any(touched):
            self._report(node)
        value = node.meta.get("val")
        if isinstance(value, tuple | list):
            several: list[Terms] = [tuple(map(Fixed, shape_of(part) or ())) for part in value]
            self.terms[node] = several
        elif (shape := shape_of(value)) is not None:
            self.terms[node] = tuple(map(Fixed, shape))

    def _fix(self, node: Node) -> bool:
        """Fix a node's tensors; whether any of them could move until now."""
        known = self.terms.get(node, ())
        tensors = known if isinstance(known, list) else [known]
        axes = [axis for part in tensors for axis in (part.axes() if isinstance(part, Reshaped) else part)]
        movable = any(any(groups_in(self.unifier.resolve(axis))) for axis in axes)
        self.unifier.fix(*axes)
        return movable

    def _report(self, node: Node) -> None:

        self.frozen[place_of(node)] = None

    def _make_sliceable(self, name: str) -> None:
        """Fix what moves around a concatenation, so that every tensor is a set of plain blocks."""
        for axis in self._axes_of(name):
            while True:
                found = self.unifier.resolve(axis)
                try:
                    spans(found)
                    break
                except SymmetryError:
                    self.unifier.fix(outer_factors(found))

    # The result.

    def result(self, *, own_orders: bool = True) -> tuple[PermutationSpec, dict[str, tuple[Tap, ...]]]:
        """The spec, with names for the groups, and where each group's activations can be read.

        With `own_orders` every block (an attention head, a group of GroupNorm) may reorder its units by itself where
        that seems to hold, else all blocks alike.
        """
        resolved = {name: tuple(map(self.unifier.resolve, self._axes_of(name))) for name in self.state}
        blocks = find_blocks(resolved.values(), self._known_terms()) if own_orders else {}
        # Units that only a buffer has get no name, so they stay as they are.
        moving = {atom.name for n in self.parameters for axis in resolved[n] for atom in groups_in(axis)}
        blocks = {units: outer for units, outer in blocks.items() if units in moving}
        axes = {name: tuple(merged(axis, blocks) for axis in terms) for name, terms in resolved.items()}
        names = group_names(axes, [name for name in self.state if name in self.parameters])
        names.update(block_names(blocks, names, resolved.values()))
        spec = PermutationSpec(
            groups=dict(names.values()),
            axes={name: tuple(renamed(axis, names) for axis in terms) for name, terms in axes.items()},
            parameters=tuple(name for name in self.state if name in self.parameters),
            blocks={names[units][0]: names[outer][0] for units, outer in blocks.items()},
        )
        return spec, self._taps(names, blocks)

    def _known_terms(self) -> Iterator[Terms]:
        """The terms of all that is computed, as they are known by now."""
        for node, known in self.terms.items():
            if node.op == "placeholder":
                continue
            for terms in known if isinstance(known, list) else [known]:
                if isinstance(terms, Reshaped):
                    if not terms.asked():
                        continue
                    terms = terms.axes()
                yield tuple(map(self.unifier.resolve, terms))

    def unused(self) -> tuple[str, ...]:
        """The parameters that no operation uses."""
        return tuple(n for n in self.state if n in self.parameters and id(self.state[n]) not in self.used)

    def _taps(self, names: Mapping[str, tuple[str, int]], blocks: Mapping[str, str]) -> dict[str, tuple[Tap, ...]]:

        last: dict[str, Tap] = {}
        active: dict[str, tuple[Tap, ...]] = {}
        for node in self._activations():
            terms = self.terms.get(node)
            if isinstance(terms, Reshaped) and terms.asked():
                terms = terms.axes()
            if not isinstance(terms, tuple):
                continue
            axes = tuple(renamed(merged(self.unifier.resolve(axis), blocks), names) for axis in terms)
            for tap in taps_of(node, axes):
                last[tap.group] = tap
                if operation(node) in NONLINEARITIES:
                    active[tap.group] = (*active.get(tap.group, ()), tap)
        return {name: active.get(name, (tap,)) for name, tap in last.items()}

    def _activations(self) -> Iterator[Node]:
        """The operations whose result depends on the user's input."""
        reached: set[Node] = set()
        for node in self.captured.module.graph.nodes:
            if node.name in self.captured.inputs:
                reached.add(node)
            elif node.op == "call_function" and not reached.isdisjoint(node.all_input_nodes):
                reached.add(node)
                yield node
