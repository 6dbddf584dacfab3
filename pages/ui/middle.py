"""How high the mixtures of many networks rise, in a small table."""

from __future__ import annotations

import pandas as pd

from lmc.charts.style import CONNECTED, method_label, ordered_methods, readable
from pages.ui.group import GroupView

WHOLE = {"centroid": "In the middle", "simplex": "Highest of all mixtures"}
"""Comparison of the table `barriers` → the title of its column; the others are pairs."""
PAIRS = "Highest between two"
VERDICT = "All connected"
"""Whether no mixture that was measured is more than 2 points worse: strong connectivity, of errors only."""


def middle_table(barriers: pd.DataFrame, view: GroupView) -> pd.DataFrame:
    """One row for each method: the barriers as they are read, from the result's table."""
    rows = barriers[barriers["split"] == view.split]
    column, found = f"{view.measure}_barrier", []
    for method in ordered_methods(rows["method"]):
        heights = rows[rows["method"] == method].set_index("comparison")[column]
        whole = {title: readable(heights[name], view.measure) for name, title in WHOLE.items()}
        pairs = readable(heights.drop(list(WHOLE)).max(), view.measure)
        row = {"Method": method_label(method), **whole, PAIRS: pairs}
        found.append(row | {VERDICT: "yes" if heights.max() <= CONNECTED else "no"} if view.measure == "error" else row)
    return pd.DataFrame(found)
