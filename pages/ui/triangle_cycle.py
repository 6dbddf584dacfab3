"""Once around the triangle: which units come home, and how far from home is what comes back."""

from __future__ import annotations

import streamlit as st

from lmc.charts.style import CONNECTED, method_label, percent, readable
from lmc.experiments import TOGETHER, Triple
from lmc.result import Result
from pages.ui.runs import visible
from pages.ui.triangle import TriangleView, chosen_rows

LOW = 0.5  # share of units at home below which the permutations disagree


def show_cycle(result: Result, config: Triple, view: TriangleView) -> None:
    """A sentence for each method, and what is known of larger networks."""
    st.subheader("Once around: A → B → C → A", anchor=False)
    st.markdown(
        "Match A's units to B's, those to C's, and those to A's again. If all three matches agreed, each unit would "
        "come home to its own place."
    )
    cycle = chosen_rows(visible(result, config, "cycle"), view)
    column = f"{view.measure}_barrier"
    means = cycle.groupby("method", sort=False)[["home", column]].mean()
    if means.empty:
        st.caption("Choose a matching method to see it.")
    for method, (home, barrier) in zip(means.index, means.to_numpy().tolist(), strict=True):
        st.markdown(f"- **{method_label(method)}:** {_said(method, home, barrier, view)}")
    st.caption(
        "Sharma et al. (2024) found in networks of many widths that a permutation by way of a third network and a "
        "direct one agree on only about 7 to 25% of the units, even where the networks are connected. So it is not "
        "the agreement of single units that makes it work: many orders are about equally good."
    )


def _said(method: str, home: float, barrier: float, view: TriangleView) -> str:
    height = f"{readable(barrier, view.measure)}{' nats' * (view.measure == 'loss')}"
    if method in TOGETHER:
        return f"{percent(home)} of the units come home. One order for each network: all ways around agree by design."
    connected = view.measure == "error" and barrier <= CONNECTED
    joint = ", yet" if connected and home < LOW else ", and"
    size = "only " * connected
    return (
        f"{percent(home)} of the units come home{joint} the {view.split} {view.measure} barrier between A and itself "
        f"sent around is {size}{height}."
    )
