"""The answer sentence of a pair, in numbers computed from its path."""

from __future__ import annotations

import pandas as pd

from lmc.charts.style import CONNECTED, method_label, percent
from lmc.charts.summary import Interval, Table, choose_rows, frame, mean_interval, pair_barriers

POOR = 0.3  # error of the ends above which a barrier says little
LITTLE = 0.5  # a barrier of more than this share of the one without a permutation has hardly gone down


def pair_answer(
    path: Table,
    *,
    width: int,
    wider: int | None = None,
    split: str = "test",
    measure: str = "error",
    baseline: str = "line",
    resolution: float | None = None,
) -> str:
    """What the matching does to the barrier, whether that counts as connected, and what to try next.

    `wider` is a width to try where they are not connected. With several pairs the barriers are means, with intervals
    that are never narrower than ± `resolution`.
    """
    rows = choose_rows(frame(path, ("pair", "method", "split", "lam", measure)), "split", split)
    found = {m: mean_interval(values, resolution) for m, values in pair_barriers(rows, measure, baseline).items()}
    pairs = rows["pair"].nunique()
    over = f", the mean over {pairs} pairs{' with 95% intervals' * (pairs > 2)}" if pairs > 1 else ""
    matched = {method: value for method, value in found.items() if method not in ("none", "random")}
    before = _value(found["none"], measure, pairs)
    if not matched:
        return (
            f"Without a permutation the {split} {measure} barrier is {before}{over}. "
            "Choose a matching method to see what reordering does."
        )
    best = min(matched, key=lambda method: matched[method].mean)
    after = _value(matched[best], measure, pairs)
    barrier = f"{split} {measure} barrier"
    if matched[best].mean < found["none"].mean:
        said = f"{method_label(best)} lowers the {barrier} from {before} to {after}{over}"
    else:
        said = f"{method_label(best)} does not lower the {barrier}, {before} without, {after} with it{over}"
    if measure == "loss":
        return f"{said}."
    return f"{said}{_verdict(rows, found['none'].mean, matched[best].mean, width, wider, split)}"


def _verdict(rows: pd.DataFrame, without: float, matched: float, width: int, wider: int | None, split: str) -> str:
    ends = float(rows.loc[rows["lam"].isin([0.0, 1.0]), "error"].mean())
    if ends > POOR:
        return (
            f"; but the networks at the ends are themselves wrong on {percent(ends)} of the {split} data, so a low "
            "barrier says little."
        )
    if without <= CONNECTED:
        return f": these networks are connected at width {width} even without a permutation."
    if matched <= CONNECTED:
        return f": connected at width {width}."
    following = f"; try width {wider}" if wider else ""
    if matched > LITTLE * without:
        return f": the two stay unconnected at width {width}{following}."
    return f": not yet connected at width {width}{following}."


def _value(found: Interval, measure: str, pairs: int) -> str:
    def written(value: float) -> str:
        return percent(value) if measure == "error" else f"{value:.2f}"

    unit = "" if measure == "error" else " nats"
    interval = f" [{written(max(0.0, found.low))} to {written(found.high)}]" if pairs > 2 else ""
    return f"{written(found.mean)}{unit}{interval}"
