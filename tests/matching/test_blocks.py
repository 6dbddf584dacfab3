"""Matching networks with heads: against every permutation, along the way, and with what was planted."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from lmc.matching import Match, Task, activation_matching, random_matching, unit_similarity, weight_matching
from lmc.permutation import Permutation, apply_permutation, in_blocks, invert, random_permutation, validate
from lmc.symmetry import PermutationSpec, max_logit_difference, trace
from lmc.symmetry.check import TOLERANCE
from models import get_model

SHAPE = (3, 16, 16)


class Tiny(nn.Module):
    """Tokens of 3 units and 2 heads with 2 units each; `mixed` lets every head see the others' scores."""

    def __init__(self, mixed: bool) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(5, 3), nn.Linear(3, 4)
        self.q, self.k, self.v, self.out = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 3)
        self.mix = nn.Parameter(torch.randn(2, 2)) if mixed else None
        self.sharpness = nn.Parameter(torch.randn(2, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        q, k, v = (layer(x).unflatten(-1, (2, 2)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        scores = q @ k.mT * self.sharpness
        if self.mix is not None:
            scores = scores + torch.einsum("ngij,gh->nhij", scores, self.mix)
        return self.head((x + self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))).mean(1))


def tiny(mixed: bool, seed: int) -> tuple[nn.Module, Task]:
    torch.manual_seed(seed)
    model, other = Tiny(mixed).double(), Tiny(mixed).double()
    inputs = torch.randn(64, 6, 5, dtype=torch.float64)
    return model, Task(trace(model, inputs[:2]), model.state_dict(), other.state_dict(), inputs)


def everything(spec: PermutationSpec) -> list[Permutation]:
    """All orders of the tokens' units, of the heads, and of the units in each: 3! · 2 · 2² · 2²."""
    (heads,) = set(spec.blocks.values())
    (tokens,) = spec.groups.keys() - spec.blocks.keys() - {heads}
    swaps = [torch.tensor([0, 1]), torch.tensor([1, 0])]
    query, value = spec.blocks
    return [
        {
            tokens: torch.tensor(order),
            heads: blocks,
            query: in_blocks(blocks, of_query),
            value: in_blocks(blocks, of_value),
        }
        for order in itertools.permutations(range(3))
        for blocks in swaps
        for of_query in itertools.product(swaps, repeat=2)
        for of_value in itertools.product(swaps, repeat=2)
    ]


@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "heads mixed"])
@pytest.mark.parametrize("seed", range(3))
def test_never_beats_all_permutations_and_reaches_the_best_with_restarts(mixed: bool, seed: int) -> None:
    model, task = tiny(mixed, seed)
    assert len(task.spec.blocks) == 2
    choices = everything(task.spec)
    assert len(choices) == 192
    # each of them is a symmetry
    for permutation in choices[:: 192 // 8]:
        assert max_logit_difference(model, task.spec, permutation, inputs=task.inputs) <= TOLERANCE
    best = max(map(task.objective, choices))
    once, often = weight_matching(task), weight_matching(task, restarts=40)
    assert once.objective <= best + 1e-9
    assert often.objective == pytest.approx(best, abs=1e-9)
    assert not torch.tensor([torch.equal(i, torch.arange(len(i))) for i in often.permutation.values()]).all()


def networks(name: str, norm: str, seeds: tuple[int, ...]) -> list[nn.Module]:
    width, models = {"vit": 16}.get(name, 8), []
    for seed in seeds:
        torch.manual_seed(seed)
        model = get_model(name, input_shape=SHAPE, classes=10, width=width, norm=norm).double()
        # as after training: vectors that start as zeros and ones differ
        for parameter in model.parameters():
            parameter.requires_grad_(False).add_(0.1 * torch.randn_like(parameter))
        models.append(model)
    return models


BLOCKED = [("vit", "layer"), ("cnn", "group"), ("resnet", "group")]


@pytest.fixture(scope="module", params=BLOCKED, ids=lambda choice: choice[0])
def pair(request: pytest.FixtureRequest) -> Task:
    a, b = networks(*request.param, seeds=(0, 1))
    images = torch.randn(64, *SHAPE, dtype=torch.float64)
    task = Task(trace(a, images[:2]), a.state_dict(), b.state_dict(), images)
    assert task.spec.blocks
    return task


def test_the_objective_never_falls(pair: Task) -> None:
    for seed in range(3):
        match = weight_matching(pair, seed=seed)
        validate(pair.spec, match.permutation)
        assert len(match.history) > 2
        assert all(later > earlier for earlier, later in itertools.pairwise(match.history))
        assert match.history[-1] == pytest.approx(match.objective, rel=1e-12)
        assert match.objective == pair.objective(match.permutation)
        assert match.objective > max(random_matching(pair, seed=s).objective for s in range(5))


def test_no_change_of_two_units_or_two_blocks_gains_at_the_end(pair: Task) -> None:
    """Written without assignments: every swap within a block, every swap of two blocks, all at once inside them."""
    match, spec = weight_matching(pair), pair.spec
    for groups in spec.together():
        for swapped in swaps(spec, groups):
            order = {name: match.permutation[name][index] for name, index in swapped.items()}
            assert pair.objective({**match.permutation, **order}) <= match.objective + 1e-9


def swaps(spec: PermutationSpec, groups: tuple[str, ...]) -> list[Permutation]:
    """A few neighbours of the identity among the permutations of groups that move together."""
    first, *inside = groups
    found = []
    for name in inside or groups:
        members = spec.groups[name] // (spec.groups[first] if inside else 1)
        for i in range(0, spec.groups[name] - 1, max(1, members // 3)):
            j = i + 1 if (i + 1) % members else i - 1
            if 0 <= j and i // members == j // members:
                index = torch.arange(spec.groups[name])
                index[[i, j]] = index[[j, i]]
                found.append({name: index})
    if inside:
        blocks = torch.arange(spec.groups[first])
        blocks[[0, 1]] = blocks[[1, 0]]
        sizes = {name: spec.groups[name] // len(blocks) for name in inside}
        whole = {name: in_blocks(blocks, [torch.arange(size)] * len(blocks)) for name, size in sizes.items()}
        found.append({first: blocks, **whole})
    return found


# Activation matching


def planted(name: str, norm: str, seed: int) -> tuple[Task, Permutation]:
    (model,) = networks(name, norm, seeds=(seed,))
    images = torch.randn(128, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    traced, a = trace(model, images[:2]), model.state_dict()
    permutation = random_permutation(traced.spec, torch.Generator().manual_seed(seed + 50))
    return Task(traced, a, apply_permutation(traced.spec, permutation, a), images), permutation


def agreement_of(task: Task, permutation: Permutation) -> dict[str, float]:
    """The summed correlations of paired units, for every group that has any."""
    return {
        group: float(table[torch.arange(len(table)), permutation[group]].sum())
        for group, table in task.correlation.items()
    }


@pytest.mark.parametrize(("name", "norm"), [*BLOCKED, ("vgg", "group")])
def test_activation_matching_finds_planted_blocks(name: str, norm: str) -> None:
    for seed in range(2):
        task, permutation = planted(name, norm, seed)
        match: Match = activation_matching(task)
        validate(task.spec, match.permutation)
        assert task.correlation.keys() == task.spec.groups.keys() - set(task.spec.blocks.values())
        # Units that answer alike, as dead ones do, can be told apart by no one: sums are compared, not places.
        goal, found = agreement_of(task, invert(permutation)), agreement_of(task, match.permutation)
        for groups in task.spec.together():
            names = [group for group in groups if group in goal]
            assert sum(found[n] for n in names) >= sum(goal[n] for n in names) - 1e-6, f"seed {seed}, {groups}"


def test_activation_matching_gives_a_planted_vit_back() -> None:
    for seed in range(3):
        task, permutation = planted("vit", "layer", seed)
        b = apply_permutation(task.spec, activation_matching(task).permutation, task.b)
        assert max(float((b[n] - tensor).abs().max()) for n, tensor in task.a.items()) == 0
        heads = [permutation[name].view(2, -1) % 8 for name in task.spec.blocks]
        assert any(not torch.equal(one, other) for one, other in heads), "each head has an order of its own"


def test_blocks_have_no_similarity_of_their_own(pair: Task) -> None:
    assert not unit_similarity(pair, "dot").keys() & set(pair.spec.blocks.values())
