"""The chart that grows while networks train: its frame is fixed, its rows are what was measured."""

import json

from lmc.charts.growing_curves import ROWS, growing_curves, growing_rows
from lmc.charts.style import NETWORK_COLORS, describe

NAMES = {"id0": "A (seed 5)", "id1": "B (seed 1)"}


def row(network, epoch, error, split="test"):
    return {"network": network, "label": "", "epoch": epoch, "split": split, "loss": 1.0, "error": error}


def test_the_frame_is_fixed_before_anything_is_measured():
    spec = growing_curves(NAMES, 60).to_dict()
    line = spec["layer"][0]["encoding"]
    assert line["x"]["scale"]["domain"] == [0, 60] and line["y"]["scale"]["domain"] == [0, 1]
    assert line["color"]["scale"]["domain"] == ["A (seed 5)", "B (seed 1)"]
    assert line["color"]["scale"]["range"] == [NETWORK_COLORS["A"], NETWORK_COLORS["B"]]
    assert ROWS in json.dumps(spec) and not spec.get("datasets"), "rows come from outside, so the spec stays the same"


def test_rows_are_the_test_errors_of_the_named_networks_in_order():
    curves = [
        row("id1", 1, 0.5),
        row("id0", 1, 0.4),
        row("id0", 0, 0.9),
        row("id0", 1, None, "train"),
        row("other", 1, 0.1),
        row("id1", 2, None),
    ]
    found = growing_rows(curves, NAMES)
    assert list(found.itertuples(index=False, name=None)) == [
        ("A (seed 5)", 0, 0.9),
        ("A (seed 5)", 1, 0.4),
        ("B (seed 1)", 1, 0.5),
    ]


def test_nothing_measured_yet_is_an_empty_table():
    assert list(growing_rows([], NAMES).columns) == ["name", "epoch", "error"] and growing_rows([], NAMES).empty


def test_the_description_names_the_networks():
    assert "A (seed 5), B (seed 1)" in describe(growing_curves(NAMES, 60))
