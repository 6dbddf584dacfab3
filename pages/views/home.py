"""The story on one screen, with the chosen networks, and a network small enough to permute by hand."""

from functools import partial

import streamlit as st

from lmc.charts.story import story_chart
from lmc.charts.style import CONNECTED, percent
from lmc.charts.summary import mean_barriers
from lmc.experiments import dataset_info
from pages.ui.controls import pair_labels
from pages.ui.figures import show
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

connected = barriers["weight"] <= CONNECTED
steps = (
    (
        "none",
        "2. On the line between them lies a hill",
        "Mix their weights, and the mixture guesses: {} above its ends.",
    ),
    (
        "weight",
        f"3. Put B's units in another order: the hill {'is gone' if connected else 'shrinks'}",
        "B answers exactly as before. What is left of the hill: {}.",
    ),
)
first, *others = st.columns([2, 3, 3])
with first.container(border=True, height="stretch"):
    st.markdown("**1. Two networks, equally good**")
    for name, seed, error in (("A", labels[0], ends.iloc[0]), ("B", labels[1], ends.iloc[-1])):
        st.metric(f"{name}, seed {seed}: right on", percent(1 - error))
    st.caption(f"Of {dataset_info(config.dataset).test_images} handwritten digits that neither has seen.")
for column, (method, title, said) in zip(others, steps, strict=True):
    with column.container(border=True, height="stretch"):
        st.markdown(f"**{title}**")
        show(f"story_{method}", partial(story_chart, path, method), result.id, pair)
        st.caption(said.format(percent(barriers[method])))

if not connected:
    st.markdown(
        f"At width {config.width} a small hill is left. **Choose the preset *Wider* on the left**, and the app trains "
        "two networks of width 512, for which it all but vanishes."
    )
st.page_link("pages/views/pair.py", label="Explore this pair", icon=":material/arrow_forward:")
st.divider()
permute_by_hand()
