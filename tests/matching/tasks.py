"""Tasks with a known answer that several methods are tested on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from lmc.matching import Task
from lmc.permutation import Permutation, apply_permutation, random_permutation
from lmc.symmetry import trace


def labelled(family, a, b) -> Task:
    """The task of a family with the labels of its images."""
    return Task(family.traced, a, b, family.data.train_x, family.data.train_y)


def misleading(count: int) -> Iterator[tuple[Task, Permutation]]:
    """Networks and copies under planted permutations, with noise on the weights of inputs that are always 0.

    The noise misleads who looks at weights only, and changes no answer: the planted permutation has the loss of the
    network itself.
    """
    draws = torch.Generator().manual_seed(0)
    for seed in range(count):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)).double()
        inputs = torch.randn(800, 24, dtype=torch.float64, generator=draws)
        inputs[:, 8:] = 0
        with torch.no_grad():
            logits = model[:4](inputs)
            model[4].weight.mul_(40)
            model[4].bias.copy_(-(logits @ model[4].weight.T).mean(0))
            labels = model(inputs).argmax(1)
        a = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        traced = trace(model, inputs[:2])
        planted = random_permutation(traced.spec, draws)
        b = apply_permutation(traced.spec, planted, a)
        for state in (a, b):
            state["0.weight"] = state["0.weight"].clone()
            state["0.weight"][:, 8:] += 0.5 * torch.randn(8, 16, dtype=torch.float64, generator=draws)
        yield Task(traced, a, b, inputs, labels), planted
