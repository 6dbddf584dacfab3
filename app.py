"""Front door: page settings, navigation and the picker. Run it with `streamlit run app.py`."""

import streamlit as st

from pages.ui.classroom import classroom_notes
from pages.ui.picker import choose
from pages.ui.turns import TURNS

if __name__ == "__main__":  # a visit
    st.set_page_config(page_title="LMC Explorer", page_icon=":material/share:", layout="wide")
    page = st.navigation(
        [
            st.Page("pages/views/home.py", title="Home", icon=":material/home:", default=True),
            st.Page("pages/views/pair.py", title="Pair", icon=":material/compare_arrows:", url_path="pair"),
            st.Page("pages/views/triple.py", title="Triangle", icon=":material/change_history:", url_path="triple"),
            st.Page("pages/views/many.py", title="Many", icon=":material/workspaces:", url_path="many"),
            st.Page("pages/views/width.py", title="Width", icon=":material/width:", url_path="width"),
            st.Page("pages/views/trajectory.py", title="Trajectory", icon=":material/timeline:", url_path="trajectory"),
            st.Page("pages/views/pruning.py", title="Pruning", icon=":material/content_cut:", url_path="pruning"),
            st.Page("pages/views/methods.py", title="Methods", icon=":material/balance:", url_path="methods"),
            st.Page("pages/views/networks.py", title="Networks", icon=":material/hub:", url_path="networks"),
            st.Page("pages/views/runs.py", title="Runs", icon=":material/list:", url_path="runs"),
        ]
    )
    with TURNS.turn():
        classroom_notes()
        choose()
        page.run()
else:  # the start of the server
    from streamlit.runtime.pages_manager import PagesManager

    # The first visit would otherwise look for pages in the folder pages/, before this file says where they are, and
    # answer a direct link to one with "page not found".
    PagesManager.uses_pages_directory = False
    app = st.App(__file__)
