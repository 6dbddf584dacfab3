"""The answer sentence of a pair, in numbers computed from its path."""

from __future__ import annotations

from lmc.charts.style import CONNECTED, method_label, percent
from lmc.charts.summary import Table, choose_rows, frame, mean_barriers


def pair_answer(
    path: Table, *, width: int, split: str = "test", measure: str = "error", baseline: str = "line"
) -> str:
    """What the matching does to the barrier, whether that counts as connected, and what to try next."""
    rows = choose_rows(frame(path, ("pair", "method", "split", "lam", measure)), "split", split)
    barriers = mean_barriers(rows, measure, baseline)
    pairs = rows["pair"].nunique()
    over = f", the mean over {pairs} pairs" if pairs > 1 else ""
    matched = {method: value for method, value in barriers.items() if method not in ("none", "random")}
    before = _value(barriers["none"], measure)
    if not matched:
        return f"Without a permutation the {split} {measure} barrier is {before}{over}. Choose a matching method to see what reordering does."
    best = min(matched, key=lambda method: matched[method])
    verb = "lowers" if matched[best] < barriers["none"] else "does not lower"
    said = f"{method_label(best)} {verb} the {split} {measure} barrier from {before} to {_value(matched[best], measure)}{over}"
    if measure == "loss":
        return f"{said}."
    if barriers["none"] <= CONNECTED:
        return f"{said}: these networks are connected at width {width} even without a permutation."
    if matched[best] <= CONNECTED:
        return f"{said}: connected at width {width}."
    return f"{said}: not yet connected at width {width}; try {_wider(width)}."


def _value(value: float, measure: str) -> str:
    return percent(value) if measure == "error" else f"{value:.2f} nats"


def _wider(width: int) -> str:
    return f"width {max(128, 2 * width)}"
