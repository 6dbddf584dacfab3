"""Edges of a triple, choices of a reference, merged networks: the pictures hold the numbers of the tables."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmc.charts.edges import EDGES, edges_chart
from lmc.charts.export import fixed_spec, to_svg
from lmc.charts.many import merged_chart, merged_means
from lmc.charts.references import reference_means, references_chart
from lmc.charts.style import describe

PEAKS = {"0-1": 0.1, "0-2": 0.1, "1-2 via 0": 0.3, "1-2 direct": 0.05}


def path(triples: int = 1) -> pd.DataFrame:
    rows = []
    for triple in range(triples):
        for method, factor in (("none", 2.0), ("weight", 1.0)):
            for comparison, peak in PEAKS.items():
                for lam in (0.0, 0.25, 0.5, 0.75, 1.0):
                    error = 0.02 + 0.02 * lam + 4 * lam * (1 - lam) * (factor * peak + 0.01 * triple)
                    rows.append((f"{triple}-8-9", method, comparison, "test", lam, 5 * error, error))
    return pd.DataFrame(rows, columns=["triple", "method", "comparison", "split", "lam", "loss", "error"])


def via(triples: int = 1) -> pd.DataFrame:
    rows = [
        (f"{t}-8-9", method, reference, comparison, "test", 3.0, high + 0.01 * t, 0.5, high / 2)
        for t in range(triples)
        for method, high in (("none", 0.7), ("weight", 0.2), ("activation", 0.1))
        for reference, comparison in enumerate(("1-2 via 0", "0-2 via 1", "0-1 via 2"))
    ]
    columns = ["triple", "method", "reference", "comparison", "split", "loss_barrier", "error_barrier"]
    return pd.DataFrame(rows, columns=[*columns, "direct_loss_barrier", "direct_error_barrier"])


def merged(groups: int = 1) -> dict[str, list[Any]]:
    rows = [(f"{g}-7-8-9", m) for g in range(groups) for m in ("weight", "none")]
    count = len(rows)
    return {
        "group": [g for g, _ in rows], "method": [m for _, m in rows], "split": ["test"] * count,
        "loss_merged": [0.3 if m == "weight" else 2.4 for _, m in rows],
        "error_merged": [0.08 if m == "weight" else 0.9 for _, m in rows],
        "loss_parents": [0.1] * count, "error_parents": [0.04 + 0.01 * int(g[0]) for g, _ in rows],
        "best_error_parents": [0.03] * count, "loss_ensemble": [0.09] * count, "error_ensemble": [0.025] * count,
    }  # fmt: skip


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in fixed_spec(chart)["datasets"].values() for row in rows]


CHARTS = {
    "edges": lambda: edges_chart(path(), labels=("0", "1", "2")),
    "edges of three triples": lambda: edges_chart(path(3), measure="loss", methods=("weight",), resolution=0.01),
    "references": lambda: references_chart(via(), labels=("0", "1", "a'b"), resolution=0.01),
    "references of three triples": lambda: references_chart(via(3), measure="loss"),
    "merged": lambda: merged_chart(merged(), resolution=0.01),
    "merged losses": lambda: merged_chart(merged(2), measure="loss"),
}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize(("width", "dark"), [(600, True), (1700, False)])
def test_every_chart_is_drawn_and_described(name: str, width: int, dark: bool) -> None:
    chart = CHARTS[name]()
    svg = to_svg(chart, width=width, dark=dark)
    assert svg.startswith("<svg") and "NaN" not in svg and "currentColor" not in svg
    assert len(describe(chart)) > 40 and describe(chart).endswith(".")
    assert chart.width == "container"


def test_edges_stand_beside_one_another_with_their_values() -> None:
    rows = [r for r in rows_of(edges_chart(path())) if "series" in r]
    panels = {r["panel"]: r["x"] for r in rows if r["series"] == "Weight matching" and abs(r["x"] % 1.18) < 1e-6}
    assert list(panels) == list(EDGES) and sorted(panels.values()) == list(panels.values())
    middle = {
        r["series"]: r["value"] for r in rows if r["panel"] == "1-2 via 0" and abs(r["x"] - 2 * 1.18 - 0.5) < 1e-6
    }
    assert middle["Weight matching"] == pytest.approx(0.33) and middle["No permutation"] == pytest.approx(0.63)
    assert middle["Line between the ends"] == pytest.approx(0.03)
    assert middle["Connected below (+2 points)"] == pytest.approx(0.05)


def test_edges_of_three_triples_are_means_with_bands() -> None:
    one, three = (rows_of(edges_chart(path(n), methods=("weight",))) for n in (1, 3))
    assert not any("low" in r for r in one)
    top = max((r for r in three if "low" in r), key=lambda r: r["high"])
    assert top["panel"] == "1-2 via 0"
    assert top["high"] - top["low"] == pytest.approx(2 * 4.302652729911275 * 0.01 / np.sqrt(3))
    words = describe(edges_chart(path(3)))
    assert "mean over 3 triples" in words
    assert "B to C, both matched to A: no permutation 61%, weight matching 31%" in words
    assert "B to C, matched to each other: no permutation 11.0%, weight matching 6.0%" in words


def test_networks_are_named_in_words() -> None:
    svg = to_svg(edges_chart(path(), labels=("0", "1", "2")), width=1700)
    for words in ("both matched to A", "matched to each other", "B (seed 1)", "C (seed 2)"):
        assert f">{words}<" in svg


def test_references_hold_means_of_via_and_direct() -> None:
    rows = reference_means(via(3), "error", ["weight"])
    assert rows["kind"].tolist() == ["direct", "via"] * 3
    assert rows["value"].tolist() == pytest.approx([0.1, 0.21] * 3)
    half = 4.302652729911275 * 0.01 / np.sqrt(3)
    assert rows.loc[1, ["low", "high"]].tolist() == pytest.approx([0.21 - half, 0.21 + half])


def test_one_triple_has_dots_without_intervals() -> None:
    def marks(chart: Any) -> list[str]:
        return [layer["mark"]["type"] for layer in fixed_spec(chart)["layer"]]

    assert marks(references_chart(via(), measure="loss", resolution=0.01)) == ["point", "point", "text"]
    assert marks(references_chart(via(3), measure="loss")) == ["rule", "point", "point", "text"]


def test_references_leave_none_out_unless_it_is_alone() -> None:
    rows = [r for r in rows_of(references_chart(via())) if "kind" in r]
    assert {r["method"] for r in rows} == {"weight", "activation"}
    assert [r["networks"] for r in rows][::4] == ["B–C via A", "A–C via B", "A–B via C"]
    alone = via()[via()["method"] == "none"]
    assert {r["method"] for r in rows_of(references_chart(alone)) if "kind" in r} == {"none"}
    assert "B–C via A, weight matching: 10.0% matched to each other, 20% via it" in describe(references_chart(via()))


def test_merged_networks_beside_their_parents() -> None:
    rows = merged_means(pd.DataFrame(merged(2)), "error", 0.01)
    found = dict(zip(rows["name"], rows["value"], strict=True))
    assert list(found) == [
        "One network, on average", "The best one", "Ensemble of all",
        "Merged: no permutation", "Merged: weight matching",
    ]  # fmt: skip
    assert list(found.values()) == pytest.approx([0.045, 0.03, 0.025, 0.9, 0.08])
    assert rows.loc[0, ["low", "high"]].tolist() == pytest.approx([0.035, 0.055])


def test_losses_of_merged_networks_have_no_best_parent() -> None:
    rows = merged_means(pd.DataFrame(merged()), "loss")
    assert "The best one" not in rows["name"].tolist()
    assert rows["value"].tolist() == pytest.approx([0.1, 0.09, 2.4, 0.3])


def test_merging_at_no_cost_is_a_line() -> None:
    (line,) = (r for r in rows_of(merged_chart(merged())) if "points worse" in r.get("text", ""))
    assert line["value"] == pytest.approx(0.06)


def test_missing_rows_are_named() -> None:
    with pytest.raises(ValueError, match="the table has: 0-1"):
        edges_chart(path()[lambda t: t["comparison"] == "0-1"])
    with pytest.raises(ValueError, match="choose one of: loss, error"):
        merged_chart(merged(), measure="accuracy")
    with pytest.raises(ValueError, match="lacks the columns direct_error_barrier"):
        references_chart(via().drop(columns="direct_error_barrier"))
