"""Charts on a page: built once for what they show, then only handed out.

Building an Altair chart takes a tenth of a second, mostly to check it against the schema of Vega-Lite; the tests do
that check for every chart, so the app leaves it out and keeps what it built.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st
from altair.utils.schemapi import disable_debug_mode

from lmc.charts.style import describe
from pages.ui.turns import TURNS

disable_debug_mode()


def show(name: str, make: Callable[[], Any], *shows: Hashable) -> None:
    """Draw the chart that `make` builds; `name` and `shows` together say all that it depends on.

    After a page's first chart, pages that have none yet go first.
    """
    spec, text = _built(name, shows, make)
    st.vega_lite_chart(spec={**spec, "datasets": dict(spec["datasets"])}, width="stretch", key=name, alt=text)
    TURNS.after_you()


def choose(name: str, make: Callable[[], Any], *shows: Hashable) -> dict[str, Any]:
    """As `show`, for a chart with a point selection `spot`; the fields of the mark that was clicked, if one was."""
    spec, text = _built(name, shows, make)
    event: Any = st.vega_lite_chart(
        spec={**spec, "datasets": dict(spec["datasets"])}, width="stretch", key=name, alt=text, on_select="rerun"
    )
    TURNS.after_you()
    chosen: list[dict[str, Any]] = event["selection"].get("spot", []) if event else []
    return dict(chosen[0]) if chosen else {}


@st.cache_resource(show_spinner=False, max_entries=512)
def _built(name: str, shows: tuple[Hashable, ...], _make: Callable[[], Any]) -> tuple[dict[str, Any], str]:  # noqa: ARG001
    """What Vega-Lite and a screen reader get; `name` and `shows` are the key under which it is kept."""
    chart = _make()
    with alt.data_transformers.disable_max_rows():
        spec = chart.to_dict(validate=False)
    spec["datasets"] = {key: pd.DataFrame(rows) for key, rows in spec.get("datasets", {}).items()}
    return spec, describe(chart)
