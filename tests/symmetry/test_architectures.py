"""Whole architectures, ours and others': the groups known on paper, the function kept, activations for any batch."""

from __future__ import annotations

import pytest
import torch
from symmetry_networks import Dense, FullVGG16, OpenLTHResNet, PaddedResNet, PixelNorm, Transformer
from torch import nn

from lmc.permutation import apply_permutation, random_permutation
from lmc.symmetry import Fixed, Traced, check_spec, max_logit_difference, trace
from lmc.symmetry.axes import groups_in
from models import get_architecture, get_model, list_models

SMALL = {"mlp": 6, "cnn": 4, "vgg": 4, "resnet": 4, "vit": 16}
CHOICES = [(name, norm) for name in list_models() for norm in get_architecture(name).norms]


def images(batch: int = 4) -> torch.Tensor:
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def build(name: str, norm: str, **options) -> nn.Module:
    torch.manual_seed(0)
    return get_model(name, input_shape=(3, 16, 16), classes=10, width=SMALL[name], norm=norm, **options)


@pytest.fixture(scope="module")
def traced():
    """`traced(name, norm)` gives a model and its trace, made once."""
    made: dict[tuple[str, str], tuple[nn.Module, Traced]] = {}

    def make(name: str, norm: str) -> tuple[nn.Module, Traced]:
        if (name, norm) not in made:
            model = build(name, norm)
            made[name, norm] = model, trace(model, images(3))
        return made[name, norm]

    return make


@pytest.mark.parametrize(("name", "norm"), CHOICES)
def test_every_architecture_keeps_its_function(traced, name: str, norm: str) -> None:
    model, found = traced(name, norm)
    assert found.frozen == () and found.unused == ()
    check_spec(model, found.spec, images(64), torch.Generator().manual_seed(2))
    # and everything that has units moves: all but the image, the logits and what belongs to pixels
    permutation = {group: torch.arange(size).roll(1) for group, size in found.spec.groups.items()}
    drawn = {n: torch.rand(t.shape) if t.ndim else t for n, t in model.state_dict().items()}
    permuted = apply_permutation(found.spec, permutation, drawn)
    assert {n for n, t in drawn.items() if torch.equal(t, permuted[n])} == {
        n for n, t in drawn.items() if t.ndim == 0 or n == "head.bias"
    }


LAYERS = {
    "mlp": [f"layers.{i}" for i in range(3)],
    "cnn": ["convs.0", "convs.1", "hidden"],
    "vgg": [f"convs.{i}" for i in range(13)],
    "resnet": ["stem", "blocks.3.conv2", "blocks.6.conv2", *(f"blocks.{i}.conv1" for i in range(9))],
    "vit": [
        "patches",
        *(f"blocks.{i}.{unit}" for i in range(4) for unit in ("query blocks", "query", "value", "up")),
    ],
}


@pytest.mark.parametrize(("name", "norm"), CHOICES)
def test_the_groups_are_those_on_paper(traced, name: str, norm: str) -> None:
    model, found = traced(name, norm)
    groups = found.spec.groups
    if norm != "group":
        assert set(groups) == set(LAYERS[name])
        return
    # The channels of a layer lie in its groups, unless there is but one.
    blocks = found.spec.blocks
    assert blocks == {layer: f"{layer} blocks" for layer in blocks}
    assert set(groups) == {*LAYERS[name], *blocks.values()} and len(blocks) > 1
    norms = [module for module in model.modules() if isinstance(module, nn.GroupNorm)]
    sizes = {norm.num_channels: norm.num_groups for norm in norms}
    assert {groups[layer]: groups.get(f"{layer} blocks", 1) for layer in LAYERS[name]} == sizes


def test_a_vit_has_heads_and_three_spaces_in_each_block(traced) -> None:
    _, found = traced("vit", "layer")
    spec = found.spec
    assert [spec.groups[f"blocks.0.{unit}"] for unit in ("query blocks", "query", "value", "up")] == [2, 16, 16, 32]
    rows = [spec.axes[f"blocks.0.{layer}.weight"][0] for layer in ("query", "key", "value")]
    assert rows[0] == rows[1] != rows[2] == spec.axes["blocks.0.project.weight"][1]
    assert [g.name for row in rows[::2] for g in groups_in(row)] == ["blocks.0.query", "blocks.0.value"]
    assert {spec.blocks[f"blocks.0.{unit}"] for unit in ("query", "value")} == {"blocks.0.query blocks"}
    assert isinstance(spec.axes["positions"][0], Fixed)


@pytest.mark.parametrize(("name", "norm"), [(name, get_architecture(name).default_norm) for name in list_models()])
@pytest.mark.parametrize("batch", [1, 5])
def test_activations_are_samples_by_units(traced, name: str, norm: str, batch: int) -> None:
    model, found = traced(name, norm)
    values = found.activations(model.state_dict(), images(batch))
    assert {group: units.shape[1] for group, units in values.items()} == found.spec.groups
    assert all(units.shape[0] % batch == 0 for units in values.values())
    permutation = random_permutation(found.spec, torch.Generator().manual_seed(1))
    permuted = apply_permutation(found.spec, permutation, model.state_dict())
    for group, units in found.activations(permuted, images(batch)).items():
        # Partners in a product move too, which only reorders samples.
        expected = values[group][:, permutation[group]].sort(0).values
        torch.testing.assert_close(units.sort(0).values, expected, rtol=1e-4, atol=1e-5)


def test_activations_of_a_convolution_are_those_of_each_pixel(traced) -> None:
    model, found = traced("vgg", "layer")
    x = images(2)
    first = torch.relu(model.norms[0](model.convs[0](x)))
    expected = first.permute(0, 2, 3, 1).reshape(-1, 4)
    assert torch.equal(found.activations(model.state_dict(), x)["convs.0"], expected)


# Other people's architectures

RESIDUALS = {"conv": 4, "blocks.3.conv2": 8, "blocks.6.conv2": 16}
INNER = {f"blocks.{i}.conv1": 4 * 2 ** (i // 3) for i in range(9)}
OTHERS = {
    "resnet of open_lth": (lambda: OpenLTHResNet(4), {**RESIDUALS, **INNER}),
    "resnet with padded shortcuts": (PaddedResNet, {"stem": 4, "conv1": 8, "conv2": 2, "conv2#2": 2}),
    "vgg with hidden layers": (
        FullVGG16,
        {
            **{
                f"features.{i}": width
                for i, width in zip(
                    (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
                    (4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32),
                    strict=True,
                )
            },
            "classifier.0": 24,
            "classifier.3": 20,
        },
    ),
    "dense, batch norm": (Dense, {"stem": 8, "transition.2": 6, **{f"layers.{i}.2": 4 for i in range(4)}}),
    "dense, pixel norm": (
        lambda: Dense(PixelNorm),
        {"stem": 8, "transition.2": 6, **{f"layers.{i}.2": 4 for i in range(4)}},
    ),
    "transformer": (
        Transformer,
        {
            "embed": 12,
            **{
                f"blocks.{i}.{unit}": size
                for i in range(2)
                for unit, size in (("attention.q blocks", 3), ("attention.q", 12), ("attention.v", 12), ("mlp.0", 20))
            },
        },
    ),
    "fused transformer": (
        lambda: Transformer(fused="unbind"),
        {
            "embed": 12,
            **{
                f"blocks.{i}.{unit}": size
                for i in range(2)
                for unit, size in (
                    ("attention.qkv blocks", 3),
                    ("attention.qkv", 12),
                    ("attention.qkv#2", 12),
                    ("mlp.0", 20),
                )
            },
        },
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures(name: str) -> None:
    torch.manual_seed(0)
    make, groups = OTHERS[name]
    model = make()
    found = trace(model, images(3))
    assert found.frozen == () and found.spec.groups == groups
    check_spec(model, found.spec, images(16), torch.Generator().manual_seed(1))
    values = found.activations(model.state_dict(), images(5), "all")
    assert {group: units.shape[1] for group, units in values.items()} == groups


def test_concatenations_with_group_norm_keep_their_function() -> None:
    torch.manual_seed(0)
    model = Dense(lambda channels: nn.GroupNorm(2, channels))
    found = trace(model, images(3))
    assert found.frozen == ()
    check_spec(model, found.spec, images(16), torch.Generator().manual_seed(1))


def test_one_random_permutation_of_all_groups_at_once_is_not_the_identity() -> None:
    """The check has teeth: permuting the rows of a stage alone changes a residual network by much."""
    torch.manual_seed(0)
    model = build("resnet", "batch", depth=8)
    spec = trace(model, images()).spec
    permutation = random_permutation(spec, torch.Generator().manual_seed(1))
    assert max_logit_difference(model, spec, permutation, inputs=images(64)) <= 1e-10
    state = model.state_dict()
    rows = state["blocks.1.conv2.weight"][permutation["blocks.1.conv2"]]
    with torch.no_grad():
        wrong = torch.func.functional_call(model.eval(), {**state, "blocks.1.conv2.weight": rows}, (images(64),))
        assert (wrong - model(images(64))).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["vgg", "resnet", "vit"])
def test_tracing_needs_no_numbers(traced, name: str) -> None:
    norm = get_architecture(name).default_norm
    with torch.device("meta"):
        empty = build(name, norm)
    found = trace(empty, torch.zeros(2, 3, 16, 16, device="meta"))
    model, real = traced(name, norm)
    assert found.spec == real.spec
    values = found.activations(model.state_dict(), images(2))
    for group, units in real.activations(model.state_dict(), images(2)).items():
        assert torch.equal(units, values[group])


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_activations_under_vmap(traced, name: str) -> None:
    norm = {"resnet": "batch", "vit": "layer"}[name]
    _, found = traced(name, norm)
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states.append(get_model(name, input_shape=(3, 16, 16), classes=10, width=SMALL[name], norm=norm).state_dict())
    stacked = {n: torch.stack([state[n] for state in states]) for n in states[0]}
    x = images(3)
    together = torch.func.vmap(lambda state: found.activations(state, x))(stacked)
    for place, state in enumerate(states):
        for group, units in found.activations(state, x).items():
            torch.testing.assert_close(together[group][place], units, rtol=1e-4, atol=1e-5)
