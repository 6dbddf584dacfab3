import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmc.barriers import barrier, baseline_values

LAM = [0.0, 0.25, 0.5, 0.75, 1.0]


def test_both_baselines_by_hand():
    values = [0.1, 0.5, 0.8, 0.5, 0.3]
    assert baseline_values(LAM, values).tolist() == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3])
    assert barrier(LAM, values) == pytest.approx(0.6)
    assert baseline_values(LAM, values, "mean").tolist() == [0.2] * 5
    assert barrier(LAM, values, "mean") == pytest.approx(0.6)


def test_on_a_straight_path_the_mean_baseline_gives_half_the_difference_of_the_ends():
    values = np.linspace(0.2, 0.6, 5)
    assert barrier(LAM, values) == pytest.approx(0.0, abs=1e-15)
    assert barrier(LAM, values, "mean") == pytest.approx(0.2)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_with_the_line_a_barrier_is_never_negative_and_turning_the_path_round_changes_nothing(values):
    lam = np.linspace(0, 1, len(values))
    assert barrier(lam, values) >= -1e-15
    assert barrier(lam, values) == pytest.approx(barrier(lam, values[::-1]), abs=1e-12)


@pytest.mark.parametrize(("lam", "values"), [([0.0], [1.0]), ([0.0, 0.5], [1, 2]), ([0.1, 1.0], [1, 2]), (LAM, [1, 2])])
def test_a_grid_without_its_ends_is_refused(lam, values):
    with pytest.raises(ValueError, match="both ends"):
        barrier(lam, values)


def test_an_unknown_baseline_is_named():
    with pytest.raises(ValueError, match="'median'.*line, mean"):
        barrier(LAM, [0.0] * 5, "median")
