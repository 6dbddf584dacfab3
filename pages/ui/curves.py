"""Learning curves of the chosen networks."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from lmc.charts.curves import curves_chart
from lmc.charts.style import describe
from lmc.experiments import Pair
from pages.ui.runs import engine

MOST = 6


def learning_curves(config: Pair) -> None:
    """Loss of the first networks over their epochs, closed until asked for."""
    networks = config.networks()[:MOST]
    with st.expander("How the networks learned", icon=":material/show_chart:"):
        tables = []
        for network in networks:
            about = engine().store.load_about(network.id)
            if about:
                tables.append(pd.DataFrame(about["curves"]).assign(network=network.label))
        if not tables:
            st.caption("The networks are no longer in the store; their curves went with them.")
            return
        chart = curves_chart(pd.concat(tables), measure="loss")
        st.altair_chart(chart, width="stretch", alt=describe(chart), key="curves_chart")
        st.caption(
            "Training loss is the mean over an epoch's batches while learning; test loss is measured at its end."
        )
