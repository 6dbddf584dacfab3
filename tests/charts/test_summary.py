"""Means, intervals and baselines against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from lmc.charts.summary import (
    choose_rows,
    clipped,
    frame,
    mean_barriers,
    mean_baseline,
    mean_curves,
    mean_interval,
)


def path_rows() -> pd.DataFrame:
    rows = []
    for pair, shift in (("0-1", 0.0), ("0-2", 0.1), ("1-2", 0.2)):
        for lam, error in ((0.0, 0.1), (0.5, 0.4 + shift), (1.0, 0.2)):
            rows.append((pair, "none", "test", lam, 4 * error, error))
    return pd.DataFrame(rows, columns=["pair", "method", "split", "lam", "loss", "error"])


def test_one_value_has_no_width_without_a_resolution() -> None:
    assert mean_interval([0.3]) == (0.3, 0.3, 0.3)


def test_one_value_is_as_sure_as_the_test_set() -> None:
    assert mean_interval([0.3], resolution=1 / 360) == pytest.approx((0.3, 0.3 - 1 / 360, 0.3 + 1 / 360))


def test_two_values_give_their_range() -> None:
    assert mean_interval([0.1, 0.3]) == pytest.approx((0.2, 0.1, 0.3))


def test_three_values_give_a_t_interval() -> None:
    half = 4.302652729911275 * 1.0 / np.sqrt(3)  # t with 2 degrees of freedom, from a printed table
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.0 - half, 2.0 + half))


def test_equal_values_keep_the_resolution() -> None:
    found = mean_interval([0.0] * 5, resolution=0.01)
    assert (found.low, found.high) == (-0.01, 0.01)


def test_missing_values_do_not_count() -> None:
    assert mean_interval([0.1, float("nan"), 0.3]).mean == pytest.approx(0.2)
    assert np.isnan(mean_interval([]).mean)


def test_curves_are_means_over_pairs() -> None:
    curves = mean_curves(path_rows(), "error").set_index("lam")
    assert curves["value"].tolist() == pytest.approx([0.1, 0.5, 0.2])
    assert curves["pairs"].tolist() == [3, 3, 3]
    half = 4.302652729911275 * 0.1 / np.sqrt(3)
    assert curves.loc[0.5, "low"] == pytest.approx(0.5 - half)
    assert curves.loc[0.5, "high"] == pytest.approx(0.5 + half)


def test_baselines_and_the_threshold_above_them() -> None:
    line = mean_baseline(path_rows(), "error")
    assert line["value"].tolist() == pytest.approx([0.1, 0.15, 0.2])
    assert line["threshold"].tolist() == pytest.approx([0.12, 0.17, 0.22])
    assert mean_baseline(path_rows(), "error", "mean")["value"].tolist() == pytest.approx([0.15] * 3)
    with pytest.raises(ValueError, match="choose one of: line, mean"):
        mean_baseline(path_rows(), "error", "middle")


def test_barriers_are_taken_pair_by_pair() -> None:
    assert mean_barriers(path_rows(), "error") == pytest.approx({"none": 0.35})
    assert mean_barriers(path_rows(), "loss") == pytest.approx({"none": 1.4})


def test_bands_stay_where_values_can_be() -> None:
    data = pd.DataFrame({"low": [-0.2, 0.1], "high": [0.4, 1.3]})
    assert clipped(data, "error")[["low", "high"]].to_numpy().tolist() == [[0.0, 0.4], [0.1, 1.0]]
    assert clipped(data, "loss")["high"].tolist() == [0.4, 1.3]


def test_tables_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="lacks the columns lam"):
        frame({"pair": ["0-1"]}, ["pair", "lam"])
    with pytest.raises(ValueError, match="'valid'; the table has: test"):
        choose_rows(path_rows(), "split", "valid")
