"""The answer sentence of a pair, in numbers computed from its path."""

from __future__ import annotations

from lmc.charts.style import CONNECTED, method_label, percent
from lmc.charts.summary import Table, choose_rows, frame, mean_barriers

POOR = 0.3  # error of the ends above which a barrier says little


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
    after = _value(matched[best], measure)
    if matched[best] < barriers["none"]:
        said = f"{method_label(best)} lowers the {split} {measure} barrier from {before} to {after}{over}"
    else:
        said = f"{method_label(best)} does not lower the {split} {measure} barrier: {before} without it, {after} with it{over}"
    if measure == "loss":
        return f"{said}."
    ends = float(rows.loc[rows["lam"].isin([0.0, 1.0]), "error"].mean())
    if ends > POOR:
        return f"{said}; but the networks themselves are wrong on {percent(ends)} of the {split} images: train longer or wider."
    if barriers["none"] <= CONNECTED:
        return f"{said}: these networks are connected at width {width} even without a permutation."
    if matched[best] <= CONNECTED:
        return f"{said}: connected at width {width}."
    return f"{said}: not yet connected at width {width}; try {_wider(width)}."


def _value(value: float, measure: str) -> str:
    return percent(value) if measure == "error" else f"{value:.2f} nats"


def _wider(width: int) -> str:
    return f"width {max(128, 2 * width)}"
