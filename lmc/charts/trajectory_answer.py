"""The answer sentences of a trajectory, in numbers computed from its table `alignment`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lmc.charts import style
from lmc.charts.summary import Table, choose_rows, frame
from lmc.charts.trajectory import NONE, alignment_means

_ROUNDING = 1e-6
HARDLY = 0.5  # a barrier of more than this share of the one without a permutation has hardly gone down


def trajectory_answer(
    alignment: Table,
    *,
    method: str,
    width: int,
    wider: int | None = None,
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
) -> str:
    """What the last epoch's permutation leaves along the whole training, and whether that counts as connected.

    With several pairs barriers are means with intervals that are never narrower than ± `resolution`.
    """
    found = _by_place(alignment, method, split, measure, resolution)
    last, pairs = max(epoch for _, epoch in found), max(value.pairs for value in found.values())
    over = f" (means over {pairs} pairs{', 95% intervals' * (pairs > 2)})" if pairs > 1 else ""
    barrier, before = f"{split} {measure} barrier", _value(found[NONE, last], measure)
    if (last, last) not in found:
        return f"Without a permutation the {barrier} at the last epoch, {last}, is {before}{over}."
    own = {epoch: value for (fit, epoch), value in found.items() if fit == last}
    worst = max(own, key=lambda epoch: own[epoch].mean)
    after = _value(own[last], measure)
    said = f"{style.method_label(method)} at epoch {last}"
    if own[last].mean < found[NONE, last].mean:
        said += f" lowers the {barrier} from {before} to {after}"
    else:
        said += f" does not lower the {barrier}, {before} without, {after} with it"
    if len(own) > 1:
        said += (
            f"; used at all epochs, the same permutation leaves at most {_value(own[worst], measure)}, at epoch {worst}"
        )
    said += over
    if measure == "loss":
        return f"{said}."
    return f"{said}{_verdict(own, found[NONE, last].mean, last, width, wider)}"


class _Barrier(NamedTuple):
    mean: float
    low: float
    high: float
    pairs: int


def _by_place(
    alignment: Table, method: str, split: str, measure: str, resolution: float | None
) -> dict[tuple[int, int], _Barrier]:
    """(fit, epoch) → the mean barrier; fit -1 is none."""
    means = alignment_means(alignment, method=method, split=split, measure=measure, resolution=resolution)
    columns = (means[name] for name in ("fit", "epoch", "value", "low", "high", "pairs"))
    return {(fit, epoch): _Barrier(*rest) for fit, epoch, *rest in zip(*columns, strict=True)}


def _verdict(own: Mapping[int, _Barrier], without: float, last: int, width: int, wider: int | None) -> str:
    if max(value.mean for value in own.values()) <= style.CONNECTED:
        return f": connected through all of training at width {width} (simultaneous weak linear connectivity)."
    if own[last].mean <= style.CONNECTED:
        return f": connected at the end, but not at every epoch, at width {width}."
    following = f"; try width {wider}" if wider else ""
    if own[last].mean > HARDLY * without:
        return f": the networks stay unconnected at width {width}{following}."
    return f": not yet connected at width {width}{following}."


def first_fit_answer(
    alignment: Table, *, method: str, split: str = "test", measure: str = "error", resolution: float | None = None
) -> str:
    """What the permutation of the first trained checkpoint does at the end; empty if that is the last one."""
    found = _by_place(alignment, method, split, measure, resolution)
    last = max(epoch for _, epoch in found)
    trained = [fit for fit, _ in found if 0 < fit < last]
    if not trained or (last, last) not in found:
        return ""
    first = min(trained)
    early, late = found[first, last], found[last, last]
    verdict = ""
    if early.pairs > 2:
        verdict = ": it was found too early" if early.low > late.high else ": that may be chance"
    return (
        f"The permutation found at epoch {first} leaves {_value(early, measure)} at epoch {last}, where its own leaves "
        f"{_value(late, measure)}{verdict}."
    )


def stable_answer(stable: int | None, last: int) -> str:
    """From which epoch on training is stable to permutation, honestly when it is not."""
    if stable is None:
        return (
            f"Stable to permutation: **not by epoch {last}**. No epoch's permutation leaves a mean error barrier of at "
            "most 2 points from then on."
        )
    then = "" if stable == last else " and at every later epoch"
    return (
        f"Stable to permutation **from epoch {stable} on**: the permutation found there leaves a mean error barrier of "
        f"at most 2 points at that epoch{then}."
    )


def twin_answer(alignment: Table, *, method: str, split: str = "test") -> str:
    """The largest barrier between twins, of all permutations at all epochs."""
    columns = ("method", "fit_epoch", "epoch", "split", "error_barrier", "loss_barrier")
    data = choose_rows(frame(alignment, columns), "split", split)
    found, none = data[data["method"] == method], data[data["method"] == "none"]
    if method == "none" or found.empty:
        return "Choose a matching method: without a permutation even twins stay apart."
    loss, error = float(found["loss_barrier"].max()), float(found["error_barrier"].max())
    without = style.percent(float(none.loc[none["epoch"] == none["epoch"].max(), "error_barrier"].mean()))
    height = f"{_tiny(100 * error)} points of error and {_tiny(loss)} nats of loss"
    if error < _ROUNDING and loss < _ROUNDING:
        height = f"0 up to rounding ({height})"
    return (
        f"The largest {split} barrier between twins, of all {found['fit_epoch'].nunique()} permutations at all "
        f"{found['epoch'].nunique()} epochs, is {height}. Without a permutation the error barrier is {without} at the "
        "end."
    )


def mean_errors(alignment: Table, *, method: str, split: str) -> dict[tuple[int, int], float]:
    """(fit, epoch) → mean error barrier, of the permutations of `method`."""
    found = _by_place(alignment, method, split, "error", None)
    return {place: value.mean for place, value in found.items() if place[0] != NONE}


def _tiny(value: float) -> str:
    return "0" if value == 0 else f"{value:.1g}" if value < 0.01 else f"{value:.2f}"


def _value(found: _Barrier, measure: str) -> str:
    unit = "" if measure == "error" else " nats"
    low, high = (style.readable(value, measure) for value in (found.low, found.high))
    interval = f" [{low} to {high}]" if found.pairs > 2 else ""
    return f"{style.readable(found.mean, measure)}{unit}{interval}"
