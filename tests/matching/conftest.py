from __future__ import annotations

import pytest
import torch

from lmc.experiments import Recipe
from lmc.matching import Task
from lmc.permutation import Permutation, apply_permutation, random_permutation
from lmc.symmetry import trace
from lmc.training import initial_state, train
from models import get_model


class Family:
    """Networks of one shape and the tasks that tests make of them."""

    def __init__(self, digits, width, depth=3, activation="relu", norm="none", dtype=torch.float32):
        self.data, self.dtype = digits.to("cpu", dtype), dtype
        self.build = lambda: get_model(
            "mlp", input_shape=(1, 8, 8), classes=10, width=width, depth=depth, norm=norm, activation=activation
        )
        self.traced = trace(self.build(), torch.zeros(2, 1, 8, 8))
        self.spec = self.traced.spec

    def start(self, seed):
        return initial_state(self.build, seed, self.dtype)

    def trained(self, seeds, epochs=10):
        recipe = Recipe(epochs=epochs)
        found = train(self.build().to(self.dtype), [self.start(s) for s in seeds], list(seeds), self.data, recipe)
        return [one.checkpoints[epochs] for one in found]

    def permute(self, seed, state) -> tuple[Permutation, dict[str, torch.Tensor]]:
        permutation = random_permutation(self.spec, torch.Generator().manual_seed(seed))
        return permutation, apply_permutation(self.spec, permutation, state)

    def task(self, a, b):
        return Task(self.traced, a, b, self.data.train_x)


@pytest.fixture(scope="session")
def family(digits):
    """`family(width, …)` makes a `Family`, once for each set of arguments."""
    made = {}

    def make(width, **options):
        key = (width, *sorted(options.items(), key=str))
        if key not in made:
            made[key] = Family(digits, width, **options)
        return made[key]

    return make
