"""Charts say what the tables say, and can be drawn."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmc.charts import (
    barrier_bars,
    curves_chart,
    describe,
    layers_chart,
    path_chart,
    similarity_chart,
    toy_chart,
)
from lmc.charts.barrier import BASELINE_LABEL, THRESHOLD_LABEL, barrier_means, hover_values
from lmc.charts.export import fixed_spec, to_png, to_svg
from lmc.charts.layers import layer_means
from lmc.charts.summary import mean_baseline, mean_curves
from lmc.toy import ToyNetwork

LAMS = [0.0, 0.25, 0.5, 0.75, 1.0]
PEAKS = {"none": 0.77, "weight": 0.08}


def path_table(pairs: int = 1) -> pd.DataFrame:
    rows = []
    for p in range(pairs):
        for method, peak in PEAKS.items():
            for lam in LAMS:
                error = 0.03 + (peak - 0.03 + 0.01 * p) * float(np.sin(np.pi * lam))
                rows.append((f"0-{p + 1}", method, "test", lam, 5 * error, error))
    return pd.DataFrame(rows, columns=["pair", "method", "split", "lam", "loss", "error"])


def barrier_table() -> dict[str, list[Any]]:
    return {
        "pair": ["0-1", "0-2", "1-2"] * 2,
        "method": ["none"] * 3 + ["weight"] * 3,
        "split": ["test"] * 6,
        "loss_barrier": [2.0, 3.0, 4.0, 0.1, 0.1, 0.1],
        "error_barrier": [0.6, 0.7, 0.8, 0.05, 0.05, 0.05],
    }


def layer_table() -> pd.DataFrame:
    rows = [("0-1", "none", "layer1", 32, 0.0, 0.1, 0.1), ("0-1", "weight", "layer1", 32, 0.9, 0.1, 0.7)]
    rows += [("0-2", "weight", "layer1", 32, 1.0, 0.2, 0.8)]
    columns = ["pair", "method", "permutation", "units", "moved", "similarity_before", "similarity_after"]
    return pd.DataFrame(rows, columns=columns)


def curve_table() -> dict[str, list[Any]]:
    cells = [(n, e, s) for n in "01" for e in (0, 1, 2) for s in ("train", "test")]
    table: dict[str, list[Any]] = {
        k: list(v) for k, v in zip(("network", "epoch", "split"), zip(*cells, strict=True), strict=True)
    }
    return table | {"loss": [2.0] * 12, "error": [0.9 / (1 + e) for _, e, _ in cells]}


CHARTS = {
    "path": lambda: path_chart(path_table(), lam=0.5, labels=("0", "1")),
    "path of two pairs": lambda: path_chart(path_table(2), measure="loss", baseline="mean"),
    "path of three pairs": lambda: path_chart(path_table(3), lam=0.0, resolution=1 / 360),
    "small path": lambda: path_chart(path_table(), legend=False).properties(height=230),
    "barriers": lambda: barrier_bars(barrier_table(), resolution=1 / 360),
    "loss barriers": lambda: barrier_bars(barrier_table(), measure="loss"),
    "similarity": lambda: similarity_chart(np.eye(4)[::-1], np.eye(4), "Layer 1"),
    "large similarity": lambda: similarity_chart(np.zeros((64, 64)), np.eye(64)),
    "layers": lambda: layers_chart(layer_table()),
    "curves": lambda: curves_chart(curve_table()),
    "toy": lambda: toy_chart(ToyNetwork(), (1.0, 2.0), (2, 0, 1)),
}


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in fixed_spec(chart)["datasets"].values() for row in rows]


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("dark", [False, True])
def test_every_chart_is_drawn_and_described(name: str, dark: bool) -> None:
    chart = CHARTS[name]()
    svg = to_svg(chart, dark=dark, width=600)
    assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
    assert len(describe(chart)) > 40 and describe(chart).endswith(".")
    assert chart.width == "container" and chart.usermeta["embedOptions"] == {"renderer": "svg"}


def test_png() -> None:
    assert to_png(CHARTS["toy"](), scale=1).startswith(b"\x89PNG")


def test_path_holds_curves_baseline_and_threshold() -> None:
    rows = rows_of(path_chart(path_table(3)))
    at = {r["series"]: r["value"] for r in rows if r.get("lam") == 0.5 and "series" in r}
    assert at["No permutation"] == pytest.approx(0.78)
    assert at["Weight matching"] == pytest.approx(0.09)
    assert at[BASELINE_LABEL["line"]] == pytest.approx(0.03)
    assert at[THRESHOLD_LABEL] == pytest.approx(0.05)


def test_path_of_loss_has_no_threshold() -> None:
    assert THRESHOLD_LABEL not in {r.get("series") for r in rows_of(path_chart(path_table(), measure="loss"))}


def test_path_draws_bands_only_from_three_pairs_on() -> None:
    banded = [any("low" in r for r in rows_of(path_chart(path_table(n)))) for n in (1, 2, 3)]
    assert banded == [False, False, True]


def test_path_description_names_definition_and_barriers() -> None:
    words = describe(path_chart(path_table(3)))
    assert "mean over 3 pairs" in words and "straight line between the end values" in words
    assert "no permutation 75%" in words and "weight matching 6.0%" in words


def test_hover_covers_the_line_and_has_all_methods() -> None:
    data = path_table()
    rows = hover_values(mean_curves(data, "error"), mean_baseline(data, "error"), ["none", "weight"], "error")
    assert rows["left"].tolist() == [0, 0.125, 0.375, 0.625, 0.875]
    assert rows["right"].tolist() == [0.125, 0.375, 0.625, 0.875, 1]
    assert rows.loc[2, ["none", "weight", "baseline"]].tolist() == ["77%", "8.0%", "3.0%"]


def test_barrier_means() -> None:
    rows = barrier_means(pd.DataFrame(barrier_table()), "error_barrier", ["none", "weight"], 1 / 360)
    assert rows["value"].tolist() == pytest.approx([0.7, 0.05])
    assert rows.loc[1, ["low", "high"]].tolist() == pytest.approx([0.05 - 1 / 360, 0.05 + 1 / 360])
    assert rows.loc[0, "low"] == pytest.approx(0.7 - 4.302652729911275 * 0.1 / np.sqrt(3))
    assert rows.loc[0, "end"] >= 0.8


def test_barrier_bars_draw_the_threshold_for_errors_only() -> None:
    assert any(r.get("value") == 0.02 for r in rows_of(barrier_bars(barrier_table())))
    assert not any(r.get("value") == 0.02 for r in rows_of(barrier_bars(barrier_table(), measure="loss")))


def test_layers_are_means_over_pairs_without_none() -> None:
    rows = layer_means(layer_table())
    assert rows["method"].tolist() == ["weight"]
    assert rows.loc[0, ["moved", "similarity_before", "similarity_after"]].tolist() == pytest.approx([0.95, 0.15, 0.75])
    assert layer_means(layer_table()[:1])["method"].tolist() == ["none"]


def test_similarity_keeps_its_values_and_limits() -> None:
    rows = [r for r in rows_of(similarity_chart(np.eye(3)[::-1], np.eye(3))) if "a" in r]
    after = {(r["a"], r["b"]): r["value"] for r in rows if r["map"] == "After matching"}
    assert len(rows) == 18 and after[1, 1] == 1 and after[0, 1] == 0
    with pytest.raises(ValueError, match="at most 64"):
        similarity_chart(np.eye(65), np.eye(65))
    with pytest.raises(ValueError, match="same size"):
        similarity_chart(np.eye(3), np.eye(4))


def test_curves_name_networks_by_place_and_seed() -> None:
    assert {r["name"] for r in rows_of(curves_chart(curve_table()))} == {"A (seed 0)", "B (seed 1)"}
    assert "A (seed 0) 30%" in describe(curves_chart(curve_table()))


def test_file_names_are_text_and_never_code() -> None:
    svg = to_svg(path_chart(path_table(), labels=("it's 'mine'", "0/1")))
    assert "it's 'mine'" in svg and "B (seed 0/1)" in svg and "A (seed" not in svg


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of: loss, error"):
        path_chart(path_table(), measure="accuracy")
    with pytest.raises(ValueError, match="the table has: test"):
        path_chart(path_table(), split="train")
