"""Many networks, one order for each."""

import streamlit as st

st.title("Many networks, one middle", anchor=False)
