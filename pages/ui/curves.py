"""Learning curves of the chosen networks."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from lmc.charts.curves import curves_chart
from lmc.experiments import Experiment
from pages.ui.figures import show
from pages.ui.runs import engine

MOST = 6


def learning_curves(config: Experiment) -> None:
    """Loss of the first networks over their epochs, closed until asked for; nothing for networks from files."""
    if config.load:
        return
    networks = config.networks()[:MOST]
    box = st.expander("How the networks learned", icon=":material/show_chart:", key="curves", on_change="rerun")
    if not box.open:
        return
    with box:
        tables = []
        for network in networks:
            about = engine().store.load_about(network.id)
            if about:
                tables.append(pd.DataFrame(about["curves"]).assign(network=network.label))
        if not tables:
            st.caption("The networks are no longer in the store; their curves went with them.")
            return
        curves = pd.concat(tables)
        show("curves_chart", lambda: curves_chart(curves, measure="loss"), *(network.id for network in networks))
        more = f" The first {MOST} of {len(config.networks())} networks." if len(config.networks()) > MOST else ""
        st.caption(
            f"Training loss is the mean over an epoch's batches while learning; test loss is measured at its end.{more}"
        )
