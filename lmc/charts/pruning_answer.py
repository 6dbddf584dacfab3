"""The answer sentences of the pruning page, in numbers computed from its tables."""

from __future__ import annotations

import pandas as pd

from lmc.charts.masks import overlap_means
from lmc.charts.pruning import level_means
from lmc.charts.pruning_transport import named_masks, transport_means
from lmc.charts.style import CONNECTED, method_label, percent, readable
from lmc.charts.summary import Table, frame

ROUNDING = 1e-9  # barrier that rounding in float64 can make


def pruning_answer(
    levels: Table,
    *,
    method: str = "weight",
    width: int,
    wider: int | None = None,
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
) -> str:
    """What the permutation of the dense networks still does at the last level, and down to where it connects.

    From the `levels` table; means over the pairs with 95% intervals, never narrower than ± `resolution`. `wider` is a
    width to try where the networks are not even connected before they are pruned.
    """
    means = level_means(levels, method=method, split=split, measure=measure, resolution=resolution)
    last, pairs = int(means["level"].max()), int(means["pairs"].max())
    over = f" (means over {pairs} pairs{', 95% intervals' * (pairs > 2)})" if pairs > 1 else ""

    at = {str(row["permutation"]): row for row in means[means["level"] == last].to_dict("records")}
    unit = " nats" * (measure == "loss")

    def said(permutation: str, *, interval: bool = True) -> str:
        row = at[permutation]
        between = f" [{readable(row['low'], measure)} to {readable(row['high'], measure)}]" * (pairs > 2 and interval)
        return f"{readable(row['value'], measure)}{unit}{between}"

    start = f"With {_left(at['none']['density'])} of the weights left, "
    if "dense" not in at:
        return (
            f"{start}the {split} {measure} barrier is {said('none')} without a permutation{over}. Choose a matching "
            "method in the sidebar to see what one permutation for all levels does."
        )
    differ = said("dense", interval=False) != said("none", interval=False)
    lowers = "lowers" if differ and at["dense"]["value"] < at["none"]["value"] else "takes"
    answer = (
        f"{start}the permutation that {method_label(method).lower()} found before pruning {lowers} the {split} "
        f"{measure} barrier from {said('none', interval=False)} to {said('dense')}, one found anew to "
        f"{said('sparse')}{over}."
    )
    return answer if measure == "loss" else f"{answer} {_verdict(means, width, wider)}"


def twin_answer(levels: Table, *, dtype: str) -> str:
    """The largest barrier that any permutation left between a network and its twin, over levels, pairs and splits."""
    data = frame(levels, ("method", "level", "permutation", "loss_barrier", "error_barrier"))
    found = data[(data["permutation"] != "none") & (data["method"] != "random")]
    if found.empty:
        return "Choose a matching method in the sidebar: the control is what a permutation makes of the twins."
    without = float(data.loc[data["permutation"] == "none", "error_barrier"].max())
    loss, error = (float(found[f"{measure}_barrier"].max()) for measure in ("loss", "error"))
    if max(loss, error) <= ROUNDING:
        verdict = "That is 0 up to rounding, as it must be: the method itself makes no barrier."
    elif dtype == "float64":
        verdict = "That is more than rounding: here the method did not find the order that it should."
    else:
        verdict = f"Numbers of {dtype} are rounded, and training makes that grow: with float64 it must be 0."
    return (
        f"Every network against its twin, at {data['level'].nunique()} levels: the largest barrier that a permutation "
        f"leaves is {_tiny(loss)} nats of loss and {percent(error) if error > ROUNDING else _tiny(error)} of error; "
        f"without one it is up to {percent(without)} of error. {verdict}"
    )


def overlap_answer(masks: Table, *, level: int, method: str = "weight", permutation: str = "dense") -> str:
    """How much of the masks is the same under a permutation, as the mean over layers, against chance."""
    rows = overlap_means(masks, level=level, method=method)
    rows = rows[rows["permutation"] == permutation]
    kept, chance = float(rows["value"].mean()), float(rows["chance"].mean())
    return (
        f"Of the weights that either network keeps, both keep {percent(kept)}, mean over the layers; two masks "
        f"without anything in common would share {percent(chance)} by chance."
    )


def transport_answer(
    transport: Table, *, split: str = "test", measure: str = "error", resolution: float | None = None
) -> str:
    """Whether A's mask in the order of a permutation serves B better than A's as it is and than a random one."""
    means = transport_means(named_masks(transport, split=split, measure=measure), measure, resolution)
    value = means.set_index(["mask", "method"])["value"]
    unit = " nats" * (measure == "loss")
    words = {name: f"{readable(float(value[name, 'none']), measure)}{unit}" for name in ("own", "unpermuted", "random")}
    pairs = int(means["pairs"].max())
    over = f" (means over {pairs} pairs)" if pairs > 1 else ""
    carried = means[means["mask"] == "transported"]
    own = f"B's {split} {measure} is {words['own']} under its own mask"
    others = f"{words['unpermuted']} under A's as it is, and {words['random']} under a random one{over}"
    if carried.empty:
        return f"{own}, {others}."
    best = min(carried.to_dict("records"), key=lambda row: row["value"])
    gained, spread = float(value["unpermuted", "none"]) - best["value"], best["high"] - best["value"]
    verdict = "the permutation carries part of the mask over" if gained > 0 else "the permutation does not help here"
    if 0 < gained <= spread:
        verdict = "the gain of the permutation is within the interval"
    carried_over = f"{readable(best['value'], measure)}{unit} under A's in the order of {_order(best['method'])}"
    return f"{own}, {carried_over}, {others}: {verdict}."


def connected_down_to(means: pd.DataFrame, permutation: str) -> float | None:
    """The lowest density down to which the mean error barrier stays at or below 0.02; None if not even at level 0.

    From rows of `level_means`.
    """
    line = means[means["permutation"] == permutation].sort_values("level")
    held = (line["value"] <= CONNECTED).cummin()
    return float(line.loc[held, "density"].iloc[-1]) if held.any() else None


def _verdict(means: pd.DataFrame, width: int, wider: int | None) -> str:
    dense = connected_down_to(means, "dense")
    if dense is None:
        try_this = f"; try {wider}" if wider else ""
        return f"At width {width} the networks are not connected even before they are pruned{try_this}."
    lowest = float(means["density"].min())
    if dense == lowest:
        return "One permutation connects them at every level: simultaneous weak connectivity."
    anew = means.loc[means["permutation"] == "sparse", "value"]
    return (
        f"The one from before connects them down to {_left(dense)} of the weights, those found anew at "
        f"{int((anew <= CONNECTED).sum())} of {len(anew)} levels."
    )


def _left(density: float) -> str:
    return percent(density) if density < 0.995 else "100%"


def _tiny(value: float) -> str:
    return f"{value:.1g}" if 0 < value < 0.01 else f"{value:.2g}"


def _order(method: str) -> str:
    return method_label(method).lower()
