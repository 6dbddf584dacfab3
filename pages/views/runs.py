"""What is being computed, what was, and how full the store is."""

import streamlit as st

from lmc.errors import StoreError
from pages.ui.run_list import drawn_from, show_results, show_running
from pages.ui.runs import engine

st.title("Runs", anchor=False)
st.markdown("What is being computed, what has been, and how much room does it take?")
try:
    runs = engine()
except StoreError as error:
    st.error(f"Nothing can be kept: {error}.", icon=":material/error:")
    st.stop()

show_running(runs, drawn_from(runs))
show_results(runs.store)
