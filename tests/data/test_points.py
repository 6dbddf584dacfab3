import hashlib

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from lmc.data import dataset_info, load, plane, plane_extent

NAMES = ["moons", "spirals"]


@pytest.mark.parametrize("name, expected", list(zip(NAMES, ["db63a9587351e292", "2c57066f5358b8c6"], strict=True)))
def test_the_points_never_change(name, expected):
    data = load(name)
    digest = hashlib.sha256()
    for x, y in (data.split("train"), data.split("test")):
        digest.update((data.pixels(x.double()) * 10_000).round().long().numpy().tobytes() + y.numpy().tobytes())
    assert digest.hexdigest()[:16] == expected


@pytest.mark.parametrize("name", NAMES)
def test_they_are_normalised_with_the_training_points(name):
    data = load(name)
    assert data.train_x.mean(0).abs().max() < 1e-6 and (data.train_x.std(0, correction=0) - 1).abs().max() < 1e-6
    assert len(data.mean) == len(data.std) == 2
    sizes = torch.bincount(data.train_y)
    assert sizes.min() > 0.9 * sizes.max()


@pytest.mark.parametrize("name", NAMES)
def test_a_small_network_learns_them_and_no_straight_line_does(name):
    (x, y), (test_x, test_y) = ([t.numpy() for t in load(name).split(split)] for split in ("train", "test"))
    assert LogisticRegression().fit(x, y).score(test_x, test_y) < 0.9
    network = MLPClassifier((32, 32), learning_rate_init=0.01, random_state=0, n_iter_no_change=100, max_iter=60)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        network.fit(x, y)
    assert network.score(test_x, test_y) > 0.97


def test_two_moons_lie_where_half_circles_are():
    data = load("moons")
    points, labels = data.pixels(data.train_x.double()).numpy(), data.train_y.numpy()
    upper = np.hypot(*points[labels == 0].T)
    lower = np.hypot(*(points[labels == 1] - [1, 0.5]).T)
    for radius in (upper, lower):
        assert radius.mean() == pytest.approx(1, abs=0.03) and radius.std() == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_the_plane_is_a_grid_over_all_points(name):
    data, side = load(name), 7
    left, right, bottom, top = plane_extent(data)
    points = data.pixels(torch.cat([data.train_x, data.test_x]))
    assert left < points[:, 0].min() and points[:, 0].max() < right
    assert bottom < points[:, 1].min() and points[:, 1].max() < top
    grid = plane(data, side)
    assert grid.shape == (side * side, 2) and grid.dtype == torch.float32
    found = data.pixels(grid.double()).view(side, side, 2).numpy()
    for i in range(side):
        for j in range(side):
            expected = (left + (right - left) * j / (side - 1), bottom + (top - bottom) * i / (side - 1))
            assert found[i, j] == pytest.approx(expected, abs=1e-6)


def test_the_plane_of_a_name_is_that_of_its_points():
    info = dataset_info("spirals")
    assert torch.equal(plane(info, 5), plane(load("spirals"), 5)) and plane_extent(info) == plane_extent(
        load("spirals")
    )


def test_images_have_no_plane(digits):
    with pytest.raises(ValueError, match="digits has images, not points in a plane"):
        plane(digits, 3)
