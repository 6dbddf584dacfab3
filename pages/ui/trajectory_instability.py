"""The same start with another data order, behind an expander: trained when somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lmc.charts.instability import instability_answer, instability_chart
from lmc.errors import InputError
from lmc.experiments import Instability, Trajectory
from lmc.experiments.instability import USUAL
from lmc.experiments.spelling import command, value_of
from pages.ui import captions
from pages.ui.figures import show
from pages.ui.runs import result_of

START = " ".join(map(str, USUAL))


def instability(config: Trajectory, *, split: str, measure: str) -> None:
    """Draw the section; it is open where the address has its setting."""
    st.session_state.setdefault("instability", "forks" in st.query_params)
    section = st.expander(
        "Linear connectivity without a permutation: one start, another data order",
        icon=":material/call_split:",
        key="instability",
        on_change="rerun",
    )
    if not section.open:
        return
    with section:
        st.markdown(
            "Each network is compared with a copy of itself that sees the images in another order from epoch *k* on. "
            "Nothing is permuted. From which *k* on do the two end without a hill between them?"
        )
        try:
            asked = instability_of(config, _forks())
        except InputError as error:
            st.warning(f"{error}", icon=":material/info:")
            return
        look = {
            "split": split,
            "measure": measure,
            "resolution": 1 / captions.measured(config, split) if measure == "error" else None,
        }
        _draw(asked, look)


def instability_of(config: Trajectory, forks: tuple[int | float | str, ...]) -> Instability:
    """The same networks, each with copies that part from it at `forks`. May raise InputError."""
    own = ("method", "forks")
    values: dict[str, Any] = {f.name: getattr(config, f.name) for f in fields(Instability) if f.name not in own}
    return Instability(**values, forks=forks)  # type: ignore[arg-type]


def _forks() -> tuple[int | float | str, ...]:
    given = st.text_input(
        "Epochs from which the order differs",
        START,
        key="forks",
        bind="query-params",
        placeholder=START,
        help="A copy of each network is trained for each of these epochs; 0: another order from the start.",
    )
    return tuple(value_of(word) for word in (given or START).replace(",", " ").split())


def _draw(config: Instability, look: Mapping[str, Any]) -> None:
    result = result_of(config, partial(_so_far, config, look))
    if result is None:
        return
    table = result.frame("instability")
    show("instability_chart", partial(instability_chart, table, **look), result.id, *look.values())
    st.markdown(f"**{instability_answer(table, split=look['split'], measure=look['measure'])}**")
    networks = table["network"].nunique()
    mean = f"The mean over {networks} networks; faint points are single ones. " if networks > 1 else ""
    st.caption(
        f"{mean}This is the instability analysis of Frankle et al. (2020). Measured on "
        f"{captions.measured_on(config, look['split'])}. The same numbers without the app: `{command(config)}`"
    )


def _so_far(config: Instability, look: Mapping[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    table = tables["instability"]
    if not table.empty:
        st.markdown(f"**{len(table) // 2} of {len(config.members())} copies** are compared.")
        chart = partial(instability_chart, table, **look)
        show("instability_so_far", chart, config.id, len(table), *look.values())
