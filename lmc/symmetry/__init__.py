"""Permutation symmetries of networks: derive them from a model, describe them, and check them."""

from lmc.symmetry.axes import Axis, Fixed, Group, Product, Sum, SymmetryError
from lmc.symmetry.check import TOLERANCE, check_spec, max_logit_difference
from lmc.symmetry.spec import PermutationSpec, Piece
from lmc.symmetry.trace import Traced, trace

__all__ = [
    "TOLERANCE",
    "Axis",
    "Fixed",
    "Group",
    "PermutationSpec",
    "Piece",
    "Product",
    "Sum",
    "SymmetryError",
    "Traced",
    "check_spec",
    "max_logit_difference",
    "trace",
]
