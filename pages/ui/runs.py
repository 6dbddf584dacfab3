"""The result of the current choice: found, or computed elsewhere while the page shows how far it is."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace

import pandas as pd
import streamlit as st

from lmc.engine import Engine, EngineError, Status
from lmc.errors import InputError, StoreError
from lmc.experiments import INSTANT, Experiment, Pair
from lmc.result import Result, relabelled
from lmc.store import Store
from pages.ui.choices import BUILT_IN
from pages.ui.classroom import refusal
from pages.ui.live import forget
from pages.ui.loaded import About, networks
from pages.ui.progress import LET_GO, Partly, pairs_so_far, show_progress

OWN = "_own_runs"  # ids of the runs that this page asked for
_CANCELLED = "_cancelled"  # ids of runs that this page stopped, perhaps before the engine heard of them
_REFUSED = "_refused"
FIRST_PAGE = 2.0  # seconds that the first page has the machine to itself


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """The one engine of this server, on the default store; its process starts when the first page has been drawn."""
    found = Engine(Store())
    later = threading.Timer(FIRST_PAGE, found.start)
    later.daemon = True
    later.start()
    return found


def engine_or_stop() -> Engine:
    """The engine; where there can be no store the page says so and ends here."""
    try:
        return engine()
    except StoreError as error:
        st.error(f"Nothing can be kept: {error}.", icon=":material/error:")
        st.stop()


def session() -> str:
    """What the engine knows this browser tab by."""
    if "_session" not in st.session_state:
        st.session_state["_session"] = secrets.token_hex(8)
    return str(st.session_state["_session"])


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
    """What is computed for a choice: where methods take moments also those not chosen, so that they show at once."""
    quick = config.dataset in BUILT_IN and config.arch in ("mlp", "cnn")
    return replace(config, method=(*INSTANT, *config.method)) if quick else config


def visible(result: Result, config: Experiment, table: str) -> pd.DataFrame:
    """The rows of a table that belong to the chosen methods; all of a table that knows no methods."""
    frame = result.frame(table)
    return frame[frame["method"].isin(config.method)] if "method" in frame else frame


def pair_result(config: Pair) -> Result | None:
    """The result of the pairs, see `result_of`. It holds all methods; `visible` gives the rows of the chosen ones."""
    return result_of(computed(config), pairs_so_far(config, config.method))


def result_of(config: Experiment, partly: Partly) -> Result | None:
    """The result, or None while it is computed; then progress with a cancel button stands in its place.

    Tables that are there meanwhile are drawn by `partly`.
    """
    runs = engine_or_stop()
    try:
        return relabelled(_finished(config.id, runs)[0], config.labels)
    except LookupError:
        pass
    if config.id in st.session_state.get(LET_GO, ()) and runs.status(config.id).active:  # nobody's question
        _goes_on_for_others(config)
        return None
    st.session_state.get(LET_GO, set()).discard(config.id)
    refused = st.session_state.pop(_REFUSED, "")
    status = standing(config.id)
    if not refused and status.state in ("unknown", "done"):  # done, but its file was damaged: compute it again
        refused = submit(config)
        status = standing(config.id)
    if refused:
        _refused(config, refused)
    elif status.state in ("failed", "stopped"):
        _ended(config, status)
    else:
        show_progress(config, partly, runs, session(), cancel)
    return None


def standing(id: str) -> Status:
    """How a run stands, for this page: one that it stopped before the engine heard of it was stopped."""
    status = engine().status(id, session())
    if status.state == "unknown" and id in st.session_state.get(_CANCELLED, ()):
        return Status("stopped")
    return status


def submit(config: Experiment) -> str:
    """Ask for a run; the reason if it was refused."""
    forget(config)
    for ids in (LET_GO, _CANCELLED):
        st.session_state.get(ids, set()).discard(config.id)
    if refused := refusal(config):
        return refused
    try:
        st.session_state.setdefault(OWN, set()).add(engine().submit(config, session()))
    except (InputError, EngineError) as error:
        return str(error)
    return ""


def cancel(id: str) -> None:
    """Cancel a run in a callback; one that others watch goes on without this page."""
    stopped = engine().cancel(id, session())
    st.session_state.setdefault(_CANCELLED if stopped else LET_GO, set()).add(id)


def forget_result(id: str) -> None:
    """The result was deleted: look for it again when somebody asks."""
    _finished.clear(id, engine())


def _ended(config: Experiment, status: Status) -> None:
    if status.state == "stopped":
        st.info("This run was cancelled. Networks that were finished are kept.", icon=":material/cancel:")
    else:
        st.error(status.error or "The run ended without a result.", icon=":material/error:")
    _button("Start again", ":material/replay:", config)


@st.fragment(run_every=2.0)
def _goes_on_for_others(config: Experiment) -> None:
    """Without a session the question does not count as watching."""
    if config.id not in st.session_state[LET_GO] or not engine().status(config.id).active:
        st.rerun()
    st.info("Others are watching this run, so it goes on; this page no longer does.", icon=":material/visibility_off:")
    _button("Watch it again", ":material/visibility:", config)


def _refused(config: Experiment, reason: str) -> None:
    st.warning(reason, icon=":material/block:")
    with st.container(horizontal=True, vertical_alignment="center"):
        _button("Try again", ":material/replay:", config)
        st.page_link("pages/views/runs.py", label="See what is running", icon=":material/list:")


def _button(label: str, icon: str, config: Experiment) -> None:
    st.button(label, icon=icon, on_click=_again, args=(config,), key="start_again")


def _again(config: Experiment) -> None:
    if refused := submit(config):
        st.session_state[_REFUSED] = refused
