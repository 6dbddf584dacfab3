"""All rules: importing this module registers them."""

from lmc.symmetry import rules_norms, rules_parts, rules_pixels, rules_pointwise, rules_products, rules_shapes
from lmc.symmetry.call import RULES

__all__ = [
    "RULES",
    "rules_norms",
    "rules_parts",
    "rules_pixels",
    "rules_pointwise",
    "rules_products",
    "rules_shapes",
]
