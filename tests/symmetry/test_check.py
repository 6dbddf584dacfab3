"""The numeric check: right specs pass, wrong ones are named."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from symmetry_networks import Perceptron, Residual
from torch import nn

from lmc.permutation import identity, random_permutation
from lmc.symmetry import Fixed, Group, PermutationSpec, SymmetryError, check_spec, max_logit_difference, trace

INPUTS = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(3))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def changed(spec: PermutationSpec, **axes: tuple[object, ...]) -> PermutationSpec:
    renamed = {name.replace("__", "."): terms for name, terms in axes.items()}
    return dataclasses.replace(spec, axes={**spec.axes, **renamed})


@pytest.mark.parametrize(
    "wrong",
    [
        {"layers__2__weight": (Group("layers.2", 14), Fixed(13))},
        {"layers__1__bias": (Fixed(13),)},
        {"norms__1__weight": (Fixed(13),)},
        {"norms__1__bias": (Fixed(13),)},
    ],
)
def test_a_forgotten_axis_is_found_and_its_group_named(wrong: dict[str, tuple[object, ...]]) -> None:
    model = Perceptron(3, norm=True)
    # A bias that starts at zero must not hide the mistake.
    nn.init.zeros_(model.layers[1].bias)
    spec = trace(model, INPUTS).spec
    check_spec(model, spec, INPUTS, generator())
    with pytest.raises(SymmetryError, match=r"the units of 'layers\.1'"):
        check_spec(model, changed(spec, **wrong), INPUTS, generator())


def test_swapped_groups_are_found() -> None:
    model = Residual(width=14, inner=14)
    spec = trace(model, INPUTS).spec
    rows, columns = spec.axes["downs.1.weight"]
    with pytest.raises(SymmetryError, match=r"the units of '(stem|ups\.1)'"):
        check_spec(model, changed(spec, downs__1__weight=(columns, rows)), INPUTS, generator())


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.first(x.flatten(1)))))


@pytest.mark.parametrize("forgotten", [None, "weight", "bias", "running_mean", "running_var"])
def test_forgotten_statistics_show_although_they_are_fresh(forgotten: str | None) -> None:
    model, g = Normed(), Group("first", 8)
    norm = {f"norm.{n}": (g,) for n in ("weight", "bias", "running_mean", "running_var")}
    if forgotten:
        norm[f"norm.{forgotten}"] = (Fixed(8),)
    spec = PermutationSpec(
        groups={"first": 8},
        axes={
            "first.weight": (g, Fixed(64)),
            "first.bias": (g,),
            **norm,
            "norm.num_batches_tracked": (),
            "head.weight": (Fixed(10), g),
            "head.bias": (Fixed(10),),
        },
        parameters=tuple(name for name, _ in model.named_parameters()),
    )
    if forgotten is None:
        check_spec(model, spec, INPUTS, generator())
    else:
        with pytest.raises(SymmetryError, match="'first'"):
            check_spec(model, spec, INPUTS, generator())


def test_the_check_leaves_the_model_alone_and_takes_another_state() -> None:
    model, other = Perceptron(2, norm=True).train(), Perceptron(2, norm=True)
    spec = trace(model, INPUTS).spec
    before, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    permutation = random_permutation(spec, generator())
    assert max_logit_difference(model, spec, permutation, other.state_dict(), inputs=INPUTS) <= 1e-10
    assert model.training and torch.equal(random_state, torch.get_rng_state())
    assert all(torch.equal(before[n], t) and t.dtype == torch.float32 for n, t in model.state_dict().items())


def test_the_identity_changes_nothing_at_all() -> None:
    model = Perceptron(2)
    spec = trace(model, INPUTS).spec
    assert max_logit_difference(model, spec, identity(spec), inputs=INPUTS) == 0.0
