"""How networks of the library learned: their learning curves, called by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from lmc.charts.curves import curves_chart
from lmc.charts.summary import Table, choose_rows, frame


def network_curves(curves: Table, *, measure: str, names: Mapping[str, str]) -> Any:
    """`curves_chart` of networks in no order of A, B and C; the error is that on test images alone.

    Training error is not measured while learning, so its chart needs no legend of splits.
    """
    data = frame(curves, ["network", "epoch", "split", measure])
    if measure != "error":
        return curves_chart(data, measure=measure, names=names)
    chart = curves_chart(choose_rows(data, "split", "test"), measure=measure, names=names)
    return chart.encode(strokeDash=alt.StrokeDash("what:N", legend=None))
