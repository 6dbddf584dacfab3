"""Two networks along their training: one permutation for the whole history?"""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lmc.charts.trajectory import trajectory_chart
from lmc.charts.trajectory_agreement import agreement_chart
from lmc.charts.trajectory_map import map_chart
from lmc.experiments import Trajectory
from pages.ui import captions
from pages.ui.controls import measure_and_split
from pages.ui.downloads import show_tables, table_file, take_away
from pages.ui.figures import choose, show
from pages.ui.group import group_of
from pages.ui.own import note_refused
from pages.ui.picker import current, show_notes
from pages.ui.runs import result_of, visible
from pages.ui.trajectory import (
    View,
    checkpoints_control,
    checks,
    film,
    fits_so_far,
    follow_cell,
    matched_control,
    pair_control,
    single_networks,
    told,
)
from pages.ui.trajectory_instability import instability
from pages.ui.twins import control_choice, offer_twins, twins_are_shown

TABLES = {
    "alignment": "Barriers: each permutation (found at fit_epoch) at each epoch, and its agreement with the last one",
    "layers": "Agreement with the last epoch's permutation, by layer",
    "path": "The film: the line from A to B at every epoch",
    "straight": "Straight from the first weights to the last",
    "curves": "Learning curves",
}

picked = current()
st.title("One history, one permutation", anchor=False)
st.markdown(
    "Is there **one** order of hidden units that connects two networks not only when they are trained, but at every "
    "step on the way?"
)
show_notes()
if picked.load:
    st.info(
        "A file holds one moment of a network, and this page follows networks through their training. Take the loaded "
        "networks out in the sidebar to see it.",
        icon=":material/info:",
    )
    st.stop()
note_refused(picked, "trajectory", checks(picked))

*places, matching, more, pairs = st.columns([3, 3, 3, 2, 3], vertical_alignment="bottom")
measure, split = measure_and_split(places)
with matching:
    method = matched_control(picked)
with more.popover("More", icon=":material/tune:"):
    own = {"checkpoints": checkpoints_control(), "control": control_choice()}
config, said = group_of(picked, Trajectory, 2, method=("none", method), **own)
if config is None:
    st.warning(said, icon=":material/info:")
    st.stop()
with pairs:
    view = View(split=split, measure=measure, method=method, pair=pair_control(config))
twins = twins_are_shown(config)
if said:
    st.caption(said)
result = result_of(config, fits_so_far(config, view))
if result is None:
    st.stop()

look = view.look(config)
shows = (result.id, view)


def rows(table: str) -> pd.DataFrame:
    return view.rows(result.frame(table))


def chart() -> Any:
    return trajectory_chart(rows("alignment"), **look)


show("trajectory_chart", chart, *shows)
words = told(result, config, view)
st.markdown(f"#### {words.answer}")
if words.others:
    st.markdown("\n".join(f"- {sentence}" for sentence in words.others))
for caption in (
    captions.barrier_caption(config, result, split, measure, "the line between its ends"),
    "" if twins else captions.mean_caption(words.pairs, "pairs"),
    captions.correction_caption(config),
    captions.narrow_caption(config),
):
    if caption:
        st.caption(caption)

see, attempt = st.columns(2)
see.markdown(
    "**What you see.** Each line is one permutation of B. It was found at one epoch, where its ring is, and is then "
    "applied at every epoch. "
    + (
        "Twins stay the same network in another order, so each permutation that is found is *that* order: all lines "
        "lie on one another, at 0. A mistake in the permutations, in the training or in the line between A and B would "
        "show here as a hill."
        if twins
        else "Without one (thick), a hill grows within the first epochs and stays. The other thick line is the "
        "permutation of the trained networks, used backwards in time: where it stays low, one order of units fits the "
        "whole history (*simultaneous* weak linear connectivity). The first epochs' permutations come too early."
    )
)
attempt.markdown(
    "**Try this.** Take another optimizer in the sidebar, or convolutional networks: is it still 0? In single "
    "precision, rounding parts twins a little: see how much. Then go back to different networks."
    if twins
    else "**Try this.** Click epochs in the legend to see single lines. Take the seeds 0 1 2 3: single pairs differ by "
    "many points. Raise the width to 128: from which epoch on is training stable? Choose the training data, or another "
    "optimizer. Press Play below and watch the hill grow."
)

st.subheader("Every permutation at every epoch", anchor=False)
follow_cell(choose("trajectory_map", lambda: map_chart(rows("alignment"), **look), *shows))
st.caption(
    "Along a row one permutation goes through the whole training, the lowest row is none. Frames: 2 points or less, "
    "connected. Click a cell to see its epoch below."
    if measure == "error"
    else "Along a row one permutation goes through the whole training, the lowest row is none. Click a cell to see its "
    "epoch below."
)

st.subheader("Training as a film", anchor=False)
film(result, config, view)
st.caption(
    "The straight line from A to B, at every epoch that was looked at, under no permutation, under that of the last "
    "epoch and under the one found at the epoch itself. Early on both ends are bad; the barrier is the hill above them."
)

if method != "none":
    st.subheader("Do the permutations agree?", anchor=False)
    agreement = partial(agreement_chart, method=method)
    show("agreement_chart", lambda: agreement(rows("alignment"), rows("layers")), *shows)
    st.caption(
        "The share of units that each permutation places just as the last one does; that one agrees with itself. By "
        "chance one unit in a layer would. Permutations that place many units differently can be as good: some units "
        "are alike, and some matter little."
    )

single_networks(result, config, view)
instability(config, split=split, measure=measure)
if not twins:
    offer_twins("every epoch")

show_tables(config.method, {text: partial(visible, result, config, name) for name, text in TABLES.items()})
address = {**view.address(), "method": list(picked.method)}
files = [table_file(result, config, name) for name in ("alignment", "layers", "path")]
take_away(config, result, chart, address, files)
