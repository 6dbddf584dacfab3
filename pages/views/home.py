"""The story on one screen, with the chosen networks, and a network small enough to permute by hand."""

from functools import partial

import streamlit as st

from lmc.charts.story import story_chart
from lmc.charts.style import CONNECTED, method_label, network_label, percent
from lmc.charts.summary import mean_barriers
from lmc.experiments import dataset_info
from pages.ui import captions
from pages.ui.controls import pair_labels
from pages.ui.figures import show
from pages.ui.hand import permute_by_hand
from pages.ui.picker import current, show_notes
from pages.ui.runs import pair_result

SHRINKS = 0.5  # a hill of less than this share of the old one has shrunk

config = current()
st.title("Are all trained networks the same network?", anchor=False)
st.markdown(
    "Train two networks from different random starts. Both end up good, in what look like completely different places. "
    "Perhaps they are the same network, with its hidden units in another order."
)
show_notes()
result = pair_result(config)
if result is None:
    st.stop()

pair, members = next(iter(pair_labels(config).items()))
path = result.frame("path")
path = path[(path["pair"] == pair) & (path["split"] == "test")]
ends = path[path["method"] == "none"].sort_values("lam")["error"]
barriers = mean_barriers(path, "error")
matched = next((method for method in ("weight", "activation") if method in barriers), None)
hill = barriers["none"] > CONNECTED

steps = [
    (
        "none",
        "2. On the line between them lies a hill" if hill else "2. On the line between them lies no hill",
        f"Mix their weights, and the error rises up to {percent(barriers['none'])} above its ends.",
    )
]
if matched:
    left = barriers[matched]
    gone = "is gone" if left <= CONNECTED else "shrinks" if left < SHRINKS * barriers["none"] else "hardly moves"
    steps.append(
        (
            matched,
            f"3. Put B's units in another order: the hill {gone}" if hill else "3. Another order of B's units",
            f"{method_label(matched)}: B answers exactly as before. What is left of the hill: {percent(left)}.",
        )
    )
first, *others = st.columns([2, 3, 3])
with first.container(border=True, height="stretch"):
    st.markdown("**1. Two networks**")
    for name, label, error in zip("AB", captions.ends(config, members), (ends.iloc[0], ends.iloc[-1]), strict=True):
        st.metric(f"{network_label(name, label)}: right on", percent(1 - error))
    title = dataset_info(config.dataset).title
    st.caption(f"{title}: of {captions.measured_on(config, 'test')} that neither has seen.")
for column, (method, heading, said) in zip(others, steps, strict=False):
    with column.container(border=True, height="stretch"):
        st.markdown(f"**{heading}**")
        show(f"story_{method}", partial(story_chart, path, method), result.id, config.labels, pair)
        st.caption(said)

if matched and hill and barriers[matched] > CONNECTED and captions.wider(config):
    st.markdown(
        f"At width {config.width} a hill is left. **Choose the preset *Wider* on the left**, and the app trains "
        "two networks of width 512, for which it all but vanishes."
        if (config.dataset, config.arch) == ("digits", "mlp")
        else f"At width {config.width} a hill is left. **Double the width on the left** and compare."
    )
st.page_link("pages/views/pair.py", label="Explore this pair", icon=":material/arrow_forward:")
st.divider()
permute_by_hand()
