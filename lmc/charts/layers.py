"""What a permutation does inside the networks: layer by layer, unit by unit."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from lmc.charts import style
from lmc.charts.summary import Table, frame

Matrix = npt.NDArray[np.floating[Any]] | list[list[float]]

MAX_UNITS = 64
_GAP = 0.12
# Zero is transparent, so that it is the background of whatever theme the page has.
_DIVERGING = ["rgba(218,98,0,1)", "rgba(218,98,0,0)", "rgba(20,130,212,0)", "rgba(20,130,212,1)"]


def similarity_chart(before: Matrix, after: Matrix, title: str = "") -> Any:
    """Two heat maps side by side: correlations of the units of A (rows) and of B (columns), before and after.

    Both are n×n with n ≤ 64 and share one colour scale from −1 to 1. The squares grow with the page.
    """
    maps = {"Before matching": _square(before), "After matching": _square(after)}
    n, m = (len(values) for values in maps.values())
    if n != m:
        raise ValueError(f"both maps must have the same size, not {n} and {m}")
    cells = pd.concat([_cells(values, i * (1 + _GAP) * n, name) for i, (name, values) in enumerate(maps.items())])
    wide = f"min(width, height * {2 + _GAP})"
    across = alt.Scale(
        domain=[0, (2 + _GAP) * n], nice=False, zero=False,
        range=[alt.ExprRef(f"(width - {wide}) / 2"), alt.ExprRef(f"(width + {wide}) / 2")],
    )  # fmt: skip
    down = alt.Scale(domain=[0, n], nice=False, range=[0, alt.ExprRef(f"{wide} / {2 + _GAP}")])
    x, y = alt.X("x:Q", scale=across, axis=None), alt.Y("y:Q", scale=down, axis=None)
    layers = [_heat(cells, x, y), _frames(maps, n, x, y), *_titles(maps, n, x, y)]
    description = _describe_similarity(maps, title)
    chart = alt.layer(*layers)
    if title:
        chart = chart.properties(title=alt.Title(title, fontSize=18, color=style.INK, offset=36))
    return style.finish(chart, description, height=440)


def _square(values: Matrix) -> npt.NDArray[np.floating[Any]]:
    array = np.asarray(values, float)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not 0 < len(array) <= MAX_UNITS:
        shape = "×".join(map(str, array.shape))
        raise ValueError(f"a map must be square with at most {MAX_UNITS} units a side, not {shape}")
    return array


def _cells(values: npt.NDArray[np.floating[Any]], shift: float, name: str) -> pd.DataFrame:
    n = len(values)
    row, column = (a.ravel() for a in np.indices((n, n)))
    where = {"x": column + shift, "x2": column + shift + 1, "y": row, "y2": row + 1}
    return pd.DataFrame({**where, "a": row, "b": column, "map": name, "value": values.ravel().round(4)})


def _heat(cells: pd.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    bar = alt.Legend(
        orient="bottom", title="Correlation of two units", gradientLength=260, gradientThickness=14,
        values=[-1, -0.5, 0, 0.5, 1], titleLimit=300, offset=34,
        labelExpr="datum.value == 0 ? '0' : format(datum.value, '+.1~f')",
    )  # fmt: skip
    colors = alt.Scale(domain=[-1, -1e-6, 1e-6, 1], range=_DIVERGING, clamp=True)
    tips = [alt.Tooltip("map:N", title="Map"), alt.Tooltip("a:Q", title="Unit of A")]
    tips += [
        alt.Tooltip("b:Q", title="Place in B"),
        alt.Tooltip("value:Q", title="Correlation", format="+.2f"),
    ]
    heat = alt.Chart(cells).mark_rect(strokeWidth=0)
    return heat.encode(
        x=x, x2="x2:Q", y=y, y2="y2:Q", color=alt.Color("value:Q", scale=colors, legend=bar), tooltip=tips
    )


def _corners(maps: dict[str, Any], n: int) -> pd.DataFrame:
    left = [i * (1 + _GAP) * n for i in range(len(maps))]
    return pd.DataFrame({"x": left, "x2": [v + n for v in left], "y": 0, "y2": n, "name": list(maps)})


def _frames(maps: dict[str, Any], n: int, x: alt.X, y: alt.Y) -> alt.Chart:
    frames = alt.Chart(_corners(maps, n)).mark_rect(fillOpacity=0, stroke=style.INK, strokeOpacity=0.35)
    return frames.encode(x=x, x2="x2:Q", y=y, y2="y2:Q")


def _titles(maps: dict[str, Any], n: int, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    corners = _corners(maps, n)
    corners["below"] = "units of B →"
    corners["beside"] = "← units of A"
    place = alt.Chart(corners)
    name = place.mark_text(align="left", baseline="bottom", dy=-8, color=style.INK, fontSize=17, fontWeight="bold")
    words: dict[str, Any] = {"align": "left", "color": style.INK, "fontSize": 14}
    below = alt.Chart(corners.assign(y=n)).mark_text(baseline="top", dy=8, **words).encode(x=x, y=y, text="below:N")
    turned = place.mark_text(baseline="bottom", angle=270, dy=-6, **{**words, "align": "right"})
    return [name.encode(x=x, y=y, text="name:N"), below, turned.encode(x=x, y=y, text="beside:N")]


def _describe_similarity(maps: dict[str, npt.NDArray[np.floating[Any]]], title: str) -> str:
    before, after = (float(np.mean(np.diag(values))) for values in maps.values())
    n = len(next(iter(maps.values())))
    lead = f"{title}: t" if title else "T"
    return (
        f"{lead}wo heat maps of the correlation between {n} units of A and {n} of B. "
        f"The mean on the diagonal is {before:+.2f} before and {after:+.2f} after matching."
    )


def layers_chart(layers: Table) -> Any:
    """How alike matched units are, before and after, and how many changed place, from the `layers` table.

    Values are means over pairs. Without a permutation nothing moves, so method `none` is left out.
    """
    rows = layer_means(layers)
    methods = style.ordered_methods(rows["method"])
    names = [style.method_label(m) for m in methods]
    groups = list(dict.fromkeys(rows["permutation"]))
    rows["name"] = rows["method"].map(style.method_label)
    rows["layer"] = rows["permutation"].map({g: f"{g} ({_units(rows, g)} units)" for g in groups})
    rows["share"] = [f"{100 * v:.0f}% moved" for v in rows["moved"]]
    low = min(0.0, float(rows[["similarity_before", "similarity_after"]].min().min()))
    scale = alt.Scale(domain=[low, 1], nice=False, range=[14, alt.ExprRef("width - 120")])
    title = "Mean similarity of matched units: ○ before → ● after"
    x = alt.X(
        "similarity_before:Q",
        scale=scale,
        axis=alt.Axis(title=title, tickCount=5, labelFlush=False, format="~g"),
    )
    beside = alt.Axis(ticks=False, domain=False, labelFlush=False)
    place: dict[str, Any] = {
        "y": alt.Y("layer:N", sort=list(dict.fromkeys(rows["layer"])), title=None, axis=beside),
        "yOffset": alt.YOffset("name:N", sort=names),
        "color": alt.Color(
            "name:N",
            scale=alt.Scale(domain=names, range=[style.method_color(m) for m in methods]),
            legend=style.top_legend(columns=2, symbolType="circle", symbolSize=180, symbolStrokeWidth=0),
        ),
        "tooltip": [
            alt.Tooltip("layer:N", title="Layer"), alt.Tooltip("name:N", title="Method"),
            alt.Tooltip("similarity_before:Q", title="Before", format=".2f"),
            alt.Tooltip("similarity_after:Q", title="After", format=".2f"),
            alt.Tooltip("moved:Q", title="Units moved", format=".0%"),
        ],
    }  # fmt: skip
    base = alt.Chart(rows).encode(**place)
    after = alt.X("similarity_after:Q", scale=scale)
    text = base.mark_text(align="left", color=style.INK, fontSize=style.FONT["label"])
    parts = [
        base.mark_rule(strokeWidth=4, opacity=0.7).encode(x=x, x2="similarity_after:Q"),
        base.mark_point(size=150, strokeWidth=3, opacity=1).encode(x=x),
        base.mark_circle(size=220, opacity=1).encode(x=after),
        text.encode(x=alt.XValue(alt.ExprRef("width - 100")), text="share:N", color=alt.value(style.INK)),
    ]
    height = 90 + len(groups) * (18 + 34 * len(methods))
    return style.finish(alt.layer(*parts), _describe_layers(rows), height=height)


def layer_means(layers: Table) -> pd.DataFrame:
    """Columns method, permutation, units, moved, similarity_before, similarity_after: means over pairs."""
    columns = ["method", "permutation", "units", "moved", "similarity_before", "similarity_after"]
    data = frame(layers, columns)
    if set(data["method"]) - {"none"}:
        data = data[data["method"] != "none"]
    return data[columns].groupby(["permutation", "method"], sort=False, as_index=False).mean()


def _units(rows: pd.DataFrame, group: str) -> str:
    return f"{rows.loc[rows['permutation'] == group, 'units'].iloc[0]:.0f}"


def _describe_layers(rows: pd.DataFrame) -> str:
    found = "; ".join(
        f"{r['layer']}, {r['name'].lower()}: {r['similarity_before']:.2f} to {r['similarity_after']:.2f}, {r['share']}"
        for r in rows.to_dict("records")
    )
    return f"Chart of the mean similarity of matched units before and after matching. {found}."
