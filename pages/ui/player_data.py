"""What the λ player needs, taken from a finished result."""

from __future__ import annotations

from typing import Any

from lmc.charts.style import method_color, method_label
from lmc.experiments import Pair, array_name
from lmc.result import Result
from pages.ui.runs import visible


def player_data(result: Result, config: Pair, pair: str, split: str) -> dict[str, Any]:
    """Plain lists: the grid, a few test images, and for each method its error and answers at every λ."""
    path = visible(result, config, "path")
    rows = path[(path["pair"] == pair) & (path["split"] == split)]
    methods = []
    for method in dict.fromkeys(rows["method"]):
        probabilities = result.arrays[array_name(pair, method, "answers")]
        methods.append(
            {
                "name": method,
                "label": method_label(method),
                "color": method_color(method),
                "error": rows.loc[rows["method"] == method, "error"].tolist(),
                "answer": probabilities.argmax(-1).tolist(),
                "confidence": probabilities.max(-1).round(4).tolist(),
            }
        )
    return {
        "lams": rows.loc[rows["method"] == "none", "lam"].tolist(),
        "images": result.arrays["images"][:, 0].round(3).tolist(),
        "truth": result.arrays["labels"].tolist(),
        "methods": methods,
    }
