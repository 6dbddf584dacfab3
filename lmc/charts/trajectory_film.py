"""What the film of training shows: the curve from A to B at every epoch, under three permutations."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, check_measure, choose_rows, clipped, frame, mean_curves
from lmc.charts.trajectory import NONE, alignment_means

_DASHES = {"none": "", "last": "", "now": "10 6"}
_ERROR_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LOSS_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_MOST_TICKS = 6


class _Kind(NamedTuple):
    name: str
    labels: list[str]
    colors: list[str]
    fits: list[int]  # the fit epoch at every epoch


def film_data(
    path: Table,
    alignment: Table,
    *,
    method: str = "weight",
    split: str = "test",
    measure: str = "error",
    resolution: float | None = None,
) -> dict[str, Any]:
    """The epochs, the grid of λ and, for each permutation (none, the last epoch's, this epoch's), its mean curves.

    From the tables `path` and `alignment`. Every curve has by epoch: `labels`, `colors`, `values` (by λ), `barriers`
    (in words), and with two pairs or more `low` and `high`, the ends of their interval.
    """
    columns = ("pair", "method", "fit_epoch", "epoch", "split", "lam", check_measure(measure))
    data = choose_rows(frame(path, columns), "split", split)
    data = data[data["method"].isin(("none", method))]
    data = data.assign(fit=data["fit_epoch"].astype(float).fillna(NONE).astype(int))
    means = alignment_means(alignment, method=method, split=split, measure=measure, resolution=resolution)
    heights = dict(zip(zip(means["fit"], means["epoch"], strict=True), means["value"], strict=True))
    epochs = sorted({int(epoch) for epoch in data["epoch"]})
    lams = sorted(set(data["lam"]))
    several = data["pair"].nunique() > 1
    curves = []
    for kind in _kinds(epochs, method, with_fits=bool((data["fit"] != NONE).any())):
        found = [
            _at(data[(data["fit"] == fit) & (data["epoch"] == epoch)], measure, resolution)
            for fit, epoch in zip(kind.fits, epochs, strict=True)
        ]
        barriers = [style.readable(heights[fit, epoch], measure) for fit, epoch in zip(kind.fits, epochs, strict=True)]
        curve: dict[str, Any] = {
            "name": kind.name,
            "labels": kind.labels,
            "colors": kind.colors,
            "dash": _DASHES[kind.name],
            "barriers": barriers,
            "values": [rows["value"].round(4).tolist() for rows in found],
        }
        if several:
            curve |= {side: [rows[side].round(4).tolist() for rows in found] for side in ("low", "high")}
        curves.append(curve)
    top = max(max(map(max, curve.get("high", curve["values"]))) for curve in curves)
    return {"epochs": epochs, "lams": lams, "curves": curves, **_axis(top, split, measure)}


def _kinds(epochs: list[int], method: str, *, with_fits: bool) -> list[_Kind]:
    count, last = len(epochs), epochs[-1]
    none = _Kind("none", ["No permutation"] * count, [style.method_color("none")] * count, [NONE] * count)
    if not with_fits:
        return [none]
    final = [f"Found at epoch {last}"] * count
    now = [f"Found at epoch {epoch}" for epoch in epochs]
    return [
        none,
        _Kind("last", final, [style.method_color(method)] * count, [last] * count),
        _Kind("now", now, style.fit_colors(count, method), epochs),
    ]


def _at(rows: pd.DataFrame, measure: str, resolution: float | None) -> pd.DataFrame:
    """Columns lam, value, low, high: the mean over pairs of the rows of one epoch and fit."""
    return clipped(mean_curves(rows.assign(method=""), measure, resolution), measure).sort_values("lam")


def _axis(top: float, split: str, measure: str) -> dict[str, Any]:
    named = {"split": split, "measure": measure, "title": f"{split.capitalize()} {style.MEASURES[measure]}"}
    if measure == "error":
        top = min(1.0, 1.05 * top)
        ticks = [{"value": v, "text": f"{100 * v:.0f}%"} for v in _ERROR_TICKS if v <= top]
        return {**named, "top": top, "ticks": ticks, "unit": "barrier"}
    top *= 1.05
    step = next((step for step in _LOSS_STEPS if top / step < _MOST_TICKS), _LOSS_STEPS[-1])
    ticks = [{"value": k * step, "text": f"{k * step:g}"} for k in range(int(top / step) + 1)]
    return {**named, "top": top, "ticks": ticks, "unit": "nats of barrier"}
