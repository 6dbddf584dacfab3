"""Checkpoints of every layout become our networks with the same logits; anything else is named in one sentence."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from foreign_networks import (
    ForeignLotteryVGG,
    ForeignResNet,
    ForeignVGG,
    Listed,
    Perceptron,
    named,
    perceptron,
    randomised,
)
from torch import nn

from lmc.errors import InputError
from lmc.loading import read_file, read_metadata, recognise, to_safetensors
from models import get_architecture, get_model, list_models
from models.registry import _ARCHITECTURES

IMAGES, DIGITS = (3, 32, 32), (64,)


def rebuilt(found, input_shape):
    """Our network of what was recognised, in float64."""
    model = get_model(
        found.arch,
        input_shape=input_shape,
        classes=found.classes,
        width=found.width,
        depth=found.depth,
        norm=found.norm,
        activation=found.activation,
    )
    model = model.double().eval()
    model.load_state_dict(found.state)
    return model


def largest_difference(ours, theirs, shape):
    x = torch.randn(8, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(x)
        return float((ours(x) - expected).abs().max() / expected.abs().max().clamp(min=1))


FOREIGN = {
    "open_lth resnet 20": (lambda: ForeignResNet(3, 4), IMAGES, ("resnet", 4, 20, "batch")),
    "open_lth resnet 8": (lambda: ForeignResNet(1, 6, channels=1), (1, 28, 28), ("resnet", 6, 8, "batch")),
    "open_lth vgg 16": (lambda: ForeignLotteryVGG(16, 4), IMAGES, ("vgg", 4, 16, "batch")),
    "open_lth vgg 11": (lambda: ForeignLotteryVGG(11, 4), IMAGES, ("vgg", 4, 11, "batch")),
    "torchvision vgg11": (lambda: ForeignVGG(11, 2, False, "three"), (3, 224, 224), ("vgg_classifier", 2, 11, "none")),
    "torchvision vgg16": (lambda: ForeignVGG(16, 2, False, "three"), IMAGES, ("vgg_classifier", 2, 16, "none")),
    "torchvision vgg19_bn": (lambda: ForeignVGG(19, 2, True, "three"), (3, 64, 64), ("vgg_classifier", 2, 19, "batch")),
    "features, linear": (lambda: ForeignVGG(16, 4, True, "one"), IMAGES, ("vgg_pool5", 4, 16, "batch")),
    "features, [linear]": (lambda: ForeignVGG(13, 4, False, "one in a sequence"), IMAGES, ("vgg_pool5", 4, 13, "none")),
    "sequential": (perceptron, DIGITS, ("mlp", 12, 3, "none")),
    "sequential, no flatten": (lambda: perceptron(flatten=False, hidden=1), DIGITS, ("mlp", 12, 1, "none")),
    "sequential, dropout": (lambda: perceptron(drop=True), DIGITS, ("mlp", 12, 3, "none")),
    "sequential, layer norm": (lambda: perceptron("layer"), DIGITS, ("mlp", 12, 3, "layer")),
    "sequential, batch norm": (lambda: perceptron("batch", drop=True), DIGITS, ("mlp", 12, 3, "batch")),
    "net.N": (lambda: named("net", perceptron()), DIGITS, ("mlp", 12, 3, "none")),
    "layers.N": (lambda: named("layers", perceptron("layer")), DIGITS, ("mlp", 12, 3, "layer")),
    "module list": (Listed, DIGITS, ("mlp", 12, 2, "none")),
    "fcN": (Perceptron, DIGITS, ("mlp", 12, 2, "none")),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_networks_keep_their_logits(case, tmp_path):
    """Through a file saved by torch.save: float64 logits of the foreign module and of ours agree."""
    make, shape, expected = FOREIGN[case]
    theirs = randomised(make())
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    found = recognise(read_file(tmp_path / "net.pth", "net.pth"), "net.pth")
    assert (found.arch, found.width, found.depth, found.norm) == expected
    assert (found.classes, found.activation) == (10, "relu")
    found.check_inputs(shape, 10)
    assert largest_difference(rebuilt(found, shape), theirs, shape) < 1e-10


OWN = [(a, n) for a, entry in _ARCHITECTURES.items() for n in entry.norms]


@pytest.mark.parametrize(("arch", "norm"), OWN)
def test_own_networks_come_back(arch, norm):
    """Every architecture and norm, through safetensors and its metadata: the same options and the same logits."""
    entry = get_architecture(arch)
    for depth in {entry.depth_choices[0], entry.default_depth}:
        shape = (1, 32, 32) if entry.min_side > 8 else (1, 8, 8)
        width = 2 if arch == "vgg_classifier" else 8
        options = {"input_shape": shape, "classes": 7, "width": width, "depth": depth, "norm": norm}
        model = randomised(get_model(arch, **options, activation=entry.activations[-1]))
        content = to_safetensors(model.state_dict(), {"arch": arch, "activation": entry.activations[-1]})
        activation = read_metadata(content, "net")["activation"]
        found = recognise(read_file(content, "net"), "net", activation=activation)
        assert found.format == f"LMC Explorer's {entry.title}"
        got = (found.arch, found.width, found.depth, found.norm, found.classes, found.activation)
        assert got == (arch, width, depth, norm, 7, entry.activations[-1])
        assert not found.notes
        found.check_inputs(shape, 7)
        assert largest_difference(rebuilt(found, shape), model, shape) == 0


@pytest.mark.parametrize("arch", ["cnn", "vit"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_image_size_is_found_where_the_network_depends_on_it(arch, shape):
    model = get_model(arch, input_shape=shape, classes=10, width=8)
    found = recognise(model.state_dict(), "net")
    assert found.input_shape == shape
    found.check_inputs(shape, 10)
    with pytest.raises(InputError, match="it takes images like"):
        found.check_inputs((shape[0], 16, 16), 10)


@pytest.mark.parametrize("number", [1, 2])
def test_real_open_lth_networks(number):
    folder = os.environ.get("LMC_TEST_DATA")
    if not folder:
        pytest.skip("LMC_TEST_DATA does not name a folder with open_lth_resnet20/*.pth")
    path = Path(folder) / "open_lth_resnet20" / f"resnet20_w16_seed{number}.pth"
    found = recognise(read_file(path, path.name), path.name)
    assert (found.arch, found.width, found.depth, found.norm, found.classes) == ("resnet", 16, 20, "batch", 10)
    theirs = ForeignResNet(3, 16)
    theirs.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    assert largest_difference(rebuilt(found, IMAGES), theirs.double().eval(), IMAGES) < 1e-10


def test_counts_of_batches_may_be_missing_and_tools_may_leave_names():
    model = randomised(perceptron("batch"))
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    found = recognise({**state, "total_ops": torch.zeros(1), "1.total_params": torch.zeros(1)}, "net")
    assert found.ignored == ("total_ops", "1.total_params")
    assert largest_difference(rebuilt(found, DIGITS), model, DIGITS) < 1e-10


def altered(module, **changes):
    """The module's state with entries replaced, or left out where the change is None."""
    state = dict(module.state_dict())
    for name, value in changes.items():
        state[name.replace("__", ".")] = value
    return {name: value for name, value in state.items() if value is not None}


def widths(*sizes):
    modules = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
    return nn.Sequential(*[m for pair in modules for m in pair]).state_dict()


WRONG = {
    "a shape": (
        lambda: altered(ForeignResNet(3, 4), blocks__3__conv1__weight=torch.zeros(8, 4, 5, 5)),
        "it is nearest to open_lth's ResNet with width 4, depth 20, norm batch, "
        "but blocks.3.conv1.weight is 8x4x5x5 instead of 8x4x3x3",
    ),
    "left out": (lambda: altered(ForeignResNet(3, 4), fc__bias=None), "but fc.bias is missing"),
    "more": (
        lambda: altered(ForeignResNet(3, 4), gate__weight=torch.zeros(4, 2)),
        "but gate.weight (4x2) has no place in it",
    ),
    "four wrong": (
        lambda: altered(perceptron(), **{f"{k}__bias": torch.zeros(3) for k in (1, 3, 5, 7)}),
        "1.bias is 3 instead of 12; 3.bias is 3 instead of 12; 5.bias is 3 instead of 12; and 1 more",
    ),
    "blocks": (lambda: ForeignResNet(6, 4).state_dict(), "its depth would be 38, and resnet has the depths 8, 14, 20"),
    "depth": (
        lambda: altered(get_model("resnet", input_shape=IMAGES, classes=10, width=4, depth=14),
                        blocks__6__conv1__weight=torch.zeros(16, 16, 3, 3)),
        "its depth would be 16, and resnet has the depths 8, 14, 20, 32, 44, 56, 110",
    ),
    "vit width": (
        lambda: {"patches.weight": torch.zeros(12, 3, 4, 4), "positions": torch.zeros(64, 12),
                 "head.weight": torch.zeros(10, 12)},
        "its width would be 12, and vit has widths from 8 to 1024 in steps of 8",
    ),
    "hidden widths": (lambda: widths(64, 12, 10, 10), "its hidden layers have 12x10 units; one width for all"),
    "no activation": (
        lambda: nn.Sequential(nn.Linear(64, 12), nn.Linear(12, 10)).state_dict(),
        "its linear layers stand at 0, 1 of a sequence, which leaves no room for an activation after each",
    ),
    "norm after the activation": (
        lambda: nn.Sequential(
            nn.Linear(64, 12), nn.ReLU(), nn.LayerNorm(12), nn.Linear(12, 10)
        ).state_dict(),
        "but 2.weight (12) has no place in it",
    ),
    "unknown": (
        lambda: {"encoder.gate": torch.zeros(3), "decoder.gate": torch.zeros(3)},
        "its names (encoder.gate, decoder.gate, ...) are of no known layout; known are LMC Explorer's own",
    ),
    "one layer": (lambda: nn.Linear(64, 10).state_dict(), "its names (weight, bias, ...) are of no known layout"),
    "nothing": (dict, "its names (none, ...) are of no known layout"),
    "zero axes": (lambda: {"conv.weight": torch.tensor(1.0), "fc.weight": torch.tensor(1.0)}, "of no known layout"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_named(case):
    make, right = WRONG[case]
    with pytest.raises(InputError) as caught:
        recognise(make(), "net.pth")
    assert str(caught.value).startswith("load: net.pth cannot be used; ")
    assert right in str(caught.value)


def test_inputs_are_checked():
    found = recognise(perceptron().state_dict(), "net.pth")
    found.check_inputs((1, 8, 8), 10)
    for shape, classes, right in (
        ((1, 28, 28), 10, "it takes inputs of 64 numbers, and those of the data set are 1x28x28"),
        ((1, 8, 8), 7, "it has 10 classes, and the data set has 7"),
    ):
        with pytest.raises(InputError) as caught:
            found.check_inputs(shape, classes)
        assert right in str(caught.value)


def test_unknown_activation():
    with pytest.raises(InputError, match="activation: sin cannot be used; mlp has relu, gelu, tanh"):
        recognise(perceptron().state_dict(), "net", activation="sin")


def test_only_loaded_architectures_are_not_offered():
    assert not {"vgg_pool5", "vgg_classifier"} & set(list_models())


def test_recognising_draws_no_random_numbers():
    """Another thread may be initialising a network from the global generator meanwhile."""
    from lmc.loading.layout import expected_shapes

    before = torch.random.get_rng_state()
    for arch in _ARCHITECTURES:
        expected_shapes.__wrapped__(
            arch, IMAGES, 10, 8, _ARCHITECTURES[arch].default_depth, _ARCHITECTURES[arch].norms[0]
        )
    assert torch.equal(torch.random.get_rng_state(), before)
