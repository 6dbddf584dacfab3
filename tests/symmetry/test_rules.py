"""Every rule, in a network around it: the groups that are there by construction, and the function kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from symmetry_networks import Attention, Channels, PixelNorm, Tokens
from torch import nn
from torch.nn import functional as F

from lmc.symmetry import Fixed, Group, Product, check_spec, trace


def images(batch: int = 4) -> torch.Tensor:
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def checked(model: nn.Module):
    """The trace of a model, after the numeric check and one look at its activations for another batch size.

    Blocks may be without activations of their own: those of the units in them are enough.
    """
    traced = trace(model, images(3))
    check_spec(model, traced.spec, images(8), torch.Generator().manual_seed(1))
    found = traced.activations(model.state_dict(), images(5))
    units = {name: size for name, size in traced.spec.groups.items() if name not in traced.spec.blocks.values()}
    assert units.items() <= {name: values.shape[1] for name, values in found.items()}.items()
    return traced


def conv(inputs: int = 12, outputs: int = 12, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, **options)


FREE = {"first": 12, "last": 6}  # the body leaves the 12 channels alone
# They are 3 groups of 4, and the weight of a grouped convolution has its inputs, without the groups, on axis 1.
BLOCKS = {"first": 3, "first#2": 4, "last": 6}

# body, its output channels, all groups of the network
BODIES = {
    "conv": (conv, 12, {"first": 12, "body": 12, "last": 6}),
    "conv without bias": (lambda: conv(bias=False, padding="same"), 12, {"first": 12, "body": 12, "last": 6}),
    "conv 1x1": (lambda: nn.Conv2d(12, 5, 1), 5, {"first": 12, "body": 5, "last": 6}),
    "conv circular": (
        lambda: conv(padding=1, padding_mode="circular"),
        12,
        {"first": 12, "body": 12, "last": 6},
    ),
    "depthwise": (lambda: conv(groups=12), 12, FREE),
    "depthwise, two outputs each": (lambda: conv(12, 24, groups=12), 24, {"first": 12, "body": 24, "last": 6}),
    "grouped": (lambda: conv(12, 15, groups=3), 15, {**BLOCKS, "body": 15}),
    "grouped twice": (
        lambda: nn.Sequential(conv(groups=3), nn.ReLU(), conv(groups=3)),
        12,
        {**BLOCKS, "body.0": 4, "body.2": 12},
    ),
    "grouped and shuffled": (
        lambda: nn.Sequential(conv(groups=3), nn.ChannelShuffle(3)),
        12,
        {**BLOCKS, "body.0": 4},
    ),
    "transposed": (lambda: nn.ConvTranspose2d(12, 7, 3), 7, {"first": 12, "body": 7, "last": 6}),
    "transposed, grouped": (  # here the outputs are on axis 1
        lambda: nn.ConvTranspose2d(12, 15, 3, groups=3),
        15,
        {"first": 12, "body#2": 3, "body": 5, "last": 6},
    ),
    "batch norm": (lambda: nn.BatchNorm2d(12), 12, FREE),
    "batch norm without parameters": (lambda: nn.BatchNorm2d(12, affine=False), 12, FREE),
    "instance norm": (lambda: nn.InstanceNorm2d(12, affine=True, track_running_stats=True), 12, FREE),
    "group norm": (lambda: nn.GroupNorm(3, 12), 12, {"first blocks": 3, "first": 12, "last": 6}),
    "group norm of one group": (lambda: nn.GroupNorm(1, 12), 12, FREE),
    "group norm of single channels": (lambda: nn.GroupNorm(12, 12), 12, FREE),
    "group norms that differ": (
        lambda: nn.Sequential(nn.GroupNorm(2, 12), nn.GroupNorm(6, 12)),
        12,
        {"first blocks": 2, "first": 6, "first#2": 2, "last": 6},  # halves, thirds of each, and pairs alike in all
    ),
    "layer norm by pixel": (lambda: PixelNorm(12), 12, FREE),
    "layer norm over everything": (lambda: nn.LayerNorm([12, 14, 14]), 12, FREE),
    "prelu": (lambda: nn.PReLU(12), 12, FREE),
    "dropout": (lambda: nn.Sequential(nn.Dropout2d(), nn.Dropout(), nn.AlphaDropout()), 12, FREE),
    "glu": (lambda: nn.Sequential(nn.Conv2d(12, 10, 1), nn.GLU(1)), 5, {"first": 12, "body.0": 5, "last": 6}),
}
FUNCTIONS = {
    "max pool": (lambda x: F.max_pool2d(x, 2), 12, FREE),
    "max pool with places": (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], 12, FREE),
    "average pool": (lambda x: F.avg_pool2d(x, 3, 2, 1), 12, FREE),
    "adaptive average pool": (lambda x: F.adaptive_avg_pool2d(x, 4), 12, FREE),
    "adaptive max pool": (lambda x: F.adaptive_max_pool2d(x, 4), 12, FREE),
    "resize": (lambda x: F.interpolate(x, scale_factor=2.0), 12, FREE),
    "cat": (lambda x: torch.cat([x, x.tanh()], 1), 24, FREE),
    "chunk and cat": (lambda x: torch.cat(x.chunk(3, 1)[::-1], 1), 12, {"first": 4, "first#2": 4, "first#3": 4}),
    "split": (lambda x: torch.cat(x.split([5, 7], 1)[::-1], 1), 12, {"first": 5, "first#2": 7}),
    "gate": (lambda x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1].sigmoid(), 6, {"first": 6}),
    "slice": (lambda x: x[:, 2:9], 7, {"first": 2, "first#2": 7, "first#3": 3}),
    "negative slice": (lambda x: x[:, -9:-2], 7, {"first": 3, "first#2": 7, "first#3": 2}),
    "slice of pixels": (lambda x: x[:, :, 1:-1, ::2], 12, FREE),
    "every other channel": (lambda x: x[:, ::2], 6, {}),
    "narrow": (lambda x: x.narrow(1, 0, 7), 7, {"first": 7, "first#2": 5}),
    "select": (lambda x: x * x[:, 3:4] + x[:, 3, None], 12, {"first": 3, "first#2": 8}),
    "unbind": (lambda x: torch.stack(x.unbind(1)[:3], 1), 3, {}),
    "pad": (lambda x: F.pad(x, (1, 1, 0, 0, 2, 3)), 17, {"first": 12, "last#2": 2, "last#3": 3}),
    "crop": (lambda x: F.pad(x, (0, 0, 0, 0, -2, -3)), 7, {"first": 2, "first#2": 7, "first#3": 3}),
    "pad pixels": (lambda x: F.pad(x, (1, 1), mode="replicate") if x.ndim == 3 else F.pad(x, (1, 1, 2, 2)), 12, FREE),
    "reflect": (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), 12, FREE),
    "repeat": (lambda x: x.repeat(1, 2, 1, 1), 24, {"first": 12, "last#2": 2}),
    "repeat interleave": (lambda x: x.repeat_interleave(2, 1), 24, {"first": 12, "last#2": 24}),
    "expand": (lambda x: x + x.mean((1, 2, 3), keepdim=True).expand_as(x), 12, FREE),
    "squeeze and excite": (lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(), 12, FREE),
    "moments of channels": (lambda x: (x - x.mean(1, True)) / (x.std(1, keepdim=True) + 1), 12, FREE),
    "unit length": (lambda x: F.normalize(x, dim=1) + x.sum(1, True) + x.amax(1, True), 12, FREE),
    "moved axes": (lambda x: x.movedim(1, -1).mT.transpose(-1, -2).permute(0, 3, 1, 2), 12, FREE),
    "shuffle": (lambda x: x.view(-1, 4, 3, 14, 14).transpose(1, 2).flatten(1, 2), 12, {"first": 4, "first#2": 3}),
    "flip": (lambda x: x.flip(3).roll(1, 2), 12, FREE),
    "flip of channels": (lambda x: x.flip(1), 12, {}),
    "where": (lambda x: torch.where(x > 0.1, x, torch.zeros_like(x)), 12, FREE),
    "zeros": (lambda x: torch.cat([x, x.new_zeros(x.shape[0], 4, 14, 14)], 1), 16, {"first": 12, "last#2": 4}),
    "einsum": (lambda x: torch.einsum("nchw,ncvw->nchv", x, x), 12, FREE),
    "in place": (lambda x: x.clone().mul_(2).add_(x).relu_(), 12, FREE),
}


# of the networks above, the groups whose units lie in blocks
IN_BLOCKS = {
    "depthwise, two outputs each": {"body": "first"},
    "grouped": {"body": "first"},
    "grouped twice": {"body.2": "first"},
    "transposed, grouped": {"first": "body#2"},
    "group norm": {"first": "first blocks"},
    "group norms that differ": {"first": "first blocks"},
    "repeat interleave": {"last#2": "first"},
}


@pytest.mark.parametrize("name", BODIES)
def test_layers(name: str) -> None:
    torch.manual_seed(0)
    build, out, groups = BODIES[name]
    traced = checked(Channels(build(), out=out))
    assert traced.frozen == ()
    assert traced.spec.groups == groups and traced.spec.blocks == IN_BLOCKS.get(name, {})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    torch.manual_seed(0)
    function, out, groups = FUNCTIONS[name]
    traced = checked(Channels(function, out=out))
    assert traced.frozen == ()
    assert traced.spec.groups == {**groups, "last": 6} and traced.spec.blocks == IN_BLOCKS.get(name, {})


def test_axes_of_a_grouped_convolution() -> None:
    spec = trace(Channels(conv(12, 15, groups=3), out=15), images()).spec
    assert [axis.size for axis in spec.axes["body.weight"]] == [15, 4, 3, 3]
    (rows, columns, *kernel) = spec.axes["body.weight"]
    assert rows == Group("body", 15) and columns == Group("first#2", 4) and kernel == [Fixed(3), Fixed(3)]
    assert spec.axes["first.weight"][0] == Product((Group("first", 3), Group("first#2", 4)))
    assert spec.axes["last.weight"][1] == rows


def test_statistics_join_their_channel() -> None:
    spec = trace(Channels(nn.BatchNorm2d(12)), images()).spec
    channel = spec.axes["first.weight"][0]
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert spec.axes[f"body.{name}"] == (channel,)
    assert spec.axes["body.num_batches_tracked"] == ()
    assert "body.running_mean" not in spec.parameters


# Tokens

HEADS = {"body.q blocks": 3, "body.q": 12, "body.v": 12}
FUSED = {"body.qkv blocks": 3, "body.qkv": 12, "body.qkv#2": 12}


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(
    ("fused", "groups"), [("", HEADS), ("unbind", FUSED), ("index", FUSED), ("chunk", FUSED)], ids=str
)
def test_attention(fused: str, written: bool, groups: dict[str, int]) -> None:
    torch.manual_seed(0)
    traced = checked(Tokens(Attention(fused=fused, written=written)))
    assert traced.frozen == () and traced.spec.groups == {"embed": 12, **groups}


def test_fused_attention_keeps_three_spaces_apart() -> None:
    spec = trace(Tokens(Attention(fused="unbind")), images()).spec
    query, key, value = spec.axes["body.qkv.weight"][0].parts
    assert query == key != value
    assert spec.blocks[query.name] == spec.blocks[value.name], "all move by the same heads"
    assert spec.axes["body.out.weight"] == (spec.axes["embed.weight"][0], value)


class Masked(nn.Module):
    """Attention with a bias for each head, or a causal mask, or fewer heads of keys than of queries."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.q, self.out = nn.Linear(12, 16), nn.Linear(16, 12)
        self.k, self.v = (nn.Linear(12, 8 if kind == "shared" else 16) for _ in range(2))
        self.bias = nn.Parameter(torch.randn(1, 4, 16, 16)) if kind == "bias" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=self.bias, is_causal=self.kind == "causal", enable_gqa=self.kind == "shared"
        )
        return self.out(y.transpose(1, 2).flatten(2))


@pytest.mark.parametrize(
    ("kind", "groups"),
    [
        ("bias", {"body": 4, "body.q": 16, "body.v": 16}),
        ("causal", {"body.q blocks": 4, "body.q": 16, "body.v": 16}),
        # Query heads lie in blocks by the head of keys that they share; units are not right behind the same heads.
        ("shared", {"body.k": 2, "body.q": 4, "body.q#2": 4, "body.v": 4}),
    ],
)
def test_attention_with_more(kind: str, groups: dict[str, int]) -> None:
    torch.manual_seed(0)
    traced = checked(Tokens(Masked(kind)))
    assert traced.frozen == () and traced.spec.groups == {"embed": 12, **groups}


class OwnAttention(nn.Module):
    """PyTorch's module, which merges batch and heads into one axis."""

    def __init__(self, layer: bool) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True) if layer else None
        self.attention = None if layer else nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if self.layer else self.attention(x, x, x, need_weights=False)[0]


@pytest.mark.parametrize("layer", [False, True])
def test_multihead_attention_of_torch(layer: bool) -> None:
    torch.manual_seed(0)
    traced = checked(Tokens(OwnAttention(layer)))
    name = "body.layer.self_attn" if layer else "body.attention"
    hidden = {"body.layer.linear1": 20} if layer else {}
    assert traced.spec.groups == {"embed": 12, f"{name} blocks": 3, name: 12, f"{name}#2": 12, **hidden}


class Pooled(nn.Module):
    """Tokens weighted by a learned vector, with a table of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.positions, self.query = nn.Embedding(16, 12), nn.Parameter(torch.randn(12))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.positions(torch.arange(16))
        weights = torch.softmax(x @ self.query, 1)
        return x * weights[..., None]


def test_tokens_and_vocabularies_stay_where_they_are() -> None:
    torch.manual_seed(0)
    traced = checked(Tokens(Pooled()))
    assert traced.frozen == () and traced.spec.groups == {"embed": 12}
    assert traced.spec.axes["body.positions.weight"][0] == Fixed(16)


# What there is no rule for


UNKNOWN = {
    "cumsum": lambda x: x.cumsum(1),
    "sort": lambda x: x.sort(1).values,
    "maxima with places": lambda x: x * x.max(1, keepdim=True).indices,
    "index": lambda x: x[:, torch.arange(12).flip(0)],
    "written into": lambda x: x.clone().index_fill_(1, torch.tensor([2]), 0.0),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_operations_freeze_and_are_reported(name: str) -> None:
    torch.manual_seed(0)
    traced = checked(Channels(UNKNOWN[name]))
    assert traced.spec.groups == {"last": 6}
    assert traced.frozen and all("aten." in place and "symmetry_networks.py" in place for place in traced.frozen)


class Beside(nn.Module):
    """Two layers whose outputs lie beside each other: along pixels, or along a new axis that is summed."""

    def __init__(self, join: Callable[[list[torch.Tensor]], torch.Tensor]) -> None:
        super().__init__()
        self.left, self.right, self.join = conv(), conv(), join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.join([self.left(x).relu(), self.right(x).relu()])


@pytest.mark.parametrize(
    "join", [lambda pair: torch.cat(pair, 2), lambda pair: torch.stack(pair, 2).sum(2)], ids=["cat", "stack"]
)
def test_what_lies_beside_each_other_moves_together(join: Callable[[list[torch.Tensor]], torch.Tensor]) -> None:
    torch.manual_seed(0)
    traced = checked(Channels(Beside(join)))
    assert traced.frozen == () and traced.spec.groups == {"first": 12, "body.left": 12, "last": 6}


class Memory(nn.Module):
    """Tokens look up a learned memory: its entries could move, but a softmax over units is held still."""

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.values = (nn.Parameter(torch.randn(7, 12)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keys, values = (one.expand(x.shape[0], -1, -1) for one in (self.keys, self.values))
        return F.scaled_dot_product_attention(x, keys, values)


def test_the_entries_of_a_learned_memory_are_held_and_reported() -> None:
    torch.manual_seed(0)
    traced = checked(Tokens(Memory()))
    assert traced.spec.groups == {"embed": 12}
    assert len(traced.frozen) == 1 and "scaled_dot_product_attention" in traced.frozen[0]


class Painter(nn.Module):
    """Units become channels and pixels: their channels move, their pixels do not."""

    def __init__(self, paint: nn.Module) -> None:
        super().__init__()
        self.first, self.paint = nn.Linear(3 * 16 * 16, 5 * 4 * 4), paint
        self.head = nn.LazyLinear(10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.paint(self.first(x.flatten(1)).view(-1, 5, 4, 4)).relu().flatten(1))


@pytest.mark.parametrize(
    ("paint", "groups"),
    [
        (conv(5, 6, padding=1), {"paint": 6}),
        (nn.ConvTranspose2d(5, 6, 3), {"paint": 6}),
        (nn.MaxPool2d(2), {}),
        (nn.AdaptiveAvgPool2d(2), {}),
        (nn.Upsample(scale_factor=2), {}),
        (nn.ReflectionPad2d(1), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_pixels_made_of_units_stay_where_they_are(paint: nn.Module, groups: dict[str, int]) -> None:
    torch.manual_seed(0)
    model = Painter(paint)
    model(images())
    traced = checked(model)
    assert traced.frozen == () and traced.spec.groups == {"first": 5, **groups}


class Written(nn.Module):
    """A tensor of zeros into which channels are written: its parts must not be taken for alike."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.zeros_like(x)
        if self.whole:
            y += x
            y[:, 3] *= 2
        else:
            y[:, 2:7] = x[:, 2:7]
        return y


@pytest.mark.parametrize("whole", [True, False])
def test_writing_into_parts_keeps_the_function(whole: bool) -> None:
    torch.manual_seed(0)
    checked(Channels(Written(whole)))
