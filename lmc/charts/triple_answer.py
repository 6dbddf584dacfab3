"""The answer sentences of three networks and of many, in numbers computed from their tables."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from lmc.charts.style import CONNECTED, method_label, percent, readable
from lmc.charts.summary import Table, check_measure, choose_rows, frame, mean_interval

PAIRS = {"0-1": "A and B", "0-2": "A and C", "1-2 direct": "B and C"}
"""Comparison in which two networks are matched to each other → what they are called."""

HOME = 0.5  # share of units below which few come home
_UNMATCHED = ("none", "random")

Heights = dict[str, float]
"""Comparison → barrier, mean over triples."""

_MATCHED = {"strong": "Strong connectivity", "weak": "Weak, not strong", "none": "Neither weak nor strong"}
_BARE = {"strong": "Connected as they are", "weak": "Pairs connected, not all", "none": "Not connected"}


def triple_answer(
    barriers: Table,
    *,
    width: int,
    wider: int | None = None,
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
    cycle: Table | None = None,
) -> str:
    """What one permutation for each network costs over one for each pair, and which connectivity that is.

    Speaks of the matching method with the lowest triangle. Weak connectivity: each pair, matched to each other, is
    connected. Strong: with one permutation for each network, so is the whole triangle. `wider` is a width to try where
    the answer is not strong; with several triples barriers are means, with intervals that are never narrower than
    ± `resolution`. The table `cycle` adds what the way round the triangle does to the units.
    """
    column = f"{check_measure(measure)}_barrier"
    rows = choose_rows(frame(barriers, ("triple", "method", "comparison", "split", column)), "split", split)
    heights = {str(m): _heights(of_method, column) for m, of_method in rows.groupby("method")}
    triples = rows["triple"].nunique()
    over = f" (means over {triples} triples{', 95% intervals' * (triples > 2)})" if triples > 1 else ""
    method = _best({m: found["simplex"] for m, found in heights.items()})

    def said(comparison: str) -> str:
        here = rows[(rows["method"] == method) & (rows["comparison"] == comparison)]
        return _value(here[column], measure, resolution)

    if method is None:
        method = "none" if "none" in set(rows["method"]) else str(rows["method"].iloc[0])
        return (
            f"{method_label(method)}: at width {width} the {split} {measure} barrier between B and C is "
            f"{said('1-2 direct')}, and over the whole triangle {said('simplex')}{over}. "
            "Choose a matching method to see what one permutation for each network does."
        )
    numbers = (
        f"{method_label(method)}: at width {width} the {split} {measure} barrier between B and C is "
        f"{said('1-2 direct')} when they are matched to each other, {said('1-2 via 0')} when both are matched to A, "
        f"and {said('simplex')} over the whole triangle{over}"
    )
    verdict = _verdict(heights[method], heights.get("none", {}), wider) if measure == "error" else ""
    return f"{numbers}{verdict}.{_round_trip(cycle, method, split, measure)}"


def verdicts(barriers: Table, *, split: str = "test") -> dict[str, tuple[str, str]]:
    """For each method which connectivity its error barriers show, and the worst pair alone, as two short lines.

    From the table `barriers` of a triple; with several triples of their means.
    """
    names = ("triple", "method", "comparison", "split", "error_barrier")
    rows = choose_rows(frame(barriers, names), "split", split)
    found = {str(m): _heights(of_method, "error_barrier") for m, of_method in rows.groupby("method", sort=False)}
    return {
        method: (
            (_BARE if method in _UNMATCHED else _MATCHED)[connectivity(heights)],
            f"worst pair alone: {_above(max(heights[name] for name in PAIRS))}",
        )
        for method, heights in found.items()
    }


def connectivity(heights: Heights) -> str:
    """`strong` if the whole triangle is connected, `weak` if each pair is when it is matched alone, else `none`."""
    if max(heights["simplex"], heights["1-2 via 0"]) <= CONNECTED:
        return "strong"
    return "weak" if all(heights[name] <= CONNECTED for name in PAIRS) else "none"


def _heights(rows: pd.DataFrame, column: str) -> Heights:
    return {str(name): float(value) for name, value in rows.groupby("comparison")[column].mean().items()}


def _best(heights: dict[str, float]) -> str | None:
    """The matching method with the lowest triangle, if there is one."""
    matched = {m: height for m, height in heights.items() if m not in _UNMATCHED}
    return min(matched, key=lambda m: matched[m]) if matched else None


def _verdict(found: Heights, bare: Heights, wider: int | None) -> str:
    """Which connectivity the numbers show, and what to try next; `bare` are the barriers without a permutation."""
    if bare and bare["simplex"] <= CONNECTED:
        return ": all three are connected even without a permutation, strong connectivity with nothing to match"
    following = f"; try width {wider}" if wider else ""
    if connectivity(found) == "strong":
        return ": with one permutation for each network all three are connected, which is strong connectivity"
    if connectivity(found) == "weak":
        return f": each pair alone is connected, but not all three at once: weak connectivity, not strong{following}"
    apart = [name for name in PAIRS if found[name] > CONNECTED]
    named = "" if "1-2 direct" in apart else f" ({', '.join(f'{PAIRS[name]} {_above(found[name])}' for name in apart)})"
    return f": not even each pair alone is connected{named}, so neither weak nor strong connectivity{following}"


def _above(height: float) -> str:
    """A barrier in percent that does not look connected where it is not."""
    just = "just above " if height > CONNECTED and percent(height) == percent(CONNECTED) else ""
    return f"{just}{percent(height)}"


def _round_trip(cycle: Table | None, method: str, split: str, measure: str) -> str:
    if cycle is None:
        return ""
    column = f"{measure}_barrier"
    rows = choose_rows(frame(cycle, ("method", "split", "home", column)), "split", split)
    rows = rows[rows["method"] == method]
    if rows.empty:
        return ""
    home, height = float(rows["home"].mean()), float(rows[column].mean())
    if home == 1:
        return " Round the triangle from A to B to C and back, every unit comes home."
    said = (
        f" Round the triangle from A to B to C and back, {percent(home)} of the units come home; the barrier between A "
        f"and A sent around is {_value([height], measure, None)}"
    )
    if measure == "error" and height <= CONNECTED and home < HOME:
        return f"{said}: few units agree, and still the two are connected."
    return f"{said}."


def many_answer(
    merged: Table,
    barriers: Table,
    *,
    width: int,
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
) -> str:
    """How good the network in the middle of all is, beside its parents and their ensemble, and how high the simplex.

    Speaks of the matching method whose merged network is best.
    """
    check_measure(measure)
    names = [f"{measure}_{what}" for what in ("merged", "parents", "ensemble")]
    rows = choose_rows(frame(merged, ("group", "method", "split", *names)), "split", split)
    column = f"{measure}_barrier"
    heights = choose_rows(frame(barriers, ("group", "method", "comparison", "split", column)), "split", split)
    means = rows.groupby("method")[names[0]].mean()
    method = _best({str(m): float(v) for m, v in means.items()})
    chosen = method or str(rows["method"].iloc[0])
    rows, heights = rows[rows["method"] == chosen], heights[heights["method"] == chosen]
    of_merged, of_parents, of_ensemble = (_value(rows[name], measure, resolution) for name in names)
    top = _value(heights.loc[heights["comparison"] == "simplex", column], measure, resolution)
    said = (
        f"{method_label(chosen)}: the mean of all {_networks(heights)} networks of width {width} has a {split} "
        f"{measure} of {of_merged}; they have {of_parents} on average, their ensemble {of_ensemble}, and the highest "
        f"barrier found between them is {top}"
    )
    if method is None:
        return f"{said}. Choose a matching method to see what one permutation for each network does."
    return f"{said}{_worth(rows) if measure == 'error' else ''}."


def _worth(rows: pd.DataFrame) -> str:
    cost = float((rows["error_merged"] - rows["error_parents"]).mean())
    if cost <= 0:
        return ": the merged network is at least as good as those it was made from"
    if cost <= CONNECTED:
        return f": the merged network is as good as those it was made from, to {100 * CONNECTED:g} points"
    return f": merging costs {100 * cost:.1f} points"


def _networks(heights: pd.DataFrame) -> int:
    """How many networks there are, by the edges between them: n(n−1)/2."""
    edges = len(set(heights["comparison"]) - {"simplex", "centroid"})
    return round((1 + (1 + 8 * edges) ** 0.5) / 2)


def _value(values: Iterable[float], measure: str, resolution: float | None) -> str:
    """The mean in words, from three values on with its 95% interval."""
    numbers = list(values)
    found = mean_interval(numbers, resolution)
    interval = f" [{readable(max(0.0, found.low), measure)} to {readable(found.high, measure)}]"
    return f"{readable(found.mean, measure)}{' nats' * (measure == 'loss')}{interval * (len(numbers) > 2)}"
