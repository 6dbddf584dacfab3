"""Specs derived from models: the groups are the known ones, and the function is preserved."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from symmetry_networks import (
    Branches,
    Cumulative,
    DataDependent,
    FixedBatch,
    Fused,
    Mixer,
    Perceptron,
    Residual,
    Tied,
)
from torch import nn

from lmc.permutation import apply_permutation, random_permutation
from lmc.symmetry import Fixed, Group, SymmetryError, check_spec, max_logit_difference, trace


def distinct(state: dict[str, torch.Tensor]) -> list[str]:
    """The entries whose values all differ, so that a permutation must show."""
    return [name for name, tensor in state.items() if tensor.unique().numel() == tensor.numel()]


NETWORKS = {
    **{
        f"mlp{depth}-{'norm' if norm else 'plain'}-{activation}-{'view' if view else 'flatten'}": (
            lambda depth=depth, norm=norm, activation=activation, view=view: Perceptron(
                depth, norm=norm, activation=activation, view=view
            ),
            {f"layers.{i}": 12 + i for i in range(depth)},
        )
        for depth in (1, 2, 3, 4)
        for norm in (False, True)
        for activation, view in (("relu", False), ("gelu", True), ("tanh", False))
    },
    "residual": (Residual, {"stem": 10, "ups.0": 14, "ups.1": 14}),
    "tied": (Tied, {"first": 9}),
    "branches": (Branches, {"left": 11}),
    "cumulative": (Cumulative, {"first": 12}),
    "mixer": (Mixer, {"matrix": 12, "matrix#2": 7, "token_up": 5}),
    "fused": (Fused, {"project": 3, "project#2": 4, "inner": 4}),
}


def example(batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, 1, 8, 8, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", NETWORKS)
def test_finds_the_known_groups_and_preserves_the_function(name: str) -> None:
    torch.manual_seed(0)
    build, groups = NETWORKS[name]
    model = build()
    spec = trace(model, example()).spec
    assert spec.groups == groups
    assert set(spec.axes) == set(model.state_dict())
    for seed in range(3):
        permutation = random_permutation(spec, torch.Generator().manual_seed(seed))
        assert max_logit_difference(model, spec, permutation, inputs=example(64)) <= 1e-10
        state = model.state_dict()
        permuted = apply_permutation(spec, permutation, state)
        moving = [n for n, axes in spec.axes.items() if any(not isinstance(axis, Fixed) for axis in axes)]
        assert moving and all(not torch.equal(permuted[n], state[n]) for n in moving if n in distinct(state))
    check_spec(model, spec, example(64), torch.Generator().manual_seed(9))


def test_axes_of_a_perceptron() -> None:
    spec = trace(Perceptron(2, norm=True), example()).spec
    first, second = Group("layers.0", 12), Group("layers.1", 13)
    assert spec.axes["layers.0.weight"] == (first, Fixed(64))
    assert spec.axes["layers.1.weight"] == (second, first)
    assert spec.axes["norms.1.weight"] == (second,)
    assert spec.axes["head.weight"] == (Fixed(10), second)
    assert spec.axes["head.bias"] == (Fixed(10),)
    assert spec.parameters == tuple(spec.axes)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_batch_size_of_the_example_does_not_matter(batch: int) -> None:
    model = Residual()
    assert trace(model, example(batch)).spec == trace(model, example(3)).spec


def test_an_unknown_operation_freezes_and_is_reported() -> None:
    traced = trace(Cumulative(), example())
    assert len(traced.frozen) == 1
    assert "cumsum" in traced.frozen[0] and "symmetry_networks.py" in traced.frozen[0]
    assert traced.spec.axes["second.weight"] == (Fixed(12), Group("first", 12))


def test_known_models_report_nothing() -> None:
    for build in (Mixer, Residual, Branches, lambda: Perceptron(3, norm=True)):
        assert trace(build(), example()).frozen == ()


class Reduce(nn.Module):
    """Hidden units times something computed from all of them."""

    def __init__(self, reduce: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.head, self.reduce = nn.Linear(64, 6), nn.Linear(6, 10), reduce

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x.flatten(1))
        return self.head(hidden * self.reduce(hidden))


def test_a_softmax_over_units_freezes_them() -> None:
    traced = trace(Reduce(lambda hidden: torch.softmax(hidden, -1)), example())
    assert traced.spec.groups == {} and len(traced.frozen) == 1


@pytest.mark.parametrize(
    "reduce",
    [
        lambda hidden: hidden.mean(-1, keepdim=True),
        lambda hidden: hidden.var(-1).reshape(hidden.shape[0], 1),
        lambda hidden: hidden.norm(dim=-1, keepdim=True),
        lambda hidden: hidden.amax(-1, True) + hidden.sum() + torch.var_mean(hidden, 1, keepdim=True)[1],
    ],
    ids=["mean", "var", "norm", "others"],
)
def test_reductions_over_units_see_no_order(reduce: Callable[[torch.Tensor], torch.Tensor]) -> None:
    torch.manual_seed(0)
    model = Reduce(reduce)
    traced = trace(model, example())
    assert traced.spec.groups == {"first": 6} and traced.frozen == ()
    check_spec(model, traced.spec, example(64), torch.Generator().manual_seed(1))


def test_buffers_stay_fixed() -> None:
    class Masked(Perceptron):
        def __init__(self) -> None:
            super().__init__(1)
            self.register_buffer("mask", torch.ones(12))
            self.register_buffer("unused_buffer", torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.layers[0](x.flatten(1))) * self.mask)

    traced = trace(Masked(), example())
    assert traced.spec.groups == {}
    assert traced.spec.axes["unused_buffer"] == (Fixed(4),)
    assert "mask" not in traced.spec.parameters


def test_unused_parameters_are_reported_and_fixed() -> None:
    model = Perceptron(1)
    model.extra = nn.Linear(5, 6)
    traced = trace(model, example())
    assert traced.unused == ("extra.weight", "extra.bias")
    assert traced.spec.groups == {"layers.0": 12}
    assert traced.spec.axes["extra.weight"] == (Fixed(6), Fixed(5))


def test_data_dependent_control_flow_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SymmetryError, match="depends on the data needs a PermutationSpec written by hand"):
        trace(DataDependent(), example())
    # The command line owes its reader one line, not the graph that export prints.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("training", [True, False])
def test_tracing_leaves_everything_alone(training: bool) -> None:
    model = Perceptron(2, norm=True).train(training)
    before = copy.deepcopy(model.state_dict())
    random_state = torch.get_rng_state()
    trace(model, example())
    assert model.training is training and all(m.training is training for m in model.modules())
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


# Activations


def by_hand(model: Perceptron, x: torch.Tensor) -> list[torch.Tensor]:
    found, x = [], x.flatten(1)
    for layer, norm in zip(model.layers, model.norms, strict=True):
        found.append(x := model.activation(norm(layer(x))))
    return found


@pytest.mark.parametrize("batch", [1, 3, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_activations_are_those_after_the_nonlinearity(batch: int, dtype: torch.dtype) -> None:
    traced = trace(Perceptron(3, norm=True), example())
    other = Perceptron(3, norm=True).to(dtype)
    x = example(batch).to(dtype)
    found = traced.activations(other.state_dict(), x)
    assert list(found) == ["layers.0", "layers.1", "layers.2"]
    for values, expected in zip(found.values(), by_hand(other, x), strict=True):
        assert torch.equal(values, expected) and values.dtype == dtype and not values.requires_grad


def test_activations_move_with_the_permutation() -> None:
    for build in (Residual, Mixer, Fused, Tied):
        model = build()
        traced = trace(model, example())
        permutation = random_permutation(traced.spec, torch.Generator().manual_seed(1))
        permuted = apply_permutation(traced.spec, permutation, model.state_dict())
        for which in ("last", "all"):
            before = traced.activations(model.state_dict(), example(6), which)
            after = traced.activations(permuted, example(6), which)
            assert set(before) == set(traced.spec.groups)
            for name, values in before.items():
                assert values.shape[1] == traced.spec.groups[name] and values.shape[0] % 6 == 0
                expected = values[:, permutation[name]]
                # Partners in a product move too, which only reorders samples.
                order_free = [t.sort(dim=0).values for t in (expected, after[name])]
                torch.testing.assert_close(*order_free, rtol=1e-4, atol=1e-5)


def test_all_activations_of_a_shared_group() -> None:
    model = Tied()
    traced = trace(model, example())
    last = traced.activations(model.state_dict(), example(4))["first"]
    everything = traced.activations(model.state_dict(), example(4), "all")["first"]
    assert everything.shape == (12, 9) and torch.equal(everything[8:], last)


def test_activations_without_a_nonlinearity_are_the_last_values() -> None:
    model = Residual()
    traced = trace(model, example())
    seen = []
    model.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(example(4))
    assert torch.allclose(traced.activations(model.state_dict(), example(4))["stem"], seen[0])


def test_activations_under_vmap() -> None:
    models = [Perceptron(2, norm=True, view=True) for _ in range(3)]
    traced = trace(models[0], example())
    stacked = {n: torch.stack([m.state_dict()[n] for m in models]) for n in models[0].state_dict()}
    x = example(5)
    together = torch.func.vmap(lambda state: traced.activations(state, x))(stacked)
    for place, model in enumerate(models):
        for name, values in traced.activations(model.state_dict(), example(5)).items():
            torch.testing.assert_close(together[name][place], values)


def test_activations_stop_at_the_last_tap() -> None:
    model = Perceptron(2)
    traced = trace(model, example())
    state = dict(model.state_dict())
    state["head.weight"] = torch.empty(0)
    traced.activations(state, example())


def test_a_graph_bound_to_its_batch_size_is_exported_again() -> None:
    model = FixedBatch()
    traced = trace(model, example(3))
    found = traced.activations(model.state_dict(), example(5))["first"]
    assert torch.allclose(found, torch.relu(model.first(example(5).flatten(1))))


def test_activations_refuse_other_words() -> None:
    traced = trace(Perceptron(1), example())
    with pytest.raises(ValueError, match="'last' or 'all', not 'first'"):
        traced.activations(Perceptron(1).state_dict(), example(), "first")
