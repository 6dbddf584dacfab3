"""A run that is not finished: what it does, how far it is, what it has so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lmc.charts.barrier import path_chart
from lmc.charts.growing_curves import ROWS, growing_curves
from lmc.charts.style import describe, method_label, network_label, percent
from lmc.engine import Engine, Status
from lmc.experiments import Experiment, Pair, dataset_info, get_architecture
from pages.ui.captions import measured
from pages.ui.figures import show
from pages.ui.live import SoFar, forget, so_far

EVERY = 0.7  # seconds between two looks; thirty pages may look at once
LET_GO = "_let_go"  # ids of runs that go on for others, but not for this page


Partly = Callable[[dict[str, pd.DataFrame]], None]
"""Draws the tables that a run has so far, if there is something to draw; searches that go on are the table `steps`."""


@st.fragment(run_every=EVERY)
def show_progress(
    config: Experiment, partly: Partly, runs: Engine, session: str, cancel: Callable[[str], None]
) -> None:
    """Draw the run with what it has, again and again until it has ended; then run the page again."""
    if config.id in st.session_state.get(LET_GO, ()):  # before asking, which would count as watching
        st.rerun()
    status = runs.status(config.id, session)
    if not status.active:
        st.rerun()
    _card(config, status, cancel)
    if status.state == "running":
        names = _names(config)
        found = so_far(runs, config, names)
        _curves(config, found, names)
        tables = found.tables if found.steps.empty else {**found.tables, "steps": found.steps}
        if tables:
            partly(tables)
    else:
        forget(config)


def _card(config: Experiment, status: Status, cancel: Callable[[str], None]) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.markdown(f"**Computing** {in_words(config)}", width="stretch")
            st.button(
                "Cancel",
                icon=":material/cancel:",
                on_click=cancel,
                args=(config.id,),
                key="cancel_run",
                help="Others who watch this run keep it."
                if status.watchers
                else "Networks that are finished are kept.",
            )
        st.progress(min(1.0, status.share), text=doing(status))
        others = watching(status.watchers)
        st.caption(
            " ".join(filter(None, (others, "You can go on using the page; the run also goes on without this tab.")))
        )


def in_words(config: Experiment) -> str:
    """`Multi-layer perceptron of width 32 on Digits, seeds 0 and 1`."""
    labels = list(dict.fromkeys(network.label for network in config.networks()))
    names = f"{', '.join(labels[:-1])} and {labels[-1]}"
    kind = "networks" if config.load else "seeds"
    title = dataset_info(config.dataset).title.split(" (")[0]
    widths = getattr(config, "widths", (config.width,))
    width = f"width {widths[0]}" if len(widths) == 1 else f"widths {widths[0]} to {widths[-1]}"
    return f"{get_architecture(config.arch).title} of {width} on {title}, {kind} {names}"


def doing(status: Status) -> str:
    """What an active run does now, and how long it will take: `Training, epoch 3 of 60 · about 20 s left`."""
    if status.state == "starting":
        return "The workers are starting; that takes a few seconds."
    if status.state == "waiting":
        return turn(status.position)
    text = f"{status.text[:1].upper()}{status.text[1:]}"
    left = "" if status.seconds_left is None else time_left(status.seconds_left)
    return f"{status.share:.0%} · " + " · ".join(filter(None, (text, left)))


def turn(position: int, whose: str = "yours") -> str:
    """How many waiting runs come before `whose`; position 1 is the next to begin."""
    if position <= 1:
        return f"Waiting for a free worker. {whose.capitalize()} is next."
    before = position - 1
    return f"Waiting for a free worker. {before} {'runs are' if before > 1 else 'run is'} before {whose}."


def time_left(seconds: float) -> str:
    """`about 20 s left`: as coarse as it is uncertain."""
    if seconds < 4:
        return "a few seconds left"
    if seconds < 20:
        return f"about {math.ceil(seconds)} s left"
    if seconds < 55:
        return f"about {10 * math.ceil(seconds / 10)} s left"
    if seconds < 5400:
        return f"about {max(1, round(seconds / 60))} min left"
    return f"about {round(seconds / 3600)} h left"


def watching(pages: int, other: str = "other") -> str:
    """How many pages look at the run, `other` than this one; empty for none."""
    if not pages:
        return ""
    return f"1 {other} is watching." if pages == 1 else f"{pages} {other}s are watching."


def _curves(config: Experiment, found: SoFar, names: dict[str, str]) -> None:
    """The learning curves as they grow. The spec stays the same, so the browser only takes in the new rows."""
    if not found.curves.num_rows:
        return
    spec, text = _frame_of_curves(tuple(names.items()), config.recipe.epochs)
    st.vega_lite_chart(spec={**spec, "datasets": {ROWS: found.curves}}, width="stretch", key="growing_curves", alt=text)


@st.cache_resource(show_spinner=False, max_entries=64)
def _frame_of_curves(names: tuple[tuple[str, str], ...], epochs: int) -> tuple[dict[str, Any], str]:
    chart = growing_curves(dict(names), epochs)
    return chart.to_dict(), describe(chart)


def _names(config: Experiment) -> dict[str, str]:
    networks = config.used()
    if len(networks) > 3:
        return {network.id: f"seed {network.label}" for network in networks}
    return {network.id: network_label("ABC"[i], network.label) for i, network in enumerate(networks)}


def pairs_so_far(config: Pair, methods: tuple[str, ...]) -> Partly:
    """What draws the path of the pairs that are done, as their mean."""

    def draw(tables: dict[str, pd.DataFrame]) -> None:
        path, barriers = (_visible(tables[name], methods) for name in ("path", "barriers"))
        done = path["pair"].nunique()
        st.markdown(f"**{done} of {len(config.parts())} pairs** are compared. So far, {_means(barriers)}.")
        chart = partial(path_chart, path, resolution=1 / measured(config, "test"))
        show("path_so_far", chart, config.id, done, methods)

    return draw


def _visible(table: pd.DataFrame, methods: tuple[str, ...]) -> pd.DataFrame:
    return table[table["method"].isin(methods)]


def _means(barriers: pd.DataFrame) -> str:
    test = barriers[barriers["split"] == "test"]
    means = test.groupby("method", sort=False)["error_barrier"].mean()
    found = ", ".join(f"{method_label(str(name)).lower()} {percent(value)}" for name, value in means.items())
    return f"mean test error barriers: {found}"
