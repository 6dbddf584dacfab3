"""Three networks: the triangle between them, and one order of hidden units for each."""

from dataclasses import replace
from functools import partial

import streamlit as st

from lmc.charts.edges import edges_chart
from lmc.charts.references import references_chart
from lmc.charts.triangle import triangle_charts
from lmc.charts.triple_answer import triple_answer, verdicts
from lmc.experiments import Triple
from pages.ui import captions
from pages.ui.curves import learning_curves
from pages.ui.downloads import show_tables, table_file, take_away
from pages.ui.figures import choose, show
from pages.ui.group import group_controls, group_of, methods_of, together_control
from pages.ui.landscape import landscape
from pages.ui.own import note_refused
from pages.ui.picker import current, show_notes
from pages.ui.runs import result_of, visible
from pages.ui.triangle import (
    chosen_rows,
    chosen_spot,
    first_spot,
    order_control,
    side_control,
    triangle_checks,
    triples_so_far,
    view_of,
)
from pages.ui.triangle_answers import show_answers
from pages.ui.triangle_cycle import show_cycle

TABLES = {
    "barriers": "Barriers: edges above the line between their ends, triangles above the flat surface through corners",
    "simplex": "The triangle: each row one merged network, with the share of each of the three",
    "path": "The edges",
    "via": "Two networks via the third, and matched to each other",
    "cycle": "Once around",
}

picked = current()
st.title("Three networks, one triangle", anchor=False)
st.markdown(
    "Is there **one** order of hidden units for each of three networks so that all of them are connected at once?"
)
show_notes()
networks, said = group_of(picked, Triple)
if networks is None:
    st.info(said, icon=":material/info:")
    st.stop()
note_refused(networks, "triple", triangle_checks(networks))

*places, matching, order, more = st.columns([3, 3, 5, 3, 2.5], vertical_alignment="bottom")
shown = group_controls(places)
with matching:
    together = together_control()
with order:
    ordered, triple = order_control(networks)
with more.popover("Finer", icon=":material/grid_on:"):
    side = side_control()
config = replace(ordered, method=methods_of(picked, together), side=side)
if said:
    st.caption(said)
result = result_of(config, triples_so_far(config, shown))
if result is None:
    st.stop()

view = view_of(config, shown, triple)
resolution = 1 / captions.measured(config, view.split)
look = {"split": view.split, "measure": view.measure}
shows = (result.id, config.labels, view)
simplex, path, via, barriers = (
    chosen_rows(visible(result, config, name), view) for name in ("simplex", "path", "via", "barriers")
)
found = verdicts(barriers, split=view.split) if view.measure == "error" else None
chart = partial(triangle_charts, simplex, **look, labels=view.corner_labels, methods=view.maps, beneath=found)
first = first_spot(view.maps)
ringed = partial(chart, spot=(first.method, first.weights))
spot = chosen_spot(choose("triangle", ringed, *shows, first), view.maps)
answer = partial(triple_answer, barriers, **look, width=config.width, wider=captions.wider(config))
st.markdown(f"#### {answer(resolution=resolution)}")
for words in (
    captions.excess_caption(config, result, view.split, view.measure),
    captions.mean_caption(simplex["triple"].nunique(), "triples"),
    captions.correction_caption(config),
    captions.narrow_caption(config),
):
    if words:
        st.caption(words)
see, attempt = st.columns(2)
see.markdown(
    "**What you see.** Each corner is a trained network, each point inside one merged network: all its weights are "
    "mixtures, with more of the corner that is near. Where there is no colour it is as good as the corners; the "
    "stronger the colour, the worse. Networks are connected where no mixture of them has more than 2 points of "
    "error over what they have. For the error, the words below each triangle say which connectivity that makes.\n\n"
    "- **Weak** linear connectivity (modulo permutation): any *two* of the networks can be reordered so that no hill "
    "lies between them, but each pair may need an order of its own. In the picture: A–B, A–C and *B–C direct* are "
    "flat, yet *B–C via A*, the lower side of the triangle, is not.\n"
    "- **Strong**: *one* order for each network is good for all pairs at once. In the picture: no colour in the "
    "whole triangle, nor on its lower side.\n"
    "- **Neither**: there is a hill also on the direct lines."
)
attempt.markdown(
    "**Try this.** Choose another reference, and another side becomes the worst one. Add merge_many: no network "
    "is the reference, so all three sides share the cost. "
    + (
        "Load more networks of the same shape: single triples differ by many points."
        if config.load
        else "Raise the width to 192, then 512, and read the words below the triangles: weak connectivity comes first, "
        "as a rule, then strong. Take the seeds 0 1 2 3 4 5: single triples differ by many points."
    )
)
show_answers(result, config, view, spot)

st.subheader("The edges: B–C via A against B–C direct", anchor=False)
edges = partial(edges_chart, path, **look, labels=view.corner_labels, resolution=resolution)
show("edges", edges, *shows)
st.caption(
    "The last two join the same networks. Via A: B and C were each matched to A, and stand in the orders of the "
    "triangle. Direct: C was matched to B, and A was not asked. "
    + captions.barrier_caption(config, result, view.split, view.measure, "the line between its ends")
)
st.subheader("Another network in the middle", anchor=False)
references = partial(references_chart, via, **look, labels=view.corner_labels, resolution=resolution)
show("references", references, *shows)
st.caption(
    "Each of the three can be the one that the other two are matched to. Empty: matched to each other. Full: each "
    "matched to the third. The further they are apart, the more it costs that one order has to fit two others."
)
show_cycle(result, config, view)

landscape(config, view.members, split=view.split, measure=view.measure)
learning_curves(config)

show_tables(config.method, {text: partial(visible, result, config, name) for name, text in TABLES.items()})
take_away(
    config,
    result,
    chart,
    {**view.address(), "spot": spot.word},
    [table_file(result, config, name) for name in ("barriers", "simplex", "via")],
)
