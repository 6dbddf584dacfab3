"""The axis of charts over pruning: the share of weights that is left, on a log scale, dense networks on the left."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import altair as alt
import pandas as pd

from lmc.charts import style


def left_of(density: float) -> float:
    """The place of a density on the axis: how often the weights were halved."""
    return -math.log2(density)


def densities_of(rows: pd.DataFrame, planned: Sequence[float] = ()) -> list[float]:
    """The density of every level, in their order: as it is in the rows, else as `planned`."""
    found = dict(zip(rows["level"].astype(int), rows["density"].astype(float), strict=True))
    count = max(len(planned), max(found) + 1)
    return [found.get(level, planned[level] if level < len(planned) else 1.0) for level in range(count)]


def density_x(densities: Sequence[float], *, brief: bool = False, right: int = 0) -> alt.X:
    """Field `x`, a place as `left_of` says, with a label at each of `densities` that has room.

    The title is longer where it need not be `brief`; so many pixels stay free on the `right`.
    """
    places = [left_of(density) for density in densities]
    words = [style.percent(density) if density < 0.995 else "100%" for density in densities]
    said = f"{json.dumps(words)}[indexof({json.dumps(places)}, datum.value)]"
    title = (
        "Weights left (log scale)"
        if brief
        else "Weights left (log scale): dense on the left, every step prunes further"
    )
    axis = alt.Axis(values=places, labelExpr=said, labelFlush=False, labelOverlap="greedy", grid=False, title=title)
    step = (places[-1] - places[0]) / max(1, len(places) - 1) or 0.3
    scale = alt.Scale(domain=[places[0] - 0.3 * step, places[-1] + 0.3 * step], nice=False, zero=False)
    scale.range = [0, alt.ExprRef(f"width - {right}")]
    return alt.X("x:Q", scale=scale, axis=axis)
