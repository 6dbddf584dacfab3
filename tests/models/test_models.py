"""Every architecture: shapes, sizes, published parameter counts, training, and what the rest of the code asks of it."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.func import functional_call, vmap

from models import get_architecture, get_model, list_models

SHAPES = {"points": (2,), "digits": (1, 8, 8), "small": (1, 16, 16), "mnist": (1, 28, 28), "cifar": (3, 32, 32)}


def build(name, shape=(3, 32, 32), classes=10, width=8, **options):
    torch.manual_seed(0)
    return get_model(name, input_shape=shape, classes=classes, width=width, **options)


def count(model):
    return sum(p.numel() for p in model.parameters())


def quick_shape(name):
    """The smallest images that the architecture takes."""
    side = max(8, get_architecture(name).min_side)
    return (1, side, side)


EVERY_OPTION = [
    (name, norm, activation)
    for name in list_models()
    for norm, activation in itertools.product(get_architecture(name).norms, get_architecture(name).activations)
]


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_logits_or_a_sentence_for_every_shape(name, shape):
    """Every pair of architecture and shape gives logits, or says which images would be right."""
    entry = get_architecture(name)
    refused = entry.refusal(shape)
    if refused:
        assert refused.startswith(f"{name} needs images")
        with pytest.raises(ValueError, match=f"{name} needs images"):
            build(name, shape)
    else:
        assert build(name, shape, classes=7).eval()(torch.randn(3, *shape)).shape == (3, 7)


def test_what_is_refused():
    refused = {(n, s) for n in list_models() for s in SHAPES if get_architecture(n).refusal(SHAPES[s])}
    assert refused == {*((n, "points") for n in ("cnn", "vgg", "resnet", "vit")), ("vgg", "digits")}
    assert get_architecture("vgg").refusal((1, 8, 8)) == "vgg needs images of at least 16x16 pixels, and these have 8x8"


@pytest.mark.parametrize(("name", "norm", "activation"), EVERY_OPTION)
def test_one_step_lowers_the_loss_and_every_parameter_learns(name, norm, activation):
    model = build(name, quick_shape(name), norm=norm, activation=activation).double().train()
    x = torch.randn(16, *quick_shape(name), dtype=torch.float64)
    y = torch.arange(16) % 10
    before = torch.nn.functional.cross_entropy(model(x), y)
    before.backward()
    silent = {n for n, p in model.named_parameters() if not p.grad.abs().max() > 1e-12}
    # Softmax does not see what a key's bias adds to all scores of a query, nor BatchNorm a bias before it.
    unseen = ("key.bias", "hidden.bias") if name != "mlp" else ("bias",)
    assert not silent or name == "vit" or norm == "batch"
    assert all(n.endswith(unseen) and "norm" not in n for n in silent)
    size = sum(p.grad.square().sum() for p in model.parameters()).sqrt()
    with torch.no_grad():
        for p in model.parameters():
            p -= 1e-3 / size * p.grad
    assert torch.nn.functional.cross_entropy(model(x), y) < before - 1e-4 * size * 1e-3


# Published: He et al. 2016, table 6 (0.27, 0.46, 0.66, 0.85, 1.7 M); VGG-16 for CIFAR-10 with BatchNorm 14.7 M.
PUBLISHED = [
    ("resnet", 20, 16, 0.27),
    ("resnet", 32, 16, 0.46),
    ("resnet", 44, 16, 0.66),
    ("resnet", 56, 16, 0.85),
    ("resnet", 110, 16, 1.7),
    ("vgg", 16, 64, 14.7),
]


@pytest.mark.parametrize(("name", "depth", "width", "millions"), PUBLISHED)
def test_published_parameter_counts(name, depth, width, millions):
    with torch.device("meta"):
        model = build(name, width=width, depth=depth, norm="batch")
    assert count(model) / 1e6 == pytest.approx(millions, rel=0.03)


def test_depth_counts_the_layers_with_weights():
    for name in ("vgg", "resnet"):
        for depth in get_architecture(name).depth_choices:
            with torch.device("meta"):
                model = build(name, depth=depth, norm="none")
            shortcuts = sum(n.endswith("shortcut.weight") for n, _ in model.named_parameters())
            weights = sum(p.ndim > 1 for p in model.parameters()) - shortcuts
            # The 16 of VGG-16 counts two hidden linear layers that the form for small images does not have.
            assert weights == (depth - 2 if name == "vgg" else depth)


@pytest.mark.parametrize("name", list_models())
def test_width_scales_every_hidden_layer(name):
    """Twice the width doubles every axis but inputs, logits, kernels and tokens."""
    shape = quick_shape(name)
    narrow, wide = (build(name, shape, width=width).named_parameters() for width in (16, 32))
    for (key, a), (_, b) in zip(narrow, wide, strict=True):
        outputs = "head" in key
        first_ok = a.shape[0] == b.shape[0] if outputs or key == "positions" else 2 * a.shape[0] == b.shape[0]
        assert first_ok, key
        if a.ndim > 1:
            from_input = a.shape[1] == b.shape[1] and a.shape[1] in (1, 64)
            assert from_input or 2 * a.shape[1] == b.shape[1], key
            assert a.shape[2:] == b.shape[2:]


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group"])
def test_stacked_networks_equal_single_ones(name, norm):
    """`vmap(functional_call)` over two states gives each network's own logits."""
    if norm not in get_architecture(name).norms:
        pytest.skip(f"{name} has no norm {norm}")
    shape = quick_shape(name)
    model = build(name, shape, norm=norm).double().eval()
    states = [
        {k: torch.rand_like(t) if t.is_floating_point() else t for k, t in model.state_dict().items()} for _ in "AB"
    ]
    x = torch.randn(4, *shape, dtype=torch.float64)
    stacked = {k: torch.stack([s[k] for s in states]) for k in states[0]}
    together = vmap(lambda s: functional_call(model, s, (x,)))(stacked)
    for state, logits in zip(states, together, strict=True):
        assert torch.allclose(functional_call(model, state, (x,)), logits, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "norm", "activation"), [o for o in EVERY_OPTION if o[2] != "tanh"])
def test_export_keeps_operations_whole(name, norm, activation):
    """The graph holds no decomposed normalisation or attention and runs for another batch size."""
    model = build(name, quick_shape(name), norm=norm, activation=activation).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.randn(2, *quick_shape(name)),), dynamic_shapes=({0: batch},))
    operations = {n.target.__name__.split(".")[0] for n in program.graph.nodes if n.op == "call_function"}
    whole = {"none": set(), "batch": {"batch_norm"}, "layer": {"layer_norm"}, "group": {"group_norm"}}[norm]
    assert whole <= operations
    assert ("scaled_dot_product_attention" in operations) == (name == "vit")
    assert not operations & {"var", "rsqrt", "var_mean", "softmax", "bmm", "sum"}
    x = torch.randn(5, *quick_shape(name))
    assert torch.allclose(program.module()(x), model(x), atol=1e-5)


def test_pixel_layer_norm_is_layer_norm_of_every_pixel():
    from models.layers import image_norm

    norm = image_norm("layer", 6).double()
    torch.nn.init.normal_(norm.layer.weight)
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64)
    y = norm(x)
    for n, i, j in itertools.product(range(2), range(3), range(5)):
        pixel = x[n, :, i, j]
        plain = (pixel - pixel.mean()) / (pixel.var(correction=0) + 1e-5).sqrt() * norm.layer.weight
        assert torch.allclose(y[n, :, i, j], plain)


@pytest.mark.parametrize(("channels", "groups"), [(64, 8), (32, 8), (16, 4), (18, 2), (12, 1), (7, 1), (2, 1), (1, 1)])
def test_groups_divide_the_channels(channels, groups):
    from models.layers import image_norm

    assert image_norm("group", channels).num_groups == groups


@pytest.mark.parametrize("depth", [20, 110])
def test_deep_residual_networks_without_norm_keep_their_scale(depth):
    """The last features are neither lost nor blown up, though nothing normalises them."""
    model = build("resnet", width=16, depth=depth, norm="none").eval()
    features = []
    model.head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    with torch.no_grad():
        model(torch.randn(8, 3, 32, 32))
    assert 0.1 < features[0].square().mean().sqrt() < 10


@pytest.mark.parametrize(("side", "patch"), [(8, 2), (16, 2), (28, 4), (32, 4), (64, 8)])
def test_patches(side, patch):
    from models.vit import patch_size

    assert patch_size(side) == patch


def test_no_pixel_is_lost_at_the_edge():
    """Images whose side is no multiple of the patch: every pixel still changes the logits."""
    model = build("vit", (1, 30, 31)).double().eval()
    x = torch.zeros(1, 1, 30, 31, dtype=torch.float64, requires_grad=True)
    model(x).square().sum().backward()
    assert (x.grad.abs() > 0).all()


WRONG = [
    ("vgg", {"depth": 12}, "vgg has no depth 12; choose one of: 11, 13, 16, 19"),
    ("cnn", {"norm": "weight"}, "cnn has no norm 'weight'; choose one of: none, batch, layer, group"),
    ("vit", {"norm": "batch"}, "vit has no norm 'batch'; choose one of: layer"),
    ("mlp", {"activation": "sin"}, "mlp has no activation 'sin'; choose one of: relu, gelu, tanh"),
    ("vit", {"width": 12}, "the width of a vit must be a multiple of 8, its head size, not 12"),
    ("vgg9", {}, "unknown architecture 'vgg9'; choose one of: mlp, cnn, vgg, resnet, vit"),
]


@pytest.mark.parametrize(("name", "options", "message"), WRONG)
def test_errors_list_what_is_valid(name, options, message):
    with pytest.raises(ValueError) as caught:
        build(name, **options)
    assert str(caught.value) == message


def test_defaults_are_among_the_choices():
    for name in list_models():
        entry = get_architecture(name)
        assert entry.depths == (min(entry.depth_choices), max(entry.depth_choices))
        assert entry.default_depth in entry.depth_choices
        assert entry.default_norm in entry.norms
        assert entry.default_activation in entry.activations
        assert entry.widths[0] <= entry.default_width <= entry.widths[1]
        assert entry.default_width % entry.width_step == entry.widths[0] % entry.width_step == 0
        assert build(name, quick_shape(name), width=entry.widths[0]) is not None


@pytest.mark.parametrize(("name", "groups"), [("vgg_pool5", 8), ("vgg_classifier", 10)])
def test_architectures_that_are_only_loaded(name, groups):
    """They are not offered, are built by name, and every hidden layer may be permuted."""
    from lmc.symmetry import check_spec, trace

    assert name not in list_models()
    model = build(name, (3, 64, 64), width=2, depth=11)
    traced = trace(model, torch.zeros(2, 3, 64, 64))
    assert len(traced.spec.groups) == groups
    assert not traced.frozen
    check_spec(model, traced.spec, torch.randn(8, 3, 64, 64), torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=f"{name} needs images of at least 32x32 pixels"):
        build(name, (1, 28, 28))


def test_torchvision_parameter_count():
    """VGG-16 for ImageNet: 138,357,544 parameters."""
    with torch.device("meta"):
        assert count(build("vgg_classifier", (3, 224, 224), 1000, width=64, norm="none")) == 138_357_544
