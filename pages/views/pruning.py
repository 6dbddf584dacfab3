"""Two networks that are pruned level by level, and the order of hidden units that fits them."""

from functools import partial

import streamlit as st

from lmc.charts.pruning import agreement_chart, networks_chart, pruning_chart
from lmc.experiments import Pruning
from pages.ui import captions
from pages.ui.curves import learning_curves
from pages.ui.downloads import show_tables, table_file, take_away
from pages.ui.figures import show
from pages.ui.group import group_of
from pages.ui.own import note_refused
from pages.ui.picker import current, show_notes
from pages.ui.pruning import (
    CHECKS,
    answer,
    begins,
    draw_so_far,
    look_of,
    pruning_settings,
    what_to_try,
)
from pages.ui.pruning_masks import show_masks, show_transport
from pages.ui.runs import result_of, visible
from pages.ui.twins import offer_twins, twins_are_shown

TABLES = {
    "levels": "Barriers at every level, the errors of both networks, and how far dense and sparse permutations agree",
    "masks": "Masks: what is kept in every layer, and the share of it that both keep",
}

picked = current()
st.title("Pruned, and still aligned?", anchor=False)
st.markdown("Two networks lose more and more weights: does the order of units that fitted them **before** still fit?")
show_notes()
if picked.load:
    st.info(
        "A network from a file is one moment, and this page trains networks again after every pruning. Take the loaded "
        "networks out in the sidebar to see it.",
        icon=":material/info:",
    )
    st.stop()

note_refused(picked, "pruning", CHECKS)
settings, view, gave_way = pruning_settings(picked)
config, said = group_of(picked, Pruning, least=2, **settings)
if config is None:
    st.warning(said, icon=":material/info:")
    st.stop()
twins = twins_are_shown(config)
if not begins(config):
    st.stop()
result = result_of(config, draw_so_far(config, view))
if result is None:
    st.stop()

levels, look = result.frame("levels"), look_of(config, view)
chart = partial(pruning_chart, levels, **look)
show("pruning_chart", chart, result.id, view)
st.markdown(f"#### {answer(result, config, view)}")
for words in (
    f"{said} {gave_way}".strip(),
    captions.barrier_caption(config, result, view.split, view.measure, "the line between its ends"),
    captions.mean_caption(len(config.members()), "pairs"),
    captions.correction_caption(config),
    captions.narrow_caption(config),
):
    if words:
        st.caption(words)

see, attempt = st.columns(2)
see.markdown(
    "**What you see.** On the left stand the networks as they were trained. Every step to the right takes away the "
    f"smallest {config.prune:.0%} of the weights that are left, puts the others back to their values after epoch "
    f"{config.rewind}, and trains again from there. B's units are not reordered, or stand in the order that matched "
    "the two networks before pruning, or in one found anew. As long as the order from before keeps the barrier low, "
    "*one* order serves at every level: *simultaneous weak* linear connectivity."
)
attempt.markdown(f"**Try this.** {what_to_try(config)}")

left, right = st.columns(2)
with left:
    st.subheader("Are they still good?", anchor=False)
    show("networks_chart", partial(networks_chart, levels, split=view.split), result.id, view.split)
    st.caption("The error of every pruned network by itself; the thick line is their mean.")
with right:
    st.subheader("Is it still the same order?", anchor=False)
    if view.matched == "none":
        st.caption("Choose a matching method in the sidebar to see how far its permutations agree.")
    else:
        agreement = partial(agreement_chart, levels, methods=[view.matched])
        show("agreement_chart", agreement, result.id, view.matched)
        st.caption(
            "The share of units that the dense networks' permutation and the one found at a level put in the same "
            "place. Both may do their work and still differ: there are many good orders."
        )

masks = show_masks(result, config, view)
transport = show_transport(config, view, masks.level, levels)
if not twins:
    offer_twins("every level")
learning_curves(config)

tables = {text: partial(visible, result, config, name) for name, text in TABLES.items()}
files = [table_file(result, config, name) for name in TABLES]
if transport is not None:
    tables["B under other masks"] = partial(visible, transport, config, "transport")
    files.append(table_file(transport, config, "transport"))
show_tables(config.method, tables)
take_away(config, result, chart, {**view.address(), **masks.address()}, files)
