"""Points of a simplex and of a plane, and the networks there."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmc.barriers import simplex_excess
from lmc.simplex import centroid, combine, plane_corners, plane_weights, random_weights, simplex_grid


def networks(count, dtype=torch.float32):
    draw = torch.Generator().manual_seed(count)
    return [
        {
            "weight": torch.randn(5, 3, generator=draw, dtype=dtype),
            "bias": torch.randn(5, generator=draw, dtype=dtype),
            "steps": torch.tensor(place),
        }
        for place in range(count)
    ]


@given(st.integers(2, 5), st.integers(1, 8))
def test_the_grid_has_every_point_once_and_all_corners(corners, side):
    grid = simplex_grid(corners, side)
    assert np.allclose(grid.sum(1), 1) and (grid >= 0).all()
    assert len(np.unique(np.rint(grid * side), axis=0)) == len(grid)
    assert len(grid) == np.prod([side + k + 1 for k in range(corners - 1)]) // np.prod(range(1, corners))
    assert all((grid == corner).all(1).any() for corner in np.eye(corners))


def test_corners_are_the_networks_bit_for_bit_and_the_rest_is_the_weighted_mean():
    states = networks(3)
    grid = simplex_grid(3, 4)
    mixed = combine(states, grid)
    for place, state in enumerate(states):
        row = int(np.flatnonzero(grid[:, place] == 1)[0])
        assert all(torch.equal(mixed[name][row], state[name]) for name in ("weight", "bias"))
    exact = combine(networks(3, torch.float64), grid)
    for k, w in enumerate(grid):
        expected = sum(
            float(share) * state["weight"] for share, state in zip(w, networks(3, torch.float64), strict=True)
        )
        assert torch.allclose(exact["weight"][k], expected, atol=1e-14)
    assert mixed["steps"].tolist() == [0] * len(grid)


def test_random_points_lie_inside_and_come_again():
    first, again = (random_weights(4, 50, np.random.default_rng(3)) for _ in range(2))
    assert (first > 0).all() and np.allclose(first.sum(1), 1) and (first == again).all()
    assert centroid(4).tolist() == [[0.25] * 4]


def test_excess_is_zero_for_values_that_are_linear_in_the_weights():
    grid = simplex_grid(3, 6)
    corners = np.array([0.3, 0.1, 0.7])
    assert np.abs(simplex_excess(grid, grid @ corners, corners)).max() < 1e-15
    bump = 27 * grid.prod(1)
    assert simplex_excess(grid, grid @ corners + bump, corners).max() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="as many weights"):
        simplex_excess(grid, bump[:-1], corners)


def test_the_plane_keeps_distances_and_its_weights_give_the_networks_back():
    states = networks(3, torch.float64)
    flat = [torch.cat([state["weight"].ravel(), state["bias"]]) for state in states]
    corners = plane_corners(states, ["weight", "bias"])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(corners[i] - corners[j]) == pytest.approx(float((flat[i] - flat[j]).norm()))
    weights = plane_weights(corners[:, 0], corners[:, 1], corners)
    assert np.allclose(weights, np.eye(3), atol=1e-12)
    u, v = np.array([1.5, -0.5]), np.array([0.25, 2.0])
    mixed = combine(states, plane_weights(u, v, corners))
    for k in range(2):  # distances to the corners are those in the plane
        point = torch.cat([mixed["weight"][k].ravel(), mixed["bias"][k]])
        for place in range(3):
            expected = np.hypot(*(np.array([u[k], v[k]]) - corners[place]))
            assert float((point - flat[place]).norm()) == pytest.approx(expected)


def test_networks_on_one_line_have_no_plane():
    a, b, _ = networks(3, torch.float64)
    middle = {name: (a[name] + b[name]) / 2 if name != "steps" else a[name] for name in a}
    for third in (middle, b):
        with pytest.raises(ValueError, match="on one line"):
            plane_corners([a, b, third], ["weight", "bias"])
