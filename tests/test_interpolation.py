import pytest
import torch
from torch.nn import functional

from lmc import interpolation, stacking
from lmc.interpolation import chunks, evaluate, grid, interpolate, predict
from lmc.training import initial_state
from models import get_model


def build(width):
    return get_model("mlp", input_shape=(1, 8, 8), classes=10, width=width)


def ends(width, dtype=torch.float64):
    return [initial_state(lambda: build(width), seed, dtype) for seed in (0, 1)]


def plain(width, a, b, lams, x, y):
    """The independent way: one network, load_state_dict for each λ, batches of 128."""
    model = build(width).to(x.dtype)
    rows = []
    for lam in lams:
        model.load_state_dict({name: (1 - lam) * a[name] + lam * b[name] for name in a})
        loss = wrong = 0.0
        with torch.no_grad():
            for images, labels in zip(x.split(128), y.split(128), strict=True):
                logits = model(images)
                loss += functional.cross_entropy(logits, labels, reduction="sum").item()
                wrong += (logits.argmax(1) != labels).sum().item()
        rows.append((loss / len(y), wrong / len(y)))
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("width", [7, 32, 512])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_evaluate_equals_a_plain_loop(digits, width, dtype, close):
    data = digits.to("cpu", dtype)
    a, b = ends(width, dtype)
    lams = grid(5)
    losses, errors = evaluate(build(width).to(dtype), interpolate(a, b, lams), data.train_x, data.train_y)
    expected = plain(width, a, b, lams, data.train_x, data.train_y)
    assert torch.allclose(losses, expected[:, 0], atol=close, rtol=0)
    assert torch.allclose(errors, expected[:, 1], atol=0.5 / len(data.train_y), rtol=0)


def test_the_ends_are_the_networks_themselves_and_the_middle_their_mean():
    a, b = ends(8)
    states = interpolate(a, b, grid(3))
    for name in a:
        assert torch.equal(states[name][0], a[name]) and torch.equal(states[name][2], b[name])
        assert torch.allclose(states[name][1], (a[name] + b[name]) / 2)


def test_chunks_change_nothing(digits, monkeypatch):
    a, b = ends(8)
    data = digits.to("cpu", torch.float64)
    states = interpolate(a, b, grid(4))
    whole = evaluate(build(8).double(), states, data.test_x, data.test_y)
    monkeypatch.setattr(interpolation, "ROWS", 100)
    for found, expected in zip(evaluate(build(8).double(), states, data.test_x, data.test_y), whole, strict=True):
        assert torch.allclose(found, expected, atol=1e-12)
    monkeypatch.setattr(stacking, "SMALL", 0)
    monkeypatch.setattr(interpolation, "IMAGES", 77)
    for found, expected in zip(evaluate(build(8).double(), states, data.test_x, data.test_y), whole, strict=True):
        assert torch.allclose(found, expected, atol=1e-12)
    one = build(8).double()
    one.load_state_dict({name: tensor[2] for name, tensor in states.items()})
    expected = functional.softmax(one(data.test_x[5:6]), -1)[0]
    assert torch.allclose(predict(build(8).double(), states, data.test_x)[2, 5], expected)


def test_a_grid_is_gone_through_at_once_by_a_small_network_and_point_by_point_by_a_large_one():
    for width, sizes in ((8, [9]), (512, [1] * 9)):
        a, b = ends(width, torch.float32)
        parts = list(chunks(build(width), grid(9)))
        assert [len(part) for part in parts] == sizes and [lam for part in parts for lam in part] == grid(9)
        states, whole = [interpolate(a, b, part) for part in parts], interpolate(a, b, grid(9))
        assert all(torch.equal(torch.cat([state[name] for state in states]), whole[name]) for name in whole)


def test_probabilities_sum_to_one(digits):
    a, b = ends(8, torch.float32)
    found = predict(build(8), interpolate(a, b, grid(3)), digits.test_x[:10])
    assert found.shape == (3, 10, 10)
    assert torch.allclose(found.sum(-1), torch.ones(3, 10))
