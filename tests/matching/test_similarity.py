"""Tables of similarities and objectives under several permutations, against the networks permuted one by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lmc.matching import Task, similarity
from lmc.matching.similarity import Objective, Similarity, links_of
from lmc.matching.weight import blocks_of
from lmc.permutation import apply_permutation, random_permutation
from lmc.symmetry import trace
from lmc.training import initial_state
from models import get_model

STARTS = 4


def models():
    mlp = {"input_shape": (1, 8, 8), "classes": 5, "width": 7}
    yield "mlp", lambda: get_model("mlp", **mlp)
    yield "cnn", lambda: get_model("cnn", input_shape=(3, 8, 8), classes=5, width=4, depth=3, norm="batch")
    yield "resnet", lambda: get_model("resnet", input_shape=(3, 8, 8), classes=5, width=4, depth=8, norm="layer")
    yield "vit", lambda: get_model("vit", input_shape=(1, 8, 8), classes=5, width=8, depth=2, norm="layer")
    yield "twice", lambda: nn.Sequential(nn.Linear(64, 6), Residual(6), nn.Linear(6, 5))


class Residual(nn.Module):
    """One weight that moves with its units along both axes."""

    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return x + torch.relu(self.linear(x))


@pytest.fixture(params=dict(models()), scope="module")
def made(request):
    """A task, and some permutations of it stacked."""
    build = dict(models())[request.param]
    wrapped = (lambda: nn.Sequential(nn.Flatten(), build())) if request.param == "twice" else build
    channels = 3 if request.param in ("cnn", "resnet") else 1
    x = torch.randn(2, channels, 8, 8, dtype=torch.float64)
    a, b = (initial_state(wrapped, seed, torch.float64) for seed in (0, 1))
    task = Task(trace(wrapped().double(), x), a, b, x)
    draws = torch.Generator().manual_seed(0)
    drawn = [random_permutation(task.spec, draws) for _ in range(STARTS)]
    return task, drawn


def stacked(drawn):
    return {group: torch.stack([one[group] for one in drawn]) for group in drawn[0]}


def expected(task, permutation, group):
    """Inner products of A's units with B's, numbered as in B, with every other group in its order."""
    others = {name: order for name, order in permutation.items() if name != group}
    b, found = apply_permutation(task.spec, others, task.b), 0.0
    twice = apply_permutation(task.spec, permutation, task.b)
    for name in task.spec.parameters:
        for piece in task.spec.pieces(name):
            for axis, moved in enumerate(piece.groups):
                if moved != group:
                    continue
                one = (
                    piece.take(task.a[name]).movedim(axis, 0).flatten(1)
                    if len(piece.shape) > 1
                    else piece.take(task.a[name])[:, None]
                )
                state = b
                if sum(g == group for g in piece.groups) > 1:  # the group's other axis stands in its order
                    inverse = torch.argsort(permutation[group])
                    other = piece.take(twice[name]).movedim(axis, 0)[inverse].flatten(1)
                else:
                    other = piece.take(state[name])
                    other = other.movedim(axis, 0).flatten(1) if other.ndim > 1 else other[:, None]
                found = found + one @ other.T
    return found


def test_tables_are_those_of_networks_permuted_one_by_one(made):
    task, drawn = made
    assert task.spec.groups
    for group in task.spec.groups:
        if not any(group in block.groups for block in blocks_of(task)):
            continue
        tables = Similarity(links_of(blocks_of(task))[group])
        found = tables.tables(stacked(drawn), torch.arange(STARTS))
        for k, permutation in enumerate(drawn):
            right = expected(task, permutation, group)
            assert torch.allclose(found[k], right, atol=1e-12), group
            one = tables.table(stacked(drawn), torch.tensor([k]), None)
            assert torch.allclose(one.table, right, atol=1e-12)


@pytest.mark.parametrize("much", [0.0, 1.0])
def test_kept_tables_follow_the_other_groups(made, monkeypatch, much):
    """Whether they are updated (`much` 1) or computed anew, and from whichever orders to whichever."""
    monkeypatch.setattr(similarity, "MUCH", much)
    task, drawn = made
    for group in task.spec.groups:
        if not any(group in block.groups for block in blocks_of(task)):
            continue
        tables, kept = Similarity(links_of(blocks_of(task))[group]), None
        for permutation in (*drawn, drawn[0], drawn[0]):
            kept = tables.table(stacked([permutation]), torch.tensor([0]), kept)
            assert torch.allclose(kept.table, expected(task, permutation, group), atol=1e-11)


def test_many_updates_do_not_add_up(made, monkeypatch):
    monkeypatch.setattr(similarity, "MUCH", 1.0)
    task, drawn = made
    group = next(iter(task.spec.groups))
    tables, kept, most = Similarity(links_of(blocks_of(task))[group]), None, 0
    for k in range(3 * similarity.MANY):
        kept = tables.table(stacked([drawn[k % STARTS]]), torch.tensor([0]), kept)
        most = max(most, kept.updates)
        assert torch.allclose(kept.table, expected(task, drawn[k % STARTS], group), atol=1e-11)
    assert most == similarity.MANY or not tables.links


def test_the_objective_is_that_of_each_permutation(made):
    task, drawn = made
    found = Objective(links_of(blocks_of(task))).of(stacked(drawn), torch.arange(STARTS))
    assert found.tolist() == pytest.approx([task.objective(one) for one in drawn], rel=1e-12)
    assert Objective(links_of(blocks_of(task))).of(stacked(drawn), torch.tensor([2])).tolist() == pytest.approx(
        [task.objective(drawn[2])]
    )
