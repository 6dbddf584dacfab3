"""The width at which networks would connect, on barriers whose true crossing is known."""

import numpy as np
import pytest

from lmc.scaling import connecting_width

WIDTHS = np.array([8, 16, 32, 64, 128, 256])


def planted(crossing: float, triples: int, noise: float, seed: int, shared: float = 0.0) -> tuple[np.ndarray, ...]:
    """Columns widths, barriers, triples: a power law that meets 0.02 at `crossing`, times log-normal noise of mean 1.

    `shared` is the part of the noise that a triple has in common at all widths.
    """
    rng = np.random.default_rng(seed)
    law = 0.02 * (WIDTHS / crossing) ** -1.2
    own = rng.normal(-(noise**2) / 2, noise, (triples, len(WIDTHS)))
    common = rng.normal(-(shared**2) / 2, shared, (triples, 1))
    names = np.repeat(np.arange(triples), len(WIDTHS))
    return np.tile(WIDTHS, triples), (law * np.exp(own + common)).ravel(), names


@pytest.mark.parametrize("crossing", [20.0, 100.0, 600.0, 1500.0])
def test_an_exact_power_law_is_met_exactly(crossing: float) -> None:
    found = connecting_width(*planted(crossing, 3, 0.0, 0))
    assert found.width == pytest.approx(crossing, rel=1e-6)
    assert found.kind == ("within" if crossing < 256 else "beyond")
    assert (found.low, found.high) == pytest.approx((crossing, crossing), rel=1e-6)


@pytest.mark.parametrize("crossing", [100.0, 600.0])
@pytest.mark.parametrize(("triples", "shared"), [(1, 0.0), (3, 0.0), (8, 0.0), (8, 0.3)])
def test_the_interval_covers_the_truth(crossing: float, triples: int, shared: float) -> None:
    found = [connecting_width(*planted(crossing, triples, 0.2, seed, shared)) for seed in range(200)]
    said = [c for c in found if c.low is not None and c.high is not None]
    assert len(said) >= 180, "with this little noise the data do say"
    assert np.mean([c.low <= crossing <= c.high for c in said]) >= 0.9


def test_more_triples_say_it_more_narrowly() -> None:
    few, many = (connecting_width(*planted(600.0, n, 0.2, 1)) for n in (3, 20))
    assert few.low < many.low < many.high < few.high


def test_the_draws_are_seeded() -> None:
    rows = planted(600.0, 5, 0.3, 0)
    assert connecting_width(*rows) == connecting_width(*rows)
    assert connecting_width(*rows).low != connecting_width(*rows, seed=1).low


def test_interpolation_is_straight_on_logarithmic_scales() -> None:
    found = connecting_width([8, 32, 128], [0.3, 0.08, 0.005])
    assert found.width == pytest.approx(32 * 4 ** (np.log(4) / np.log(16))) == pytest.approx(64.0)


def test_a_dip_is_not_yet_connected() -> None:
    found = connecting_width([8, 16, 32, 64], [0.3, 0.01, 0.08, 0.005])
    assert found.kind == "within" and 32 < found.width < 64


def test_the_line_is_fitted_where_barriers_fall_and_to_the_last_widths() -> None:
    saturated = connecting_width([1, 2, 4, 8, 16, 32, 64], [0.5, 0.7, 0.8, 0.64, 0.32, 0.16, 0.08])
    assert saturated.width == pytest.approx(256.0) and saturated.kind == "beyond"
    plateau = connecting_width([8, 16, 32, 64], [0.5, 0.45, 0.225, 0.1125])
    assert plateau.width == pytest.approx(64 * 0.1125 / 0.02)


@pytest.mark.parametrize(
    ("widths", "barriers", "reason"),
    [
        ([8, 16, 32, 64], [0.3, 0.3, 0.3, 0.3], "does not fall"),
        ([8, 16, 32, 64], [0.1, 0.2, 0.3, 0.4], "does not fall"),
        ([8, 16, 32, 64, 128], [0.6, 0.1, 0.2, 0.3, 0.4], "does not fall"),
        ([8, 16, 32, 64], [0.2, 0.3, 0.3, 0.1], "too few widths"),
        ([8, 16, 32, 64], [0.6, 0.2, 0.1, 0.3], "too uncertain"),
        ([8, 16, 32] * 3, [0.8, 0.2, 0.1] + [0.1, 0.1, 0.3] * 2, "too uncertain"),
        ([8, 16, 32, 64, 128], [0.50, 0.39, 0.351, 0.3159, 0.28431], "more than 8 times the largest width"),
        ([8, 16], [0.3, 0.1], "3 widths at least, and barriers are known at 2"),
        ([8, 16], [0.3, 0.0], "3 widths at least, and barriers are known at 2"),
        ([], [], "known at 0"),
        ([8, 16, 32], [0.3, float("nan"), 0.0], "known at 2"),
    ],
)
def test_not_within_reach(widths: list[int], barriers: list[float], reason: str) -> None:
    found = connecting_width(widths, barriers)
    assert (found.kind, found.width, found.low, found.high) == ("out of reach", None, None, None)
    assert reason in found.reason


def test_flat_noisy_barriers_are_seldom_drawn_out() -> None:
    drawn_out = 0
    for seed in range(100):
        values = 0.2 * np.exp(np.random.default_rng(seed).normal(0, 0.3, (5, len(WIDTHS))))
        names = np.repeat(np.arange(5), len(WIDTHS))
        drawn_out += connecting_width(np.tile(WIDTHS, 5), values.ravel(), names).kind != "out of reach"
    assert drawn_out <= 8


@pytest.mark.parametrize("barriers", [[0.0, 0.0, 0.0], [0.02, 0.01, 0.0], [-0.01, 0.0, 0.01]])
def test_already_connected_at_the_smallest_width(barriers: list[float]) -> None:
    found = connecting_width([16, 32, 64], barriers)
    assert (found.kind, found.width) == ("already", 16.0)
    assert connecting_width([16], barriers[:1]).kind == "already"


def test_zeros_are_lifted_to_the_resolution() -> None:
    found = connecting_width([8, 16, 32], [0.32, 0.08, 0.0], resolution=0.005)
    assert found.width == pytest.approx(16 * 2 ** (np.log(4) / np.log(16)))
    assert found.low < found.width < found.high


def test_a_coarse_test_set_widens_the_interval() -> None:
    rows = planted(100.0, 8, 0.05, 0)
    fine, coarse = connecting_width(*rows), connecting_width(*rows, resolution=1 / 100)
    assert coarse.low < fine.low < fine.high < coarse.high


def test_one_triple_at_few_widths_has_no_interval() -> None:
    found = connecting_width([8, 16, 32], [0.2, 0.3, 0.01])
    assert found.kind == "within" and (found.low, found.high) == (None, None)


def test_a_width_that_has_one_triple_so_far_is_no_surer_than_the_others() -> None:
    widths, barriers, names = planted(100.0, 6, 0.3, 3)
    partial = (widths < 128) | (names == 0)
    whole, some = (
        connecting_width(*rows)
        for rows in ((widths, barriers, names), (widths[partial], barriers[partial], names[partial]))
    )
    assert some.high / some.low > whole.high / whole.low


def test_an_end_beyond_reach_is_open() -> None:
    found = connecting_width([8, 16, 32, 64], [0.40, 0.19, 0.13, 0.06])
    assert found.kind == "beyond" and np.isinf(found.high) and 64 < found.low < found.width


def test_rows_must_fit_together() -> None:
    with pytest.raises(ValueError, match="2 widths, 1 barriers"):
        connecting_width([8, 16], [0.1])
    with pytest.raises(ValueError, match="must be positive"):
        connecting_width([8, 16, 32], [0.1] * 3, threshold=0.0)
