"""Charts as files: SVG and PNG, drawn without a browser."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import vl_convert

from lmc.charts.style import INK

_VERSION = "6.4"
_THEMES = {
    False: {"ink": "#0C141C", "soft": "#55606B", "grid": "#DDE3E8", "background": "#FFFFFF"},
    True: {"ink": "#EEF2F5", "soft": "#A9B4BE", "grid": "#2B3540", "background": "#020405"},
}


def to_svg(chart: Any, *, dark: bool = False, width: int = 900) -> str:
    """The chart as an SVG picture of `width` pixels."""
    return vl_convert.vegalite_to_svg(fixed_spec(chart, dark=dark, width=width), vl_version=_VERSION)


def to_png(chart: Any, *, dark: bool = False, width: int = 900, scale: float = 2.0) -> bytes:
    """The chart as a PNG picture; `scale` 2 is right for slides, 4 for print."""
    return vl_convert.vegalite_to_png(fixed_spec(chart, dark=dark, width=width), vl_version=_VERSION, scale=scale)


def fixed_spec(chart: Any, *, dark: bool = False, width: int = 900) -> dict[str, Any]:
    """The chart's specification with a width, a background and text colours of its own."""
    theme = _THEMES[dark]
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = json.loads(chart.to_json().replace(INK, theme["ink"]))
    if spec.get("width") == "container":
        spec |= {"width": width, "autosize": {"type": "fit", "contains": "padding"}}
    spec["description"] = spec.get("usermeta", {}).get("alt", "")
    spec["background"], spec["padding"] = theme["background"], 16
    spec["config"] = _merged(_config(theme), spec.get("config", {}))
    return spec


def _config(theme: dict[str, str]) -> dict[str, Any]:
    words = {"labelColor": theme["ink"], "titleColor": theme["ink"], "labelFontWeight": "normal"}
    axis = {"gridColor": theme["grid"], "domain": False, "ticks": False, "titleFontWeight": "normal"}
    return {
        "font": "Source Sans Pro, Helvetica, Arial, sans-serif",
        "axis": {**words, **axis},
        "legend": words,
        "title": {"color": theme["ink"], "anchor": "start"},
        "view": {"strokeWidth": 0},
    }


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {k: {**v, **over[k]} for k, v in under.items() if isinstance(v, dict) and isinstance(over.get(k), dict)}
    return {**under, **over, **both}
