"""Front door: page settings, navigation and the picker. Run it with `streamlit run app.py`."""

import streamlit as st

from pages.ui.picker import choose

st.set_page_config(page_title="LMC Explorer", page_icon=":material/share:", layout="wide")

page = st.navigation(
    [
        st.Page("pages/views/home.py", title="Home", icon=":material/home:", default=True),
        st.Page("pages/views/pair.py", title="Pair", icon=":material/compare_arrows:", url_path="pair"),
    ]
)
choose()
page.run()
