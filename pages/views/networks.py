"""The networks of the store: those that were trained, those that came with the program, and your own."""

import streamlit as st

from pages.ui.library import choose_networks, library, show_many, show_one
from pages.ui.runs import engine_or_stop
from pages.ui.upload import upload_networks

st.title("Networks", anchor=False)
st.markdown("Which networks are there, how good are they, and which of them can be compared?")
engine_or_stop()
networks = library()

upload_networks()
entries, uses = networks.networks(), networks.uses()
chosen = choose_networks(entries, uses)
if not chosen:
    st.caption("Choose a network by the box before it to see how it learned; choose two or more to compare them.")
elif len(chosen) == 1:
    show_one(chosen[0], uses.get(chosen[0].id, []))
else:
    show_many(chosen)
