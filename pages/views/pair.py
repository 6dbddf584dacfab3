"""Two networks and the straight line between them."""

from functools import partial

import streamlit as st

from lmc.barriers import BASELINES
from lmc.charts.answer import pair_answer
from lmc.charts.barrier import barrier_bars, path_chart
from pages.ui import captions
from pages.ui.controls import ALL, keep_lam, pair_controls
from pages.ui.curves import learning_curves
from pages.ui.downloads import networks_file, show_tables, table_file, take_away
from pages.ui.figures import show
from pages.ui.landscape import landscape
from pages.ui.match import show_match
from pages.ui.picker import current, show_notes
from pages.ui.player import lambda_player
from pages.ui.player_data import player_data
from pages.ui.runs import pair_result, visible

TABLES = {"barriers": "Barriers, above the line between the ends", "path": "Path", "layers": "Layers"}

config = current()
st.title("Two networks, one line", anchor=False)
st.markdown(
    "Is there a hill on the straight line between two trained networks, and does reordering hidden units remove it?"
)
show_notes()
result = pair_result(config)
if result is None:
    st.stop()

view = pair_controls(config)
path = visible(result, config, "path")
if view.pair != ALL:
    path = path[path["pair"] == view.pair]
resolution = 1 / captions.measured(config, view.split)
look = {"split": view.split, "measure": view.measure, "baseline": view.baseline, "resolution": resolution}
chart = partial(path_chart, path, **look, lam=view.lam, labels=view.end_labels)
show("path_chart", chart, result.id, config.labels, config.method, view)
st.markdown(f"#### {pair_answer(path, width=config.width, wider=captions.wider(config), **look)}")
st.caption(captions.barrier_caption(config, result, view.split, view.measure, BASELINES[view.baseline]))
for said in (captions.correction_caption(config), captions.narrow_caption(config)):
    if said:
        st.caption(said)

if view.pair == ALL and view.baseline == "line":
    barriers = visible(result, config, "barriers")
    bars = partial(barrier_bars, barriers, split=view.split, measure=view.measure, resolution=resolution)
    show("barrier_bars", bars, result.id, config.labels, config.method, view)
    st.caption(
        "Mean barrier of each method with its 95% interval over the pairs, never narrower than one answer. Pairs share "
        "networks, so they are less independent than the interval assumes."
    )

networks = captions.named(config, view.members)
st.subheader("What the network in between answers", anchor=False)
lambda_player(player_data(result, config, view.one, view.split), "player", view.lam, split=view.split, on_rest=keep_lam)
st.caption(f"{networks}. λ = 0 is network A, λ = 1 is network B; in between every weight is mixed in that proportion.")

see, attempt = st.columns(2)
see.markdown(
    "**What you see.** At the ends stand the two networks as they were trained. In between, every weight is a mixture. "
    "Their hidden units learned similar jobs but stand in different places, so without a permutation the mixture "
    "mixes jobs. Matching moves B's units to the places of their likes in A, and changes nothing about what B answers."
)
attempt.markdown(
    "**Try this.** Add the random permutation: it is no better than none. Look at the training data: is the hill lower "
    "there? Load further networks of the same shape: single pairs differ by many points."
    if config.load
    else "**Try this.** Raise the width and watch the hill shrink. Take six seeds: single pairs differ by many points. "
    "Add the random permutation: it is no better than none. Give both networks seed 0 and other data orders: some "
    f"hills come from the order of the {captions.noun(config)} alone."
)

show_match(result, config, view.one, networks)
landscape(config, view.members, split=view.split, measure=view.measure)
learning_curves(config)

show_tables(config.method, {text: partial(visible, result, config, name) for name, text in TABLES.items()})
take_away(
    config,
    result,
    chart,
    view.address(),
    [*(table_file(result, config, name) for name in ("path", "barriers")), networks_file(config, result, view.members)],
)
