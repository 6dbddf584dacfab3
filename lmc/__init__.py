"""LMC Explorer's core: linear mode connectivity modulo permutation.

`lmc.run(lmc.Pair(width=32, seeds=(0, 1)))` runs an experiment; importing this loads neither torch nor scikit-learn.
"""

from lmc.engine import EngineError, run
from lmc.errors import InputError, Stopped, StoreError
from lmc.experiments import (
    Instability,
    Landscape,
    Many,
    Methods,
    Pair,
    Partial,
    Pruning,
    Recipe,
    Trajectory,
    Transport,
    Triple,
    Width,
    make_recipe,
)
from lmc.result import Result
from lmc.store import Store

__version__ = "0.1.0"
__all__ = [
    "EngineError",
    "InputError",
    "Instability",
    "Landscape",
    "Many",
    "Methods",
    "Pair",
    "Partial",
    "Pruning",
    "Recipe",
    "Result",
    "Stopped",
    "Store",
    "StoreError",
    "Trajectory",
    "Transport",
    "Triple",
    "Width",
    "make_recipe",
    "run",
]
