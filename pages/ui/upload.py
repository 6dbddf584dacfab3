"""Files become networks of the store: a child process reads them, the page shows what it found."""

from __future__ import annotations

import re
import time
from typing import Any

import streamlit as st

from lmc.engine import MAX_FILES, MAX_UPLOAD, Status
from lmc.errors import InputError, StoreError
from lmc.experiments import OPTIONS
from lmc.limits import limits
from pages.ui.classroom import NO_UPLOADS
from pages.ui.live import PATIENCE
from pages.ui.runs import cancel, engine, session, standing

TYPES = ["safetensors", "pt", "pth"]
ACTIVATIONS = ["as usual", "relu", "gelu", "tanh"]
CHOSEN, TURN = "_chosen_networks", "_chosen_turn"  # ids, and how often a page chose them in place of the reader
_SILENT = "_upload_silent"  # since when the engine has not said what became of the files
MOST_REPORTS = 3  # at once, without a scroll bar
NO_DATA_SET = "none of the published ones; a folder of images may fit"


def upload_networks() -> None:
    """Draw the place for files, and what became of the last ones."""
    if limits():
        st.caption(NO_UPLOADS)
        return
    with st.expander("Load networks from files", icon=":material/upload_file:", expanded="_upload" in st.session_state):
        st.markdown(
            "Checkpoints of your own: safetensors, or what `torch.save` wrote of a state dict. Perceptrons, VGGs, "
            "ResNets and transformers are recognised by the names and shapes of their tensors. Nothing in a file is "
            "ever run."
        )
        with st.form("upload", clear_on_submit=True, border=False):
            st.file_uploader(
                f"Up to {MAX_FILES} files of at most {MAX_UPLOAD // 2**20} MB",
                TYPES,
                accept_multiple_files=True,
                key="upload_files",
                max_upload_size=MAX_UPLOAD // 2**20,
            )
            left, right = st.columns([2, 3], vertical_alignment="bottom")
            left.selectbox(
                "Activation function",
                ACTIVATIONS,
                key="upload_activation",
                help="Tensors do not show it. As usual: what a file saved by this program says, else the usual one "
                "of the architecture.",
            )
            right.form_submit_button("Load", icon=":material/upload:", type="primary", on_click=_submit)
        _report()


def plain(text: str) -> str:
    """The text as Markdown shows it letter by letter."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])", r"\\\1", text)


def _submit() -> None:
    if limits():  # the button is not drawn, but anyone can send what it would
        return
    files = st.session_state["upload_files"] or []
    activation = st.session_state["upload_activation"]
    st.session_state.pop("_upload", None)
    try:
        st.session_state["_upload"] = engine().submit_files(
            [(file.name, file.getvalue()) for file in files],
            None if activation == ACTIVATIONS[0] else activation,
            session(),
        )
        st.session_state.pop("_upload_refused", None)
    except InputError as error:
        st.session_state["_upload_refused"] = f"{plain(str(error.value))}: {error.right}."
    except (StoreError, OSError) as error:
        st.session_state["_upload_refused"] = f"The files cannot be kept: {error}."


def _report() -> None:
    if refused := st.session_state.get("_upload_refused"):
        st.warning(refused, icon=":material/error:")
    token = st.session_state.get("_upload")
    if token is None:
        return
    status, found = _standing(token)
    if status.active:
        _progress(token)
        return
    if found is None:
        words = "Loading was cancelled. Networks that were finished are kept." if status.state == "stopped" else ""
        st.error(
            words or plain(status.error) or "The files could not be read; load them again.", icon=":material/error:"
        )
        return
    if found["networks"] and st.session_state.get("_upload_chosen") != token:
        st.session_state["_upload_chosen"] = token  # they are what the reader wants to see next
        st.session_state[CHOSEN] = _alike(found["networks"])
        st.session_state[TURN] = st.session_state.get(TURN, 0) + 1
    for one in found["refused"]:
        st.error(plain(one["refused"]), icon=":material/block:")
    with st.container(height="content" if len(found["networks"]) <= MOST_REPORTS else 420, border=False):
        for one in found["networks"]:
            _loaded(one)


def _loaded(one: dict[str, Any]) -> None:
    with st.container(border=True):
        st.markdown(f":material/check_circle: **{plain(one['label'])}**")
        fits = ", ".join(one["datasets"]) or NO_DATA_SET
        st.markdown("\n".join(f"- {plain(text)}" for text in (*one["report"], f"Data sets that fit: {fits}")))


def _alike(networks: list[dict[str, Any]]) -> list[str]:
    """The ids of the most networks that can be compared with each other, all of them if no two can."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for one in networks:
        groups.setdefault(tuple(one[name] for name in OPTIONS) + tuple(one["datasets"]), []).append(one["id"])
    most = list(dict.fromkeys(sorted(groups.values(), key=len)[-1]))
    return most if len(most) > 1 else [one["id"] for one in networks]


@st.fragment(run_every=0.5)
def _progress(token: str) -> None:
    status, _ = _standing(token)
    if not status.active:
        st.rerun()
    st.progress(min(1.0, status.share), text=plain(f"{status.text[:1].upper()}{status.text[1:]}"))
    st.button("Cancel", icon=":material/cancel:", on_click=cancel, args=(token,), key="cancel_upload")


def _standing(token: str) -> tuple[Status, dict[str, list[dict[str, Any]]] | None]:
    """How the loading stands, and what became of it; an engine that is silent for a moment changes nothing."""
    status = standing(token)
    found = engine().loaded(token) if status.state == "done" else None
    if found is not None or status.state not in ("done", "unknown"):
        st.session_state.pop(_SILENT, None)
        return status, found
    since = st.session_state.setdefault(_SILENT, time.monotonic())
    silent = time.monotonic() - since < PATIENCE
    return (Status("running", text="reading") if silent else status), None
