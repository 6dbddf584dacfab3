"""The answer sentence of the width page, in numbers computed from its table."""

from __future__ import annotations

import math

import pandas as pd

from lmc.charts.style import CONNECTED, method_label, ordered_methods, readable
from lmc.charts.summary import Table, check_measure
from lmc.charts.width import CONNECTIVITY, comparison_label, triple_barriers
from lmc.scaling import Crossing, connecting_width

_SUBJECTS = {
    "direct": "the {} barrier between two networks matched directly",
    "1-2 direct": "the {} barrier between two networks matched to each other",
    "1-2 via 0": "the {} barrier between two networks both matched to a third",
    "simplex": "the triangle's {} barrier",
    "centroid": "the {} barrier in the middle of the triangle",
}
_UNMATCHED = ("none", "random")


def width_answer(
    widths: Table,
    *,
    comparison: str = "simplex",
    method: str | None = None,
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
) -> str:
    """How the mean barrier changes from the smallest to the largest width, and at which width it would connect.

    From the `widths` table. Without a `method` it is the matching that is best at the largest width there is.
    `resolution` is 1/n for n images.
    """
    rows = triple_barriers(widths, [comparison], split=split, measure=check_measure(measure))
    chosen = method or best_method(rows)
    rows = rows[rows["method"] == chosen]
    if rows.empty:
        raise ValueError(f"no rows with method {chosen!r} and comparison {comparison!r}")
    subject = _SUBJECTS.get(comparison, f"the {{}} barrier {comparison_label(comparison)}").format(f"{split} {measure}")
    if measure == "error" and comparison in CONNECTIVITY and chosen not in _UNMATCHED:
        subject += f" ({CONNECTIVITY[comparison]} connectivity)"
    said = f"{_with(chosen)} {subject} {_course(rows, measure)}"
    if measure == "loss":
        return f"{said}."
    return f"{said}{_verdict(crossing(rows, resolution))}."


def crossing(rows: pd.DataFrame, resolution: float | None = None) -> Crossing:
    """Where one method's error barriers in one comparison, rows of `triple_barriers`, fall to the threshold."""
    width, value, triple = (rows[name].tolist() for name in ("width", "value", "triple"))
    return connecting_width(width, value, triple, threshold=CONNECTED, resolution=resolution)


def best_method(rows: pd.DataFrame) -> str:
    """The matching with the lowest mean at the largest width; without any matching, the first method there is."""
    matched = rows[~rows["method"].isin(_UNMATCHED)]
    if matched.empty:
        return ordered_methods(rows["method"])[0]
    widest = matched[matched["width"] == matched["width"].max()]
    return str(widest.groupby("method")["value"].mean().idxmin())


def _with(method: str) -> str:
    return "Without a permutation" if method == "none" else f"With {method_label(method).lower()}"


def _course(rows: pd.DataFrame, measure: str) -> str:
    means = rows.groupby("width")["value"].mean()
    unit = " nats" if measure == "loss" else ""
    first, last = (f"{readable(float(v), measure)}{unit} at width {w}" for w, v in means.iloc[[0, -1]].items())
    triples = rows["triple"].nunique()
    over = f", the mean over {triples} triples" if triples > 1 else ""
    if len(means) == 1:
        return f"is {first}{over}"
    return f"{'falls' if means.iloc[-1] < means.iloc[0] else 'goes'} from {first} to {last}{over}"


def _verdict(found: Crossing) -> str:
    if found.kind == "out of reach" or found.width is None:
        return f"; where it would connect is not within reach of these widths: {found.reason}"
    if found.kind == "already":
        return ": connected at every width so far"
    trend = "; if it goes on like this" if found.kind == "beyond" else ";"
    return f"{trend} it would connect at about width {_rounded(found.width)}{_interval(found)}"


def _interval(found: Crossing) -> str:
    if found.low is None or found.high is None:
        return ""
    if math.isinf(found.high):
        return f" [{_rounded(found.low)} or more]"
    return f" [{_rounded(found.low)} to {_rounded(found.high)}]"


def _rounded(width: float) -> str:
    """Two digits: a width is not known better than that."""
    return f"{float(f'{width:.2g}'):g}"
