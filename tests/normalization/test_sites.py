import pytest
import torch
from torch import nn

from lmc.normalization import repair
from lmc.normalization.sites import find_sites


class Net(nn.Module):
    """Whatever `forward` a test gives it."""

    def __init__(self, run, **modules):
        super().__init__()
        self.run = run
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.run(self, x)


def names(network, inputs):
    return [site.name for site in find_sites(network, dict(network.state_dict()), inputs)]


def test_the_last_layer_that_runs_makes_the_logits_whatever_its_name_and_order_of_definition():
    network = Net(lambda m, x: m.first(torch.relu(m.second(x))), first=nn.Linear(4, 3), second=nn.Linear(5, 4))
    assert names(network, torch.zeros(2, 5)) == ["second"]
    only = nn.Linear(5, 3)
    assert names(only, torch.zeros(2, 5)) == []
    a, b = ({n: t.detach().clone() for n, t in nn.Linear(5, 3).state_dict().items()} for _ in range(2))
    states = repair(only, a, b, [0.0, 0.5], torch.randn(6, 5))
    assert torch.equal(states["weight"][0], a["weight"])
    assert torch.allclose(states["weight"][1], (a["weight"] + b["weight"]) / 2)


def test_a_norm_stands_for_the_layer_that_goes_straight_into_it():
    layers = {"up": nn.Linear(5, 4), "norm": nn.LayerNorm(4), "head": nn.Linear(4, 3)}
    x = torch.zeros(2, 5)
    assert names(Net(lambda m, x: m.head(m.norm(m.up(x))), **layers), x) == ["norm"]
    assert names(Net(lambda m, x: m.head(m.norm(m.up(x).view(2, 1, 4))), **layers), x) == ["norm"]
    assert names(Net(lambda m, x: m.head(m.norm(torch.relu(m.up(x)))), **layers), x) == ["up", "norm"]
    # In place: the same memory, but no longer what the layer made.
    assert names(Net(lambda m, x: m.head(m.norm(torch.relu_(m.up(x)))), **layers), x) == ["up", "norm"]
    after = Net(lambda m, x: m.norm(m.head(torch.relu(m.up(x)))), **{**layers, "norm": nn.LayerNorm(3)})
    assert names(after, x) == ["up"]


def test_a_norm_without_weights_stands_for_nothing():
    layers = {"up": nn.Linear(5, 4), "norm": nn.BatchNorm1d(4, affine=False), "head": nn.Linear(4, 3)}
    assert names(Net(lambda m, x: m.head(m.norm(m.up(x))), **layers), torch.zeros(2, 5)) == ["up"]


def test_layers_without_bias_and_norm_stay_as_they_are():
    layers = {"up": nn.Conv1d(2, 4, 3, bias=False), "down": nn.Conv1d(4, 4, 3), "head": nn.Linear(4, 3)}
    network = Net(lambda m, x: m.head(torch.relu(m.down(torch.relu(m.up(x)))).mean(2)), **layers)
    assert names(network, torch.zeros(2, 2, 9)) == ["down"]


def test_a_layer_that_runs_twice_is_refused():
    network = Net(lambda m, x: m.head(m.up(torch.relu(m.up(x)))), up=nn.Linear(4, 4), head=nn.Linear(4, 3))
    with pytest.raises(ValueError, match="'up': it runs 2 times"):
        names(network, torch.zeros(2, 4))


def test_tied_layers_are_refused():
    network = Net(
        lambda m, x: m.head(m.second(torch.relu(m.first(x)))),
        first=nn.Linear(4, 4),
        second=nn.Linear(4, 4),
        head=nn.Linear(4, 3),
    )
    network.second.weight = network.first.weight
    with pytest.raises(ValueError, match="'first': it shares its weights"):
        names(network, torch.zeros(2, 4))
