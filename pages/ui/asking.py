"""Runs that begin when somebody asks for them, with a button below words on what they cost."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from lmc.experiments import Experiment
from pages.ui.runs import engine_or_stop, session

_ASKED = "_asked"  # ids of the runs that were asked for, or are there


def asked(config: Experiment, words: Callable[[], str], label: str = "Compute") -> bool:
    """Whether somebody asked for the run, or it is there or going on. If not, `words()` and a button are drawn."""
    known: set[str] = st.session_state.setdefault(_ASKED, set())
    if config.id in known:
        return True
    runs = engine_or_stop()
    if runs.result(config.id) is not None or runs.status(config.id, session()).active:
        known.add(config.id)
        return True
    with st.container(border=True):
        st.markdown(words())
        st.button(
            label, icon=":material/play_arrow:", type="primary", key=f"ask_{config.name}", on_click=known.add,
            args=(config.id,),
        )  # fmt: skip
    return False
