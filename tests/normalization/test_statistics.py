import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from lmc.normalization import has_statistics, reset, statistics
from lmc.permutation import apply_permutation, random_permutation
from lmc.stacking import stack_states
from lmc.symmetry import trace
from models import get_model


class Small(nn.Module):
    """Two convolutions with BatchNorm, dropout between them, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.conv2, self.norm2 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.drop(torch.relu(self.norm1(self.conv1(x))))
        return self.head(torch.relu(self.norm2(self.conv2(x))).mean((2, 3)))


class Twice(nn.Module):
    """One BatchNorm that runs twice in a pass, under two names."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(6, 4), nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.alias = self.norm

    def forward(self, x):
        return self.alias(self.down(torch.relu(self.norm(self.up(x)))))


def random_network(build, seed=0):
    """A network whose norms have random weights and whose statistics are of no use."""
    torch.manual_seed(seed)
    network = build().double()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.constant_(module.running_mean, float("nan"))
    return network


def inputs_of(shape, seed=9):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one(network, inputs):
    """The reset state of one network."""
    stacked = reset(network, stack_states([network.state_dict()]), inputs)
    return {name: tensor[0] for name, tensor in stacked.items()}


def by_hand(network, batches):
    """Both norms' statistics with plain loops over batches and channels, weighted by images."""
    images = sum(len(batch) for batch in batches)
    sums = {f"norm{i}.{kind}": 0.0 for i in (1, 2) for kind in ("running_mean", "running_var")}
    for x in batches:
        share = len(x) / images
        for i in (1, 2):
            x = F.conv2d(x, getattr(network, f"conv{i}").weight)
            norm = getattr(network, f"norm{i}")
            channels = []
            means, variances = [], []
            for c in range(x.shape[1]):
                values = x[:, c].reshape(-1)
                mean = values.sum() / len(values)
                squares = ((values - mean) ** 2).sum()
                means.append(mean)
                variances.append(squares / (len(values) - 1))
                scaled = (x[:, c] - mean) / torch.sqrt(squares / len(values) + norm.eps)
                channels.append(scaled * norm.weight[c] + norm.bias[c])
            sums[f"norm{i}.running_mean"] += torch.stack(means) * share
            sums[f"norm{i}.running_var"] += torch.stack(variances) * share
            x = torch.relu(torch.stack(channels, 1))
    return sums


@torch.no_grad()
def test_reset_equals_statistics_computed_by_hand(monkeypatch):
    monkeypatch.setattr(statistics, "BATCH", 3)
    network, inputs = random_network(Small), inputs_of((7, 2, 6, 6))
    found = one(network, inputs)
    expected = by_hand(network, [inputs[:3], inputs[3:5], inputs[5:]])  # three batches, as equal as 7 allows
    for name, values in expected.items():
        assert torch.allclose(found[name], values, atol=1e-13, rtol=0), name
    assert found["norm1.num_batches_tracked"].dtype == torch.int64
    assert int(found["norm1.num_batches_tracked"]) == int(found["norm2.num_batches_tracked"]) == 3


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: get_model("resnet", input_shape=(3, 8, 8), classes=4, width=4, depth=8, norm="batch"), (12, 3, 8, 8)),
        (lambda: get_model("cnn", input_shape=(1, 8, 8), classes=4, width=3, depth=2, norm="batch"), (12, 1, 8, 8)),
        (lambda: get_model("mlp", input_shape=(5,), classes=4, width=6, depth=2, norm="batch"), (12, 5)),
        (Twice, (12, 6)),
    ],
)
def test_reset_equals_update_bn_of_torch(monkeypatch, build, shape):
    monkeypatch.setattr(statistics, "BATCH", 4)
    network, inputs = random_network(build), inputs_of(shape)
    found = one(network, inputs)
    update_bn(inputs.split(4), network)
    expected = network.state_dict()
    assert any(not torch.equal(found[name], torch.zeros_like(found[name])) for name in found if "running_mean" in name)
    for name, values in expected.items():
        assert torch.allclose(found[name], values, atol=1e-13, rtol=0), name


@torch.no_grad()
def test_after_a_reset_on_one_batch_the_first_norm_gives_units_its_own_mean_and_deviation():
    network, inputs = random_network(Small), inputs_of((9, 2, 6, 6))
    network.load_state_dict(one(network, inputs))
    before = network.conv1(inputs)
    after = network.norm1.eval()(before)
    biased = before.var((0, 2, 3), correction=0)
    unbiased = biased * 144 / 143  # 9 images of 4x4 pixels
    assert torch.allclose(after.mean((0, 2, 3)), network.norm1.bias, atol=1e-12)
    expected = network.norm1.weight.abs() * (biased / (unbiased + network.norm1.eps)).sqrt()
    assert torch.allclose(after.std((0, 2, 3), correction=0), expected, atol=1e-12)


def test_of_the_batch_size_only_the_first_mean_is_independent(monkeypatch):
    network, inputs = random_network(Small), inputs_of((11, 2, 6, 6))
    whole = one(network, inputs)
    monkeypatch.setattr(statistics, "BATCH", 4)  # 4 + 4 + 3
    batches = one(network, inputs)
    assert torch.allclose(whole["norm1.running_mean"], batches["norm1.running_mean"], atol=1e-13)
    for name in ("norm1.running_var", "norm2.running_mean", "norm2.running_var"):
        assert 1e-6 < (whole[name] - batches[name]).abs().max() < 0.2, name


def test_networks_of_a_stack_do_not_see_each_other_and_other_entries_are_passed_through():
    networks, inputs = [random_network(Small, seed) for seed in (0, 1, 2)], inputs_of((8, 2, 6, 6))
    states = stack_states([network.state_dict() for network in networks])
    found = reset(networks[0], states, inputs)
    assert list(found) == list(states)
    for k, network in enumerate(networks):
        alone = one(network, inputs)
        assert all(torch.equal(found[name][k], alone[name]) for name in found)
    assert found["conv1.weight"] is states["conv1.weight"]
    assert states["norm1.running_mean"].isnan().all()  # not written to


@pytest.mark.parametrize("training", [False, True])
def test_the_template_and_the_random_state_are_left_alone(training):
    network = random_network(Small).train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    states = stack_states([random_network(Small, 1).state_dict()])
    torch.set_rng_state(random)
    reset(network, states, inputs_of((8, 2, 6, 6)))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training == training for module in network.modules())
    assert network.norm1.momentum == 0.1 and not network.norm1._forward_pre_hooks
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor.nan_to_num(7.0), before[name].nan_to_num(7.0))


def test_a_model_without_statistics_keeps_its_states():
    for build in (lambda: nn.LayerNorm(4), lambda: nn.BatchNorm1d(4, track_running_stats=False)):
        assert not has_statistics(build())
        states = stack_states([build().state_dict(), build().state_dict()])
        found = reset(build(), states, torch.zeros(3, 4))
        assert list(found) == list(states) and all(found[name] is states[name] for name in states)
    assert has_statistics(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    assert has_statistics(nn.BatchNorm1d(2))


def test_float32_and_channels_last_change_only_rounding():
    network, inputs = random_network(Small), inputs_of((40, 2, 6, 6))
    exact = one(network, inputs)
    single = network.float()
    for layout in (torch.contiguous_format, torch.channels_last):
        found = one(single, inputs.float().contiguous(memory_format=layout))
        for name in ("norm1.running_mean", "norm2.running_var"):
            assert found[name].dtype == torch.float32
            assert torch.allclose(found[name].double(), exact[name], atol=1e-6), name


def test_a_batch_of_one_value_has_no_variance():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(ValueError, match="more than 1 value"):
        reset(network, stack_states([network.state_dict()]), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("arch", "shape", "depth"), [("mlp", (7,), 2), ("cnn", (1, 8, 8), 2), ("resnet", (3, 8, 8), 8)]
)
def test_permuting_and_resetting_commute(arch, shape, depth):
    network = random_network(lambda: get_model(arch, input_shape=shape, classes=4, width=4, depth=depth, norm="batch"))
    spec = trace(network, torch.zeros(2, *shape, dtype=torch.float64)).spec
    permutation = random_permutation(spec, torch.Generator().manual_seed(1))
    inputs = inputs_of((20, *shape))
    permuted = apply_permutation(spec, permutation, network.state_dict())
    first = reset(network, stack_states([permuted]), inputs)
    second = apply_permutation(spec, permutation, one(network, inputs))
    moved = [name for name in second if not torch.equal(second[name], one(network, inputs)[name])]
    assert any("running_mean" in name for name in moved)
    for name, tensor in second.items():
        assert torch.allclose(first[name][0], tensor, atol=1e-12, rtol=0), name
