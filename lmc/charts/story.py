"""One curve on its own, small enough to stand beside its twin on the same scale."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, choose_rows, frame


def story_chart(path: Table, method: str, *, split: str = "test", top: float = 1.0) -> Any:
    """Error along the segment of one pair under `method`; the axis ends at `top`, an error in [0, 1].

    Equal `top` makes two of these comparable at a glance.
    """
    rows = choose_rows(frame(path, ("method", "split", "lam", "error")), "split", split)
    curve = choose_rows(rows, "method", method).sort_values("lam")[["lam", "error"]]
    ends = pd.DataFrame({"lam": [0.0, 1.0], "error": curve["error"].iloc[[0, -1]].tolist(), "name": ["A", "B"]})
    x = alt.X("lam:Q", axis=None, scale=alt.Scale(domain=[-0.04, 1.04], nice=False))
    values = [0, 0.25, 0.5, 0.75, 1]
    y = alt.Y("error:Q", scale=alt.Scale(domain=[0, top]), axis=style.value_axis("error", "Test error", values=values))
    color = style.method_color(method)
    tips = [alt.Tooltip("lam:Q", title="λ", format=".2f"), alt.Tooltip("error:Q", title="Test error", format=".1%")]
    hill = alt.Chart(curve).mark_area(color=color, opacity=0.18).encode(x=x, y=y)
    line = alt.Chart(curve).mark_line(color=color, strokeWidth=3.5).encode(x=x, y=y)
    points = alt.Chart(curve).mark_point(color=color, filled=True, opacity=0, size=250).encode(x=x, y=y, tooltip=tips)
    dots = alt.Chart(ends).mark_circle(size=520, opacity=1).encode(x=x, y=y, color=_ends_scale())
    names = alt.Chart(ends).mark_text(color="white", fontWeight="bold", fontSize=14).encode(x=x, y=y, text="name:N")
    highest = float(curve["error"].max())
    description = (
        f"{style.method_label(method)}: {split} error along the line from A to B, "
        f"{style.percent(ends['error'][0])} at A, {style.percent(ends['error'][1])} at B, "
        f"at most {style.percent(highest)} between."
    )
    return style.finish(alt.layer(hill, line, points, dots, names), description, height=230)


def _ends_scale() -> alt.Color:
    colors = [style.NETWORK_COLORS[name] for name in "AB"]
    return alt.Color("name:N", scale=alt.Scale(domain=["A", "B"], range=colors), legend=None)
