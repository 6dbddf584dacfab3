"""Units in blocks: which may reorder within each block by themselves, and which only look as if they might."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from symmetry_networks import Attention, Channels, Tokens
from torch import Tensor, nn
from torch.nn import functional as F

from lmc.permutation import apply_permutation, random_permutation, validate
from lmc.symmetry import (
    Fixed,
    Group,
    PermutationSpec,
    Product,
    Sum,
    Traced,
    check_spec,
    max_logit_difference,
    trace,
)
from lmc.symmetry.blocks import find_blocks, merged

H, D, E = Group("heads", 3), Group("units", 4), Group("values", 5)
HD, HE = Product((H, D)), Product((H, E))


def images(batch: int = 4) -> Tensor:
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def has_own_orders(index: Tensor, count: int) -> bool:
    """Whether the units of the blocks stand in different orders."""
    within = index.view(count, -1) % (len(index) // count)
    return not torch.equal(within, within[:1].expand_as(within))


# Terms


@pytest.mark.parametrize(
    ("tensors", "activations", "expected"),
    [
        ([(HD, Fixed(7)), (HD,)], [(Fixed(2), HD)], {"units": "heads"}),
        ([(HD,), (HE,)], [], {"units": "heads", "values": "heads"}),
        ([(Sum((HD, HD, HE)), Fixed(7))], [], {"units": "heads", "values": "heads"}),
        ([(Product((Fixed(2), H, D, Fixed(3))),)], [], {"units": "heads"}),
        ([(HD,), (H,)], [(Fixed(2), H)], {"units": "heads"}),
        # other axes, other orders: only the same tensor matters
        ([(HD,)], [(Fixed(2), H, Fixed(9), D), (D, H), (H,), (H, H, D, D)], {"units": "heads"}),
        # units without blocks, in a tensor or in an activation
        ([(HD,), (D,)], [], {}),
        ([(HD,), (Fixed(7), D)], [], {}),
        ([(HD,), (H, D)], [], {}),
        ([(HD,)], [(Fixed(2), D)], {}),
        ([(HD,), (HE,)], [(Fixed(2), D)], {"values": "heads"}),
        # the same behind something else, or with something between
        ([(HD,), (Product((D, H)),)], [], {}),
        ([(HD,), (Product((E, D)),)], [], {}),
        ([(Product((H, Fixed(2), D)),)], [], {}),
        ([(Product((Fixed(3), D)),)], [], {}),
        # each block met each other one, and the units were summed over
        ([(HD,)], [(Fixed(2), H, D), (Fixed(2), H, H)], {}),
        ([(HD,)], [(Fixed(2), H, H, D)], {}),
        ([(HD,)], [(Fixed(2), Product((H, H)))], {}),
        ([(HD,)], [(Fixed(2), Sum((H, H)))], {"units": "heads"}),
        # blocks of blocks: only the outer ones
        ([(Product((H, D, E)),)], [], {"units": "heads"}),
        ([], [(HD,)], {}),
    ],
)
def test_find_blocks(tensors: list, activations: list, expected: dict[str, str]) -> None:
    assert find_blocks(tensors, activations) == expected


def test_merged_terms() -> None:
    blocks = {"units": "heads"}
    whole = Group("units", 12)
    assert merged(HD, blocks) == whole
    assert merged(Product((Fixed(2), H, D, E)), blocks) == Product((Fixed(2), whole, E))
    assert merged(Product((H, D, H, D)), blocks) == Product((whole, whole))
    assert merged(Sum((HD, HE, Fixed(3))), blocks) == Sum((whole, HE, Fixed(3)))
    assert merged(H, blocks) == H and merged(Fixed(4), blocks) == Fixed(4)
    assert merged(D, blocks) == Fixed(4), "an activation's own axis of units"
    assert merged(HD, {}) == HD


# Networks whose heads are free


FREE_BODIES = {
    "three layers": lambda: Attention(),
    "one fused layer": lambda: Attention(fused="unbind"),
    "written out": lambda: Attention(fused="chunk", written=True),
}


@pytest.mark.parametrize("name", FREE_BODIES)
def test_every_head_has_an_order_of_its_own(name: str) -> None:
    torch.manual_seed(0)
    model = Tokens(FREE_BODIES[name]())
    spec = trace(model, images()).spec
    (heads,) = set(spec.blocks.values())
    assert spec.groups[heads] == 3 and len(spec.blocks) == 2
    seen = set()
    for seed in range(5):
        permutation = random_permutation(spec, torch.Generator().manual_seed(seed))
        validate(spec, permutation)
        assert max_logit_difference(model, spec, permutation, inputs=images(16)) <= 1e-10
        seen |= {group for group in spec.blocks if has_own_orders(permutation[group], 3)}
    assert seen == set(spec.blocks)


def test_members_of_a_norm_s_groups_have_orders_of_their_own() -> None:
    torch.manual_seed(0)
    model = Channels(nn.GroupNorm(3, 12))
    spec = trace(model, images()).spec
    assert spec.blocks == {"first": "first blocks"}
    # one group's members alone
    permutation = {"first": torch.tensor([0, 1, 2, 3, 7, 4, 6, 5, 8, 9, 10, 11])}
    validate(spec, permutation)
    assert max_logit_difference(model, spec, permutation, inputs=images(16)) <= 1e-10
    # across groups it would be no symmetry, which is why `validate` refuses it
    across = {"first": torch.tensor([4, 1, 2, 3, 0, 5, 6, 7, 8, 9, 10, 11])}
    assert max_logit_difference(model, spec, across, inputs=images(16)) > 1e-4
    with pytest.raises(ValueError, match="'first' must keep blocks together and move them as 'first blocks' does"):
        validate(spec, across)


class Talking(nn.Module):
    """Attention whose scores are mixed across heads by a matrix, before they meet the values' heads."""

    def __init__(self, residual: bool) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(12, 12) for _ in range(4))
        self.mix, self.residual = nn.Parameter(torch.randn(3, 3)), residual

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (3, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        scores = q @ k.mT
        mixed = torch.einsum("ngij,gh->nhij", scores, self.mix)
        mixed = mixed + scores if self.residual else mixed
        return self.out((mixed.softmax(-1) @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("residual", [True, False])
def test_heads_that_talk_to_each_other_keep_their_units_apart(residual: bool) -> None:
    torch.manual_seed(0)
    model = Tokens(Talking(residual))
    spec = trace(model, images()).spec
    check_spec(model, spec, images(8), torch.Generator().manual_seed(1))
    assert set(spec.blocks) == {"body.q", "body.v"}
    assert (spec.blocks["body.q"] == spec.blocks["body.v"]) == residual, "mixed once, the values' heads are others"


# Networks whose heads look free


class Headed(nn.Module):
    """Units in 3 heads of 4, `body` on `[N, tokens, heads, units]`, and a layer that takes all that comes out."""

    def __init__(self, body: Callable[[Tensor], Tensor], out: int) -> None:
        super().__init__()
        self.body, self.project, self.out = body, nn.Linear(12, 12), nn.Linear(out, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(self.project(x).unflatten(-1, (3, 4))).flatten(2))


def spread(x: Tensor, mixed: Tensor) -> Tensor:
    """What came out of mixing heads, for every head and unit alike."""
    return x * mixed.tanh()


UNFREE = {
    "products of heads": (lambda x: (x @ x.mT).tanh(), 9),
    "products of heads, on the units": (lambda x: (x @ x.mT).tanh() @ x, 12),
    "products of heads, entry by entry": (lambda x: (x[:, :, :, None] * x[:, :, None]).tanh().sum(-1), 9),
    "products of heads, by einsum": (lambda x: torch.einsum("nthd,ntgd->nthg", x, x).tanh(), 9),
    "products of heads, summed at once": (
        lambda x: spread(x, torch.einsum("nthd,ntgd->nth", x, x.tanh()).unsqueeze(-1)),
        12,
    ),
    "mean over heads": (lambda x: spread(x, x.mean(2, keepdim=True)), 12),
    "largest head": (lambda x: spread(x, x.amax(2, keepdim=True)), 12),
    "only the mean over heads": (lambda x: x.mean(2).tanh(), 4),
    "softmax over heads": (lambda x: torch.softmax(x, 2), 12),
    "unit length over heads": (lambda x: F.normalize(x, dim=2), 12),
    "neighbours": (lambda x: spread(x, x.roll(1, 2)), 12),
    "the first head with all": (lambda x: spread(x, x[:, :, :1]), 12),
}
SHARED = {
    "layer norm of every head": (lambda: nn.LayerNorm(4), 12),
    "a layer for every head": (lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh()), 15),
}


@pytest.mark.parametrize("name", [*UNFREE, *SHARED])
def test_units_that_meet_across_heads_keep_one_order(name: str) -> None:
    torch.manual_seed(0)
    body, out = UNFREE[name] if name in UNFREE else (SHARED[name][0](), SHARED[name][1])
    model = Tokens(Headed(body, out))
    spec = trace(model, images(3)).spec
    check_spec(model, spec, images(8), torch.Generator().manual_seed(1))
    assert "body.project" not in spec.blocks
    assert 4 in [group.size for group in atoms(spec, "body.project.weight")], "all heads may reorder alike"


def atoms(spec: PermutationSpec, name: str) -> tuple[Group, ...]:
    axis = spec.axes[name][0]
    return axis.parts if isinstance(axis, Product) else (axis,)


class MultiQuery(nn.Module):
    """Three heads of queries, each with one and the same key and value."""

    def __init__(self, expand: bool) -> None:
        super().__init__()
        self.expand = expand
        self.q, self.k, self.v = nn.Linear(12, 12), nn.Linear(12, 4), nn.Linear(12, 4)
        self.out = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).unflatten(-1, (3, 4)).transpose(1, 2)
        k, v = self.k(x)[:, None], self.v(x)[:, None]
        if self.expand:
            k, v = k.expand(-1, 3, -1, -1), v.expand(-1, 3, -1, -1)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("expand", [True, False])
def test_units_of_shared_keys_keep_one_order(expand: bool) -> None:
    torch.manual_seed(0)
    model = Tokens(MultiQuery(expand))
    spec = trace(model, images(3)).spec
    check_spec(model, spec, images(8), torch.Generator().manual_seed(1))
    assert spec.blocks == {} and sorted(spec.groups.values()) == [3, 4, 4, 12]


def test_weights_of_zero_hide_nothing_from_the_trial() -> None:
    """Nothing but the numbers tells that these heads meet, and the untrained network answers zero whatever happens."""
    torch.manual_seed(0)
    body, out = UNFREE["products of heads, summed at once"]
    model = Tokens(Headed(body, out))
    nn.init.zeros_(model.head.weight)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert trace(model, images()).spec.blocks == {}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", ["products of heads", "products of heads, entry by entry", "mean over heads"])
def test_without_numbers_terms_alone_tell(name: str) -> None:
    with torch.device("meta"):
        model = Tokens(Headed(*UNFREE[name]))
    assert trace(model, torch.zeros(2, 3, 16, 16, device="meta")).spec.blocks == {}


def test_one_layer_that_is_not_free_leaves_the_others_free() -> None:
    torch.manual_seed(0)
    model = Tokens(nn.Sequential(Headed(*UNFREE["products of heads"]), Attention()))
    spec = trace(model, images()).spec
    assert set(spec.blocks) == {"body.1.q", "body.1.v"}
    check_spec(model, spec, images(8), torch.Generator().manual_seed(1))


def test_copies_that_only_a_buffer_has_are_no_group() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(24, affine=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x.repeat_interleave(2, 1)).unflatten(1, (12, 2)).amax(2)

    model = Channels(Doubled())
    traced = trace(model, images())
    assert traced.spec.groups == {"first": 12, "last": 6} and traced.spec.blocks == {}
    check_spec(model, traced.spec, images(8), torch.Generator().manual_seed(1))


# Activations


def test_activations_of_units_in_blocks_follow_them() -> None:
    torch.manual_seed(0)
    model = Tokens(Attention())
    traced: Traced = trace(model, images())
    permutation = random_permutation(traced.spec, torch.Generator().manual_seed(1))
    permuted = apply_permutation(traced.spec, permutation, model.state_dict())
    before, after = (traced.activations(state, images(3)) for state in (model.state_dict(), permuted))
    for group in traced.spec.blocks:
        torch.testing.assert_close(after[group], before[group][:, permutation[group]], rtol=1e-4, atol=1e-5)
