"""The story on one screen, with the chosen networks, and a network small enough to permute by hand."""

import streamlit as st

from lmc.charts.barrier import path_chart
from lmc.charts.style import describe, percent
from lmc.charts.summary import mean_barriers
from pages.ui.controls import pair_labels
from pages.ui.hand import permute_by_hand
from pages.ui.picker import current, show_notes
from pages.ui.runs import result_of

config = current()
st.title("Are all trained networks the same network?", anchor=False)
st.markdown(
    "Train two networks from different random starts. Both end up good, in what look like completely different places. "
    "Perhaps they are the same network, with its hidden units in another order."
)
show_notes()
result = result_of(config)
if result is None:
    st.stop()

pair = next(iter(pair_labels(config)))
path = result.frame("path")
path = path[(path["pair"] == pair) & (path["split"] == "test")]
ends = path[path["method"] == "none"].sort_values("lam")["error"]
barriers = mean_barriers(path, "error")
labels = tuple(pair.split("-"))

first, second, third = st.columns(3)
with first.container(border=True, height="stretch"):
    st.markdown("**1. Two networks, equally good**")
    a, b = st.columns(2)
    a.metric(f"A (seed {labels[0]})", percent(ends.iloc[0]), help="Share of the 360 test digits answered wrongly")
    b.metric(f"B (seed {labels[1]})", percent(ends.iloc[-1]), help="Share of the 360 test digits answered wrongly")
    st.caption("Test error, of handwritten digits that neither network has seen.")
for column, method, title, said in (
    (second, "none", "2. The line between them is a hill", "Mix their weights, and the mixture guesses: {} above its ends."),
    (third, "weight", "3. Reorder B's units: the hill is gone", "The same two functions. What is left of the hill: {}."),
):
    with column.container(border=True, height="stretch"):
        if method == "weight" and barriers["weight"] > 0.02:
            title = "3. Reorder B's units: the hill shrinks"
        st.markdown(f"**{title}**")
        chart = path_chart(path[path["method"] == method], split="test", measure="error", labels=labels)
        chart = chart.properties(height=230)
        st.altair_chart(chart, width="stretch", alt=describe(chart), key=f"story_{method}")
        st.caption(said.format(percent(barriers[method])))

st.page_link("pages/views/pair.py", label="Explore this pair", icon=":material/arrow_forward:")
st.divider()
permute_by_hand()
