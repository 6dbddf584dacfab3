"""What is being computed, what was, and how full the store is."""

import streamlit as st

from pages.ui.run_list import drawn_from, show_results, show_running
from pages.ui.runs import engine_or_stop

st.title("Runs", anchor=False)
st.markdown("What is being computed, what has been, and how much room does it take?")
runs = engine_or_stop()
show_running(runs, drawn_from(runs))
show_results(runs.store)
