"""What the engine is doing and what the store holds, as lists, and what can be done with each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from lmc.engine import Engine, Status
from lmc.errors import InputError, StoreError, as_sentence
from lmc.experiments import EXPERIMENTS, Experiment
from lmc.experiments.spelling import command
from lmc.limits import limits
from lmc.listing import size
from lmc.store import SHIPPED, Kept, Store
from pages.ui.address import has_page
from pages.ui.library import address_of
from pages.ui.live import overview
from pages.ui.progress import LET_GO, doing, in_words, turn, watching
from pages.ui.rows import choose_rows
from pages.ui.runs import OWN, cancel, engine, forget_result
from pages.ui.upload import plain

MOST_CARDS, MOST_ENDED = 6, 8
READING = 0.04  # seconds of one script that go into reading results for the list
CHOSEN, NOTE = "_chosen_results", "_runs_note"
NO_CHANGES = "In a classroom nobody pins or deletes results. The teacher can at the machine: `python -m lmc runs`."
_STATUS = [spec.name for spec in fields(Status)]


# What runs


def drawn_from(runs: Engine) -> tuple[tuple[str, ...], int]:
    """What the list of results was drawn from: the runs that came to one, and how many are not read yet."""
    done = sorted(row["id"] for row in overview(runs)["runs"] if row["state"] == "done")
    return tuple(done), known().unread


@st.fragment(run_every=1.0)
def show_running(runs: Engine, drawn: tuple[tuple[str, ...], int]) -> None:
    """Draw what runs, waits and failed, again and again; the whole page when there is more than was `drawn`."""
    if drawn_from(runs) != drawn:
        st.rerun()
    rows = overview(runs)["runs"]
    active = [row for row in rows if row["state"] in ("running", "waiting")]
    own = st.session_state.get(OWN, set())
    active.sort(key=lambda row: (row["id"] not in own, row["state"] != "running", row["position"], row["asked"]))
    st.subheader("Now", anchor=False)
    if note := st.session_state.pop(NOTE, None):
        st.info(note, icon=":material/visibility:")
    if not active:
        started = overview(runs)["workers"]
        st.caption("Nothing is running or waiting." if started else "The workers are starting. Nothing is running yet.")
    for row in active[:MOST_CARDS]:
        _card(row, row["id"] in own)
    if len(active) > MOST_CARDS:
        waiting = sum(row["state"] == "waiting" for row in active[MOST_CARDS:])
        st.caption(f"And {len(active) - MOST_CARDS} more, of which {waiting} wait for a free worker.")
    _ended([row for row in rows if row["state"] in ("failed", "stopped")])
    known().go_on(2 * READING)


def _card(row: dict[str, Any], own: bool) -> None:
    status, config = Status(**{name: row[name] for name in _STATUS}), value(row)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.markdown(f"**{said(row)}**" + " :material/person: yours" * own, width="stretch")
            if config:
                _open(config, row["id"])
            if own or not limits():
                st.button(
                    "Cancel",
                    icon=":material/cancel:",
                    on_click=_cancel,
                    args=(row["id"],),
                    key=f"cancel_{row['id']}",
                )
        if status.state == "waiting":
            st.caption(f"{turn(status.position, 'it')} Asked for at {datetime.fromtimestamp(row['asked']):%H:%M:%S}.")
        else:
            others = f" · {watching(status.watchers, 'page')}" if status.watchers else ""
            st.progress(min(1.0, status.share), text=f"{doing(status)}{others}")


def _ended(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    st.markdown("**Failed or cancelled since the app was started**")
    lines = []
    for row in rows[:MOST_ENDED]:
        config = value(row)
        words = f"[{said(row)}]({address_of(config)})" if config and has_page(config) else said(row)
        why = plain(row["error"]) if row["state"] == "failed" else "cancelled"
        icon = ":material/error:" if row["state"] == "failed" else ":material/cancel:"
        lines.append(f"{icon} {words}: {why}")
    st.markdown("  \n".join(lines))
    if len(rows) > MOST_ENDED:
        st.caption(f"The last {MOST_ENDED} of {len(rows)}.")


def _cancel(id: str) -> None:
    cancel(id)
    if id in st.session_state.get(LET_GO, ()):
        st.session_state[NOTE] = "Others are watching that run, so it goes on."


# What the store holds


@dataclass(frozen=True)
class Told:
    """What a result says of itself; `seconds` is how long it took."""

    experiment: str
    config: dict[str, Any]
    seconds: float


class Known:
    """What results say of themselves, each read once. Reading hundreds takes half a second, so it is done by and by."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._told: dict[tuple[str, float], Told | None] = {}
        self._missing: list[Kept] = []

    @property
    def unread(self) -> int:
        return len(self._missing)

    def read(self, kept: Sequence[Kept], seconds: float) -> None:
        """Read for so long, the newest first."""
        self._missing = [one for one in kept if (one.id, one.written) not in self._told]
        self.go_on(seconds)

    def go_on(self, seconds: float) -> None:
        """Read on for so long."""
        end, missing = time.perf_counter() + seconds, self._missing
        for done, one in enumerate(missing):
            if time.perf_counter() > end:
                self._missing = missing[done:]
                return
            self._told[one.id, one.written] = self._read(one.id)
        self._missing = []

    def told(self, one: Kept) -> Told | None:
        """What it says, None if it was not read or is damaged."""
        return self._told.get((one.id, one.written))

    def _read(self, id: str) -> Told | None:
        text = self.store.load_result_text(id)
        try:
            return None if text is None else Told(text["experiment"], text["config"], float(text["seconds"]))
        except (KeyError, TypeError, ValueError):
            return None


@st.cache_resource(show_spinner=False)
def known() -> Known:
    """The one of this server."""
    return Known(engine().store)


def show_results(store: Store) -> None:
    """Draw how full the store is, its results, and what can be done with the chosen ones."""
    st.subheader("In the store", anchor=False)
    kept = store.inventory()
    results = [*(one for one in kept if one.kind == "results")]
    results += shipped({one.id for one in results})
    st.markdown(
        f"The store holds **{size(store.size())}** of at most {size(store.limit)}. When it is full, what was used "
        "least recently is deleted; what is pinned stays."
    )
    known().read(results, READING)
    if note := st.session_state.pop(f"{NOTE}_store", None):
        st.error(note, icon=":material/error:")
    key = f"results_{hash(tuple(one.id for one in results))}"
    chosen = choose_rows(results, table(results, known()), _COLUMNS, key=key, chosen=CHOSEN)
    if not chosen:
        st.caption("Choose a result by the box before it to open, pin or delete it.")
    elif len(chosen) == 1:
        _show_one(chosen[0])
    else:
        own = [one for one in chosen if one.written]
        st.markdown(f"**{len(chosen)} results**, {size(sum(one.size for one in own))}")
    if chosen:
        _act(chosen)


def shipped(but: set[str]) -> list[Kept]:
    """The results that came with the program, with no times."""
    names = sorted(folder.name for folder in (SHIPPED / "results").iterdir())
    return [Kept("results", name, 0, 0.0, 0.0, False) for name in names if name not in but]


def table(results: Sequence[Kept], of: Known) -> pd.DataFrame:
    """One row a result; what is not read yet, or cannot be, is empty."""
    told = [of.told(one) for one in results]
    configs = [one.config if one else {} for one in told]
    return pd.DataFrame(
        {
            "Result": [_short(one) for one in told],
            "Data set": [str(config.get("dataset", "")).split(":")[0] for config in configs],
            "Architecture": [config.get("arch") for config in configs],
            "Width": pd.array([None if "widths" in c else c.get("width") for c in configs], dtype="Int64"),
            "Epochs": pd.array(
                [None if config.get("load") else config.get("recipe", {}).get("epochs") for config in configs],
                dtype="Int64",
            ),
            "Took": [one.seconds if one else None for one in told],
            "Size": [one.size or None for one in results],
            "Made": [datetime.fromtimestamp(one.written) if one.written else None for one in results],
            "Kept": ["pinned" if one.pinned else "" if one.written else "shipped" for one in results],
        }
    )


_COLUMNS = {
    "Took": st.column_config.NumberColumn(format="%.1f s", help="How long it took to compute."),
    "Size": st.column_config.NumberColumn(format="bytes", help="Without its networks, which other results may share."),
    "Made": st.column_config.DatetimeColumn(format="D MMM, HH:mm", width=115),
    "Kept": st.column_config.TextColumn(help="Pinned or shipped results are not deleted when the store is full."),
}


def _short(told: Told | None) -> str:
    if told is None:
        return ""
    names = ", ".join(map(str, told.config.get("labels") or told.config.get("seeds", ())))
    if widths := told.config.get("widths"):
        spoken = f"Width {widths[0]}" if len(widths) == 1 else f"Widths {min(widths)} to {max(widths)}"
        return f"{spoken} of seeds {names}"
    return f"{told.experiment.capitalize()} of {'networks' if told.config.get('load') else 'seeds'} {names}"


def _show_one(one: Kept) -> None:
    told = known().told(one)
    config = value({"experiment": told.experiment, "config": told.config}) if told else None
    if told is None or config is None:
        st.info("This version of the program cannot open it.", icon=":material/info:")
        return
    st.markdown(f"**{plain(in_words(config))}**")
    st.code(command(config), language="bash", wrap_lines=True)


def _act(chosen: Sequence[Kept]) -> None:
    """Open one; pin, unpin and delete any number."""
    own = [one for one in chosen if one.written]
    with st.container(horizontal=True, vertical_alignment="center"):
        told = known().told(chosen[0]) if len(chosen) == 1 else None
        if told and (config := value({"experiment": told.experiment, "config": told.config})):
            _open(config, chosen[0].id, primary=True)
        if limits():
            st.caption(NO_CHANGES)
            return
        if not own:
            st.caption("What came with the program is never deleted and needs no pin.")
            return
        loose, pinned = ([one.id for one in own if one.pinned == pinned] for pinned in (False, True))
        if loose:
            st.button("Pin", icon=":material/keep:", on_click=_each, args=("pin", loose), key="pin_results")
        if pinned:
            st.button("Unpin", icon=":material/keep_off:", on_click=_each, args=("unpin", pinned), key="unpin_results")
        if loose:
            with st.popover("Delete", icon=":material/delete:"):
                what = "this result" if len(loose) == 1 else f"these {len(loose)} results"
                st.markdown(f"Delete {what} for good? The networks stay, so it is computed again in a moment.")
                st.button("Yes, delete", type="primary", on_click=_each, args=("delete", loose), key="delete_results")


def _each(action: str, ids: Sequence[str]) -> None:
    if limits():  # the buttons are not drawn, but anyone can send what they would
        return
    store, troubles = engine().store, []
    for id in ids:
        try:
            if action == "delete":
                store.delete_result(id)
                forget_result(id)
            elif action == "pin":
                store.pin(id)
            else:
                store.unpin(id)
        except (StoreError, OSError) as error:
            troubles.append(str(error))
    if troubles:
        more = f" So with {len(troubles) - 1} more." if len(troubles) > 1 else ""
        st.session_state[f"{NOTE}_store"] = as_sentence(troubles[0]) + more


# Both


def value(row: dict[str, Any]) -> Experiment | None:
    """The config in a row, or None if this version does not run it or it is none."""
    try:
        return EXPERIMENTS[row["experiment"]].from_json(row["config"])
    except (KeyError, TypeError, InputError):
        return None


def said(row: dict[str, Any]) -> str:
    """The run in words, for Markdown."""
    config = value(row)
    return plain(f"{row['experiment'].capitalize()}: {in_words(config)}" if config else f"Reading {row['title']}")


def _open(config: Experiment, id: str, *, primary: bool = False) -> None:
    if not has_page(config):
        return
    st.link_button(
        "Open",
        address_of(config),
        icon=":material/open_in_new:",
        type="primary" if primary else "secondary",
        key=f"open_{id}",
        help="Opens its page in a new tab.",
    )
