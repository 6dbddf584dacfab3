"""The result of the current choice: found, or computed elsewhere while the page shows how far it is."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from lmc.engine import Engine, Status
from lmc.errors import StoreError
from lmc.experiments import METHODS, Pair
from lmc.result import Result, relabelled
from lmc.store import Store
from pages.ui.choices import BUILT_IN
from pages.ui.loaded import About, networks


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """The one engine of this server, on the default store."""
    return Engine(Store())


def known_networks() -> tuple[About, ...]:
    """What the store knows of its networks; nothing if there is no store."""
    try:
        return networks(engine().store)
    except StoreError:
        return ()


@st.cache_resource(show_spinner=False, max_entries=64)
def _finished(id: str, _engine: Engine) -> list[Result]:
    """The result `id` in a list; kept once it is there, since a result never changes."""
    found = _engine.result(id)
    if found is None:
        raise LookupError(id)
    return [found]


def computed(config: Pair) -> Pair:
    """What is computed for a choice: all methods where each takes moments, so that changing it shows at once."""
    quick = config.dataset in BUILT_IN and config.arch in ("mlp", "cnn")
    return replace(config, method=METHODS) if quick else config


def visible(result: Result, config: Pair, table: str) -> pd.DataFrame:
    """The rows of a table that belong to the chosen methods."""
    frame = result.frame(table)
    return frame[frame["method"].isin(config.method)]


def result_of(config: Pair) -> Result | None:
    """The result, or None while it is computed; then progress with a cancel button stands in its place.

    It holds all methods; `visible` gives the rows of the chosen ones.
    """
    config = computed(config)
    try:
        runs = engine()
    except StoreError as error:
        st.error(f"Nothing can be kept: {error}.", icon=":material/error:")
        return None
    id = config.id
    try:
        return relabelled(_finished(id, runs)[0], config.labels)
    except LookupError:
        pass
    status = runs.status(id)
    if status.state in ("unknown", "done"):  # done, but its file was damaged and set aside: compute it again
        runs.submit(config)
        status = runs.status(id)
    if status.state in ("failed", "stopped"):
        _ended(config, status)
    else:
        _progress(config)
    return None


def _ended(config: Pair, status: Status) -> None:
    if status.state == "stopped":
        st.info("This run was cancelled. Networks that were finished are kept.", icon=":material/cancel:")
    else:
        st.error(status.error or "The run ended without a result.", icon=":material/error:")
    st.button("Start again", icon=":material/replay:", on_click=_start, args=(config,), key="start_again")


def _start(config: Pair) -> None:
    engine().submit(config)


@st.fragment(run_every=0.5)
def _progress(config: Pair) -> None:
    runs = engine()
    status = runs.status(config.id)
    if status.state != "running":
        st.rerun()
    left = "" if status.seconds_left is None else f", about {max(1, round(status.seconds_left))} s left"
    networks = ", ".join(network.label for network in config.networks())
    with st.container(border=True):
        st.markdown(f"**Computing** {config.arch} of width {config.width} on {config.dataset}, networks {networks}")
        st.progress(min(1.0, status.share), text=f"{status.text[:1].upper()}{status.text[1:]}{left}")
        st.button("Cancel", icon=":material/cancel:", on_click=runs.cancel, args=(config.id,), key="cancel_run")
        st.caption("You can go on using the page. The run finishes also when this tab is closed.")
