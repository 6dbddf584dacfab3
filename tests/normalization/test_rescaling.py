import itertools

import pytest
import torch
from torch import nn

from lmc.experiments import Recipe
from lmc.interpolation import evaluate, interpolate
from lmc.matching import Task, activation_matching
from lmc.normalization import Repair, has_statistics, repair, reset
from lmc.permutation import apply_permutation, random_permutation
from lmc.stacking import stack_states
from lmc.symmetry import trace
from lmc.training import initial_state, train
from models import get_model

LAMS = [0.0, 0.3, 0.5, 1.0]

# (architecture, depth, norm, input shape, the modules whose units are corrected: written down by hand)
MLP = [f"layers.{i}" for i in range(3)], [f"norms.{i}" for i in range(3)]
CNN = ["convs.0", "convs.1", "hidden"], ["norms.0", "norms.1", "hidden_norm"]
BLOCKS = [(i, ("conv1", "conv2", *(["shortcut"] if i else []))) for i in range(3)]
RESNET = (
    ["stem"] + [f"blocks.{i}.{name}" for i, names in BLOCKS for name in names],
    ["stem_norm"]
    + [f"blocks.{i}.{name}".replace("conv", "norm") for i, names in BLOCKS for name in names if name != "shortcut"]
    + ["blocks.1.shortcut_norm", "blocks.2.shortcut_norm"],
)
VIT = [
    "patches",
    *[f"blocks.{i}.{n}" for i in (0, 1) for n in ["norm1", "query", "key", "value", "project", "norm2", "up", "down"]],
    "norm",
]
CASES = [
    ("mlp", 3, "none", (6,), MLP[0]),
    ("mlp", 3, "layer", (6,), MLP[1]),
    ("mlp", 3, "batch", (6,), MLP[1]),
    ("cnn", 2, "none", (1, 8, 8), CNN[0]),
    ("cnn", 2, "batch", (1, 8, 8), CNN[1]),
    ("cnn", 2, "layer", (1, 8, 8), ["norms.0.layer", "norms.1.layer", "hidden_norm"]),
    ("cnn", 2, "group", (1, 8, 8), CNN[1]),
    ("resnet", 8, "none", (3, 8, 8), RESNET[0]),
    ("resnet", 8, "batch", (3, 8, 8), RESNET[1]),
    ("vit", 2, "layer", (1, 8, 8), VIT),
]


class Pair:
    """Two random networks with lively norms, and inputs, in float64."""

    def __init__(self, arch, depth, norm, shape, images=24):
        self.build = lambda: get_model(arch, input_shape=shape, classes=4, width=8, depth=depth, norm=norm).double()
        self.a, self.b = self.start(0), self.start(1)
        self.inputs = torch.randn(images, *shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def start(self, seed):
        torch.manual_seed(seed)
        network = self.build()
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1:
                nn.init.uniform_(parameter, 0.5, 1.5) if "weight" in name else nn.init.normal_(parameter, std=0.3)
        return {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def reset(self, state):
        stacked = reset(self.build(), stack_states([state]), self.inputs)
        return {name: tensor[0] for name, tensor in stacked.items()}


def at(states, k):
    return {name: tensor[k] for name, tensor in states.items()}


@torch.no_grad()
def logits(build, state, inputs):
    network = build().eval()
    network.load_state_dict(state)
    return network(inputs)


@torch.no_grad()
def measured(build, state, inputs, names):
    """Mean and deviation of every unit of the named modules, unit by unit: `{name: [units, 2]}`."""
    network = build().eval()
    network.load_state_dict(state)
    outputs = {}
    for name in names:
        network.get_submodule(name).register_forward_hook(
            lambda _m, _i, output, name=name: outputs.__setitem__(name, output.clone())
        )
    network(inputs)
    found = {}
    for name, output in outputs.items():
        last = isinstance(network.get_submodule(name), nn.Linear | nn.LayerNorm)
        rows = []
        for unit in range(output.shape[-1 if last else 1]):
            values = (output[..., unit] if last else output[:, unit]).reshape(-1)
            rows.append([values.mean(), ((values - values.mean()) ** 2).mean().sqrt()])
        found[name] = torch.tensor(rows, dtype=torch.float64)
    return found


@pytest.mark.parametrize(("arch", "depth", "norm", "shape", "names"), CASES)
def test_every_hidden_unit_has_the_interpolated_mean_and_deviation(arch, depth, norm, shape, names):
    pair = Pair(arch, depth, norm, shape)
    states = repair(pair.build(), pair.a, pair.b, LAMS, pair.inputs)
    a, b = (measured(pair.build, pair.reset(end), pair.inputs, names) for end in (pair.a, pair.b))
    plain = interpolate(pair.a, pair.b, LAMS)
    far = 0.0
    for k, lam in enumerate(LAMS):
        found = measured(pair.build, at(states, k), pair.inputs, names)
        before = measured(pair.build, at(plain, k), pair.inputs, names)
        assert set(found) == set(names)
        for name in names:
            target = (1 - lam) * a[name] + lam * b[name]
            assert torch.allclose(found[name], target, atol=1e-9, rtol=0), (lam, name)
            far = max(far, float((before[name] - target).abs().max()))
    assert far > 0.05  # without REPAIR they are elsewhere


@pytest.mark.parametrize(("arch", "depth", "norm", "shape", "names"), CASES)
def test_the_ends_keep_their_function_and_the_rest_stays(arch, depth, norm, shape, names):
    pair = Pair(arch, depth, norm, shape)
    states = repair(pair.build(), pair.a, pair.b, LAMS, pair.inputs)
    for k, end in ((0, pair.a), (-1, pair.b)):
        expected = logits(pair.build, pair.reset(end), pair.inputs)
        assert torch.allclose(logits(pair.build, at(states, k), pair.inputs), expected, atol=1e-12, rtol=0)
    line = reset(pair.build(), interpolate(pair.a, pair.b, LAMS), pair.inputs)
    corrected = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    changed = {name for name in line if not torch.equal(line[name], states[name])}
    assert changed == corrected
    assert all(tensor.dtype == line[name].dtype and len(tensor) == len(LAMS) for name, tensor in states.items())


@torch.no_grad()
def test_repair_of_a_perceptron_equals_a_plain_computation():
    pair = Pair("mlp", 3, "none", (6,))
    states = repair(pair.build(), pair.a, pair.b, [0.4], pair.inputs)
    at_a = at_b = here = pair.inputs
    for layer in ("layers.0", "layers.1", "layers.2"):
        weight = 0.6 * pair.a[f"{layer}.weight"] + 0.4 * pair.b[f"{layer}.weight"]
        bias = 0.6 * pair.a[f"{layer}.bias"] + 0.4 * pair.b[f"{layer}.bias"]
        z_a = at_a @ pair.a[f"{layer}.weight"].T + pair.a[f"{layer}.bias"]
        z_b = at_b @ pair.b[f"{layer}.weight"].T + pair.b[f"{layer}.bias"]
        z = here @ weight.T + bias
        for unit in range(8):
            deviation = 0.6 * z_a[:, unit].std(correction=0) + 0.4 * z_b[:, unit].std(correction=0)
            mean = 0.6 * z_a[:, unit].mean() + 0.4 * z_b[:, unit].mean()
            factor = deviation / z[:, unit].std(correction=0)
            bias[unit] = mean + factor * (bias[unit] - z[:, unit].mean())
            weight[unit] *= factor
        assert torch.allclose(states[f"{layer}.weight"][0], weight, atol=1e-12)
        assert torch.allclose(states[f"{layer}.bias"][0], bias, atol=1e-12)
        at_a, at_b, here = torch.relu(z_a), torch.relu(z_b), torch.relu(here @ weight.T + bias)


@pytest.mark.parametrize(("arch", "norm", "shape"), [("cnn", "none", (1, 8, 8)), ("cnn", "batch", (1, 8, 8))])
def test_permuting_and_repairing_commute(arch, norm, shape):
    pair = Pair(arch, 2, norm, shape)
    spec = trace(pair.build(), pair.inputs[:2]).spec
    permutation = random_permutation(spec, torch.Generator().manual_seed(1))
    both = [apply_permutation(spec, permutation, end) for end in (pair.a, pair.b)]
    first = repair(pair.build(), *both, [0.5], pair.inputs)
    second = apply_permutation(spec, permutation, at(repair(pair.build(), pair.a, pair.b, [0.5], pair.inputs), 0))
    for name, tensor in second.items():
        assert torch.allclose(first[name][0], tensor, atol=1e-11, rtol=0), name


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_units_make_no_noise(norm, dtype):
    pair = Pair("cnn", 2, norm, (1, 8, 8))
    ends = [{n: t.to(dtype) if t.is_floating_point() else t.clone() for n, t in e.items()} for e in (pair.a, pair.b)]
    second = "convs.1.weight"
    ends[0][second][0] = 0  # dead in A alone
    for end in ends:
        end["convs.0.weight"][3] = 0  # constant before the norm in both
        end["hidden.weight"][5] = 0
    build, inputs = (lambda: pair.build().to(dtype)), pair.inputs.to(dtype)
    states = repair(build(), *ends, LAMS, inputs)
    assert all(tensor.isfinite().all() for tensor in states.values())
    line = reset(build(), interpolate(*ends, LAMS), inputs)
    names = CNN[0 if norm == "none" else 1]
    for name in (f"{name}.weight" for name in names):
        assert (states[name] / line[name].where(line[name] != 0, 1)).abs().max() < 100, name
    for k, end in ((0, 0), (-1, 3)):
        close = torch.allclose(
            logits(build, at(states, k), inputs), logits(build, at(line, end), inputs), atol=1e-4, rtol=0
        )
        assert close


def test_the_template_and_the_random_state_are_left_alone():
    pair = Pair("cnn", 2, "batch", (1, 8, 8))
    model = pair.build().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ends = [{name: tensor.clone() for name, tensor in end.items()} for end in (pair.a, pair.b)]
    random = torch.get_rng_state()
    Repair(model, pair.a, pair.b, pair.inputs).states([0.0, 0.5])
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    for end, kept in zip((pair.a, pair.b), ends, strict=True):
        assert all(torch.equal(end[name], kept[name]) for name in end)


def test_points_do_not_depend_on_the_chunk_they_are_asked_for_in():
    pair = Pair("cnn", 2, "batch", (1, 8, 8))
    path = Repair(pair.build(), pair.a, pair.b, pair.inputs)
    whole = path.states(LAMS)
    for k, lam in enumerate(LAMS):
        alone = path.states([lam])
        assert all(torch.equal(whole[name][k], alone[name][0]) for name in whole)


def test_repair_lowers_the_loss_and_the_error_in_the_middle_of_matched_pairs(digits):
    def build():
        return get_model("mlp", input_shape=(1, 8, 8), classes=10, width=32)

    seeds, inputs = [0, 1, 2, 3], digits.train_x
    starts = [initial_state(build, seed) for seed in seeds]
    nets = [one.checkpoints[20] for one in train(build(), starts, seeds, digits, Recipe(epochs=20))]
    traced = trace(build(), torch.zeros(2, 1, 8, 8))
    rows = []
    for a, b in itertools.combinations(nets, 2):
        aligned = apply_permutation(traced.spec, activation_matching(Task(traced, a, b, inputs)).permutation, b)
        plain, mended = interpolate(a, aligned, [0.5]), repair(build(), a, aligned, [0.5], inputs)
        rows.append([torch.cat(evaluate(build(), states, digits.test_x, digits.test_y)) for states in (plain, mended)])
    loss, error = torch.stack([torch.stack(row) for row in rows]).mean(0).T
    assert loss[1] < 0.9 * loss[0] and error[1] < 0.9 * error[0]


def test_in_a_network_with_batch_norm_repair_is_nearly_a_reset():
    pair = Pair("cnn", 2, "batch", (1, 8, 8))
    assert has_statistics(pair.build())
    mended = repair(pair.build(), pair.a, pair.b, [0.5], pair.inputs)
    renewed = reset(pair.build(), interpolate(pair.a, pair.b, [0.5]), pair.inputs)
    assert torch.allclose(mended["norms.0.weight"], renewed["norms.0.weight"], rtol=1e-2)
