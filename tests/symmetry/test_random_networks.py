"""Any network put together from the operations that are covered traces, keeps its function and freezes nothing."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from symmetry_networks import Attention, PixelNorm
from torch import Tensor, nn
from torch.nn import functional as F

from lmc.symmetry import check_spec, trace

NORMS = ("none", "batch", "instance", "pixel", "group", "one group")
IMAGE_STEPS = ("conv", "bottleneck", "depthwise", "grouped", "skip", "projected skip", "cat", "dense", "gate", "pool")
TOKEN_STEPS = ("attention", "fused attention", "mlp", "mixer", "cat token", "gate")


def normed(norm: str, channels: int) -> nn.Module:
    groups = next(g for g in (4, 3, 2, 1) if channels % g == 0)
    return {
        "none": nn.Identity,
        "batch": lambda: nn.BatchNorm2d(channels),
        "instance": lambda: nn.InstanceNorm2d(channels, affine=True),
        "pixel": lambda: PixelNorm(channels),
        "group": lambda: nn.GroupNorm(groups, channels),
        "one group": lambda: nn.GroupNorm(1, channels),
    }[norm]()


class ImageStep(nn.Module):
    """One step on `[N, channels, side, side]`; `out` is the number of channels after it."""

    def __init__(self, kind: str, norm: str, channels: int) -> None:
        super().__init__()
        self.kind, self.out = kind, channels
        self.norm = normed(norm, channels)
        if kind == "conv":
            self.out = channels + 2
            self.a = nn.Conv2d(channels, self.out, 3, padding=1)
        elif kind == "bottleneck":
            self.out = 6
            self.a = nn.Sequential(nn.Conv2d(channels, 6, 1, bias=False), normed(norm, 6))
        elif kind == "depthwise":
            self.a = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        elif kind == "grouped":
            self.a = nn.Conv2d(channels, channels, 3, padding=1, groups=2 if channels % 2 == 0 else 1)
        elif kind in ("skip", "projected skip"):
            self.a = nn.Sequential(nn.Conv2d(channels, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, channels, 1))
            self.b = nn.Conv2d(channels, channels, 1) if kind == "projected skip" else nn.Identity()
        elif kind in ("cat", "dense"):
            self.out = 2 * channels if kind == "cat" else channels + 3
            self.a = nn.Conv2d(channels, self.out - channels, 3, padding=1)
        elif kind == "gate":
            self.a, self.b = nn.Linear(channels, 4), nn.Linear(4, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(x))
        if self.kind in ("skip", "projected skip"):
            return self.b(x) + self.a(x)
        if self.kind == "cat":
            return torch.cat([*self.a(x).chunk(2, 1), x], 1)
        if self.kind == "dense":
            return torch.cat([x, self.a(x)], 1)
        if self.kind == "gate":
            return x * torch.sigmoid(self.b(torch.relu(self.a(x.mean((2, 3))))))[:, :, None, None]
        if self.kind == "pool":
            return F.max_pool2d(x, 2) if x.shape[-1] > 3 else x
        return self.a(x)


class TokenStep(nn.Module):
    """One step on `[N, tokens, units]`."""

    def __init__(self, kind: str, units: int, tokens: int) -> None:
        super().__init__()
        self.kind, self.norm = kind, nn.LayerNorm(units) if kind != "cat token" else nn.Identity()
        if "attention" in kind:
            self.a = Attention(units, 2, 3, fused="unbind" if kind.startswith("fused") else "", written=units % 2 == 0)
        elif kind == "mlp":
            self.a = nn.Sequential(nn.Linear(units, 7), nn.GELU(), nn.Linear(7, units))
        elif kind == "mixer":
            self.a = nn.Sequential(nn.Linear(tokens, 5), nn.GELU(), nn.Linear(5, tokens))
        elif kind == "cat token":
            self.a = nn.Parameter(torch.randn(1, 1, units))
        else:
            self.a = nn.Linear(units, 2 * units)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "cat token":
            return torch.cat([self.a.expand(x.shape[0], -1, -1), x], 1)
        y = self.norm(x)
        if self.kind == "mixer":
            return x + self.a(y.transpose(1, 2)).transpose(1, 2)
        if self.kind == "gate":
            value, gate = self.a(y).split(x.shape[-1], -1)
            return x + value * F.silu(gate)
        return x + self.a(y)


class Network(nn.Module):
    """A stem, steps on images, perhaps steps on tokens, and a head after a flatten, a mean or the first token."""

    def __init__(self, images: list[tuple[str, str]], tokens: list[str], end: str) -> None:
        super().__init__()
        self.stem, channels, side = nn.Conv2d(2, 4, 3, padding=1), 4, 6
        self.images, self.tokens, self.end = nn.ModuleList(), nn.ModuleList(), end
        for kind, norm in images:
            self.images.append(step := ImageStep(kind, norm, channels))
            channels, side = step.out, side // 2 if kind == "pool" and side > 3 else side
        count = side * side
        for kind in tokens:
            self.tokens.append(TokenStep(kind, channels, count))
            count += kind == "cat token"
        self.positions = nn.Parameter(torch.randn(count - sum(k == "cat token" for k in tokens), channels))
        self.hidden = nn.Linear(channels * (count if end == "flatten" else 1), 9)
        self.head = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for step in self.images:
            x = step(x)
        if self.tokens:
            x = x.flatten(2).transpose(1, 2) + self.positions
            for step in self.tokens:
                x = step(x)
            x = x.transpose(1, 2)
        else:
            x = x + self.positions.t().view(1, -1, *x.shape[2:])
        x = {"flatten": lambda: x, "mean": lambda: x.flatten(2).mean(2), "first": lambda: x.flatten(2)[:, :, 0]}[
            self.end
        ]()
        return self.head(torch.tanh(self.hidden(x.flatten(1))))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(images=[("dense", "group"), ("cat", "group"), ("conv", "group")], tokens=[], end="flatten")
@example(images=[("skip", "group"), ("grouped", "group")], tokens=["fused attention", "mlp"], end="mean")
@example(images=[("cat", "none")], tokens=["attention", "cat token", "mixer", "attention"], end="first")
@given(
    images=st.lists(st.tuples(st.sampled_from(IMAGE_STEPS), st.sampled_from(NORMS)), min_size=1, max_size=5),
    tokens=st.lists(st.sampled_from(TOKEN_STEPS), max_size=4),
    end=st.sampled_from(("flatten", "mean", "first")),
)
def test_random_networks(images: list[tuple[str, str]], tokens: list[str], end: str) -> None:
    torch.manual_seed(0)
    model = Network(images, tokens, end)
    x = torch.randn(6, 2, 6, 6)
    traced = trace(model, x[:3])
    assert traced.frozen == () and traced.unused == ()
    assert traced.spec.groups["hidden"] == 9
    check_spec(model, traced.spec, x, torch.Generator().manual_seed(1))
    values = traced.activations(model.state_dict(), x[:5])
    assert all(units.shape[1] == traced.spec.groups[group] for group, units in values.items())
