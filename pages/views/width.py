"""How barriers fall as networks get wider."""

from functools import partial

import streamlit as st

from lmc.charts.width import comparison_label, width_chart
from lmc.experiments import Width
from pages.ui import captions
from pages.ui.address import link
from pages.ui.downloads import show_tables, table_file, take_away
from pages.ui.figures import choose
from pages.ui.group import group_controls, group_of, methods_of, together_control
from pages.ui.own import note_refused
from pages.ui.picker import current, show_notes
from pages.ui.runs import result_of
from pages.ui.widths import (
    CHECKS,
    answers,
    begins,
    comparison_control,
    crossing_caption,
    draw_so_far,
    in_full,
    look_of,
    most_triples,
    name_of,
    triple_at,
    widths_control,
)

picked = current()
st.title("Wider and wider", anchor=False)
st.markdown("How wide must networks be until they are connected?")
show_notes()
if picked.load:
    st.info(
        "Networks from files have one width, and this page trains networks of many. Take the loaded networks out in "
        "the sidebar to see it.",
        icon=":material/info:",
    )
    st.stop()

note_refused(picked, "width", CHECKS)
left, right = st.columns([1, 3], vertical_alignment="top")
with left:
    widths = widths_control(picked.arch)
with right:
    comparisons = comparison_control()
*places, matching = st.columns([3, 3, 5], vertical_alignment="top")
view = group_controls(places)
with matching:
    together = together_control()
own = {"widths": widths, "method": methods_of(picked, together), "groups": most_triples(picked)}
config, said = group_of(picked, Width, width=None, **own)
if config is None:
    st.warning(said, icon=":material/info:")
    st.stop()
if not begins(config):
    st.stop()
result = result_of(config, draw_so_far(config, view, comparisons))
if result is None:
    st.stop()

table = result.frame("widths")
look = look_of(config, view)
chart = partial(width_chart, table, comparisons=comparisons, methods=config.method, **look)
spot = choose("width_chart", chart, result.id, view, comparisons)
triples = table["triple"].nunique()
triple = triple_at(config, spot) if spot else None
if triple is None:
    faint = "Every point is" if triples == 1 else "Every faint point is"
    st.caption(f"{faint} a triple of networks: click it to look into its triangle.")
else:
    st.link_button(
        f"Look into triple {name_of(triple)} at width {triple.width}",
        link(in_full(triple), view.address()),
        icon=":material/change_history:",
    )
first, *others = answers(result.id, table, comparisons, look)
st.markdown(f"#### {first}")
st.markdown("\n".join(f"- {sentence}" for sentence in others))
for words in (
    f"{said} Networks are trained at every width of the list; the width in the sidebar does not matter.".strip(),
    captions.excess_caption(config, result, view.split, view.measure),
    captions.mean_caption(triples, "triples"),
    crossing_caption(triples) if view.measure == "error" else "",
    captions.correction_caption(config),
):
    if words:
        st.caption(words)

see, attempt = st.columns(2)
see.markdown(
    "**What you see.** From left to right networks get wider, and barriers fall. As a rule two networks matched to "
    "each other come below the dotted line first: that is *weak* connectivity. Both matched to a third, each has one "
    "order of its units that has to do for every partner: that is *strong* connectivity, and it takes more width. The "
    "whole triangle asks for it everywhere between all three."
)
more = (
    "Take six seeds: they make twenty triples, of which five are drawn, and every point gets an interval."
    if triples == 1
    else "Draw more triples with *Most pairs* in the sidebar: the intervals shrink."
)
attempt.markdown(
    f"**Try this.** {more} Type 512 after the last width. Match all at once with merge_many: does the triangle come "
    "down sooner? Click a point that lies far from its mean."
)

named = {"comparison": {name: comparison_label(name) for name in table["comparison"].unique()}}
show_tables(config.method, {"": lambda: table.replace(named)})
shown = {**view.address(), "comparison": [comparison_label(name) for name in comparisons]}
take_away(config, result, chart, shown, [table_file(result, config, "widths")])
