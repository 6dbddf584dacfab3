"""Every way of finding the order of the units: what it gains, what it costs, and whether they agree."""

import streamlit as st

from lmc.barriers import BASELINES
from pages.ui import captions
from pages.ui.controls import pair_controls
from pages.ui.counterexample import limit_of_the_claim
from pages.ui.curves import learning_curves
from pages.ui.downloads import show_tables, table_file, take_away
from pages.ui.figures import show
from pages.ui.methods import CHECKS, Shown, begins, compared_control, comparison_of, computed, draw_so_far
from pages.ui.methods_found import LIKENESS, Found, show_orders, show_searches, show_tradeoff
from pages.ui.methods_words import methods_in_words
from pages.ui.own import note_refused
from pages.ui.picker import current, show_notes
from pages.ui.runs import result_of

TABLES = {
    "barriers": "Barriers, above the line between the ends",
    "methods": "Seconds of every search, and the inner product of A and the reordered B",
    "agreement": "Share of units that two methods place the same",
    "decided": "How open the order of every layer is: 0 decided, 1 any order would do",
    "course": "The steps of the searches: of weight the {likeness}, of the others the lowest loss so far",
    "path": "Path",
}

picked = current()
st.title("Many ways to find the order", anchor=False)
st.markdown("Which way of finding the order of the units is worth its time?")
show_notes()
note_refused(picked, "methods", CHECKS)
methods = compared_control()
config = comparison_of(picked, methods)
view = pair_controls(config)
shown = Shown(methods, view)
result = result_of(computed(config), draw_so_far(config, shown)) if begins(config) else None

if result is not None:
    found = Found(result, config, shown)
    show("path_chart", found.curves, *found.key)
    st.markdown(f"#### {found.answer()}")
    for words in (
        captions.barrier_caption(config, result, view.split, view.measure, BASELINES[view.baseline]),
        captions.mean_caption(found.pairs, "pairs"),
        captions.correction_caption(config),
        captions.narrow_caption(config),
    ):
        if words:
            st.caption(words)
    show_tradeoff(found)
    see, attempt = st.columns(2)
    see.markdown(
        "**What you see.** All methods answer the same question: in which order do B's units fit A's? They differ in "
        "what they look at. Weight and activation matching look at the units and are done in moments. The others look "
        "at the loss halfway, which is what the barrier is made of, and descend it step by step. So they can only gain "
        "by what the units do not show, and they pay for it in time."
    )
    attempt.markdown(
        "**Try this.** "
        + (
            "Load networks that are wider: the slow methods have less to gain. "
            if config.load
            else "Take width 8, then 64: on narrow networks looking at the loss pays, on wide ones hardly. Take the "
            "seeds 0 1 2: single pairs differ by more than methods do. "
        )
        + "Leave out *none*, and the picture comes closer to the others. Give annealing ten times the swaps, under "
        "*Matching details*. Hold a layer fixed there: how much did its order matter?"
    )
    show_searches(found)
    show_orders(found)
    methods_in_words(methods)
    learning_curves(config)

st.divider()
limit_of_the_claim()

if result is not None:
    likeness = LIKENESS[config.weight_kernel]
    titles = {name: text.format(likeness=likeness) for name, text in TABLES.items()}
    show_tables(methods, {text: lambda name=name: found.table(name) for name, text in titles.items()})
    take_away(
        config,
        result,
        found.curves,
        {**shown.address(), "xor_lam": st.session_state["xor_lam"]},
        [table_file(result, config, name) for name in ("barriers", "methods", "course")],
    )
