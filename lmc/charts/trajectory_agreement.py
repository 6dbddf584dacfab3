"""How much the permutations found along training agree with the last one."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, frame, mean_interval
from lmc.charts.trajectory import epoch_x

ALL = "All units"
_MOST_NAMES = 8  # layers that are all named in the legend
_DASHES = ([9, 4], [4, 3], [2, 3], [12, 4, 2, 4])


def agreement_chart(alignment: Table, layers: Table, *, method: str = "weight", resolution: float = 0.0) -> Any:
    """Share of units placed as by the last epoch's permutation against the fit epoch: all units, and by layer.

    From the tables `alignment` and `layers`; means over pairs, with the 95% interval for all units.
    """
    rows = agreement_means(alignment, layers, method=method, resolution=resolution)
    names = list(dict.fromkeys(rows["name"]))
    groups = names[1:]
    colors = [style.method_color(method), *style.layer_colors(len(groups))]
    dashes = [[1, 0], *(_DASHES[i % len(_DASHES)] for i in range(len(groups)))]
    shown = names if len(groups) <= _MOST_NAMES else [ALL, groups[0], groups[len(groups) // 2], groups[-1]]
    legend = style.top_legend(columns=4, symbolType="stroke", values=shown)
    rows["text"] = [style.percent(v) for v in rows["value"]]
    rows["thick"] = [4.0 if name == ALL else 2.5 for name in rows["name"]]
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(title="Share of units placed alike", format=".0%", tickCount=5, labelFlush=False),
    )
    color = alt.Color("name:N", scale=alt.Scale(domain=names, range=colors), legend=legend)
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=names, range=dashes), legend=legend)
    base = alt.Chart(rows).encode(y=y, color=color)
    tips = [("name", "Layer"), ("epoch", "Found at epoch"), ("text", "As the last"), ("pairs", "Pairs")]
    several = rows[(rows["pairs"] > 1) & (rows["name"] == ALL)]
    marks: list[Any] = []
    if not several.empty:
        band = alt.Chart(several).mark_area(opacity=0.18, color=style.method_color(method))
        marks.append(band.encode(y="low:Q", y2="high:Q"))
    marks += [
        base.mark_line(strokeCap="butt").encode(
            strokeDash=dash, strokeWidth=alt.StrokeWidth("thick:Q", scale=None, legend=None)
        ),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in tips]
        ),
    ]
    chart = alt.layer(*marks).encode(x=epoch_x(sorted(set(rows["epoch"])), "Epoch at which the permutation is found"))
    return style.finish(chart, _describe(rows, method), height=340)


def agreement_means(alignment: Table, layers: Table, *, method: str, resolution: float = 0.0) -> pd.DataFrame:
    """Columns name (all units first, then the layers), epoch (of the fit), value, low, high, pairs: mean shares."""
    overall = frame(alignment, ("pair", "method", "fit_epoch", "agreement"))
    overall = overall[(overall["method"] == method)].dropna(subset="agreement")
    overall = overall.drop_duplicates(["pair", "fit_epoch"]).assign(name=ALL)
    parts = frame(layers, ("pair", "method", "fit_epoch", "permutation", "agreement"))
    parts = parts[parts["method"] == method].rename(columns={"permutation": "name"})
    columns = ["name", "pair", "fit_epoch", "agreement"]
    rows = []
    shares = pd.concat([overall[columns], parts[columns]]).astype({"fit_epoch": int})
    for (name, epoch), group in shares.groupby(["name", "fit_epoch"], sort=False):
        found = mean_interval(group["agreement"].astype(float).to_numpy(), resolution)
        low, high = max(0.0, found.low), min(1.0, found.high)
        rows.append((name, epoch, found.mean, low, high, group["pair"].nunique()))
    return pd.DataFrame(rows, columns=["name", "epoch", "value", "low", "high", "pairs"])


def _describe(rows: pd.DataFrame, method: str) -> str:
    curve = rows[rows["name"] == ALL].sort_values("epoch")
    found = ", ".join(f"epoch {r['epoch']} {r['text']}" for r in curve.to_dict("records"))
    named = style.method_label(method).lower()
    return f"Lines of the share of units that {named} places as at the last epoch: {found}."
