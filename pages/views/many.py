"""Many networks, one order for each, and the network in the middle of them all."""

from dataclasses import replace
from functools import partial

import streamlit as st

from lmc.charts.many import merged_chart
from lmc.charts.triple_answer import many_answer
from lmc.experiments import Many
from pages.ui import captions
from pages.ui.curves import learning_curves
from pages.ui.downloads import show_tables, table_file, take_away
from pages.ui.figures import show
from pages.ui.group import group_controls, group_of, methods_of, together_control
from pages.ui.middle import middle_table
from pages.ui.own import check_option, check_together, note_refused, number_control
from pages.ui.picker import current, show_notes
from pages.ui.runs import result_of, visible

TABLES = {
    "merged": "The network in the middle, the networks it was made from, and their ensemble",
    "barriers": "Barriers: pairs above the line between them, all together above the flat surface through them",
    "simplex": "All that was measured: each row one merged network, with the share of each of the networks",
}

picked = current()
st.title("Many networks, one middle", anchor=False)
st.markdown("Can many networks be merged into one that is as good as each of them?")
show_notes()
networks, said = group_of(picked, Many)
if networks is None:
    st.info(said, icon=":material/info:")
    st.stop()
note_refused(networks, "many", {"together": check_together, "samples": check_option(Many, "samples")})

*places, matching, more = st.columns([3, 3, 6, 3], vertical_alignment="bottom")
view = group_controls(places)
with matching:
    together = together_control()
with more.popover("Finer", icon=":material/grid_on:"):
    meaning = "Random mixtures of all the networks that are measured, besides the middle and the lines between two."
    samples = number_control(Many, "samples", "Random mixtures", meaning)
config = replace(networks, method=methods_of(picked, together), samples=samples)
if said:
    st.caption(said)
result = result_of(config, lambda _: None)  # the whole group is one part
if result is None:
    st.stop()

look = {"split": view.split, "measure": view.measure, "resolution": 1 / captions.measured(config, view.split)}
merged, barriers = (visible(result, config, name) for name in ("merged", "barriers"))
chart = partial(merged_chart, merged, **look)
show("merged", chart, result.id, config.labels, view)
st.markdown(f"#### {many_answer(merged, barriers, **look, width=config.width)}")
for words in (
    captions.excess_caption(config, result, view.split, view.measure),
    captions.correction_caption(config),
    captions.narrow_caption(config),
):
    if words:
        st.caption(words)

st.subheader("How high it is between them", anchor=False)
st.dataframe(middle_table(barriers, view), hide_index=True)
st.caption(
    f"Barriers of the {view.split} {view.measure}{' in nats' * (view.measure == 'loss')}: in the middle of all "
    f"{len(config.networks())} networks; the highest of all mixtures that were measured, {samples} of them random; the "
    "highest on a line between two networks."
    + " All connected: none is above 2 points, which is strong connectivity."
    * (view.measure == "error")
)

see, attempt = st.columns(2)
see.markdown(
    "**What you see.** The merged network has the mean of all weights, so it is as small and as fast as one of them. "
    "The ensemble asks every network and takes the mean of their answers: as good as it gets, but as slow as all of "
    "them together. If one order for each network makes all of them connected (strong linear connectivity), the "
    "merged one is as good as its parents. The fourth and the tenth network are then no harder than the third."
)
attempt.markdown(
    "**Try this.** Add merge_many and cycle_consistent above: the others match each network to the first, so two that "
    "are not the first never see each other. "
    + (
        "Load more networks of the same shape."
        if config.load
        else "Take the seeds 0 1 2 3 4 5 and see whether more networks make it worse. Raise the width to 128, then 512."
    )
)
learning_curves(config)

show_tables(config.method, {text: partial(visible, result, config, name) for name, text in TABLES.items()})
take_away(config, result, chart, view.address(), [table_file(result, config, name) for name in TABLES])
