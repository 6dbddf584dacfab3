"""The answer sentence says what the numbers say, also when nothing connects."""

import pandas as pd
import pytest

from lmc.charts.answer import pair_answer


def path(ends: float = 0.03, **peaks: float) -> pd.DataFrame:
    rows = []
    for method, peak in peaks.items():
        for lam, error in ((0.0, ends), (0.5, ends + peak), (1.0, ends)):
            rows.append(("0-1", method, "test", lam, 5 * error, error))
    return pd.DataFrame(rows, columns=["pair", "method", "split", "lam", "loss", "error"])


@pytest.mark.parametrize(
    ("peaks", "wider", "said"),
    [
        ({"none": 0.6, "weight": 0.01}, 128, "lowers the test error barrier from 60% to 1.0%: connected at width 32."),
        ({"none": 0.6, "weight": 0.1}, 128, "from 60% to 10.0%: not yet connected at width 32; try width 128."),
        ({"none": 0.6, "weight": 0.1}, None, "not yet connected at width 32."),
        ({"none": 0.7, "weight": 0.6}, None, "from 70% to 60%: the two stay unconnected at width 32."),
        ({"none": 0.5, "weight": 0.6}, 64, "does not lower the test error barrier, 50% without, 60% with it"),
        ({"none": 0.01, "weight": 0.0}, 64, "connected at width 32 even without a permutation"),
        ({"none": 0.6}, 64, "Choose a matching method"),
    ],
)
def test_the_verdict_follows_the_numbers(peaks: dict[str, float], wider: int | None, said: str) -> None:
    assert said in pair_answer(path(**peaks), width=32, wider=wider)


def test_poor_ends_are_named() -> None:
    assert "themselves wrong on 79% of the test data" in pair_answer(path(0.79, none=0.1, weight=0.01), width=8)
