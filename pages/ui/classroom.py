"""Classroom mode on the page: the address for everyone, what is limited, and what is not offered."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from urllib.parse import urlsplit

import segno
import streamlit as st

from lmc.errors import InputError
from lmc.experiments import Experiment
from lmc.limits import Limits, check_limits, limits

LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_DELETION = "In a classroom nobody deletes networks: others may be using them."
NO_UPLOADS = "In a classroom no files are loaded. The teacher can load them at the machine: `python -m lmc load FILE`."


def refusal(config: Experiment) -> str | None:
    """Why this classroom does not compute `config`, as a sentence for the page; None if it does."""
    try:
        check_limits(config, limits())
    except InputError as error:
        return f"{error} What was computed before opens as always."
    return None


def classroom_notes() -> None:
    """Draw, in the sidebar, how others come here and what is limited; nothing outside a classroom."""
    allowed = limits()
    if allowed is None:
        return
    with st.sidebar.container(border=True, gap="small"):
        st.markdown("**Classroom**", help=in_words(allowed))
        if served_here_only():
            st.caption(
                "Only this machine can open this page. To serve the local network, end it and start `make classroom`."
            )
        elif address := shared_address():
            if st.button("Show the address", icon=":material/qr_code_2:", key="show_address", width="stretch"):
                _show_address(address)
        else:
            st.caption("Open the page under this machine's address in the network, and it can be shown here.")


def in_words(allowed: Limits) -> str:
    """The limits as a short list."""
    widths = f"{allowed.width('mlp')} (mlp), {allowed.width('cnn')} (cnn)"
    return (
        f"So that everyone gets a turn, a new run has at most {allowed.networks} networks of width {widths}, "
        f"{allowed.epochs} epochs and {allowed.seconds:g} s, on {', '.join(allowed.allowed_datasets())}; "
        f"and each page {allowed.runs_per_session} at a time. Nobody uploads or deletes."
    )


def served_here_only() -> bool:
    """Whether no other machine can reach this server."""
    return st.get_option("server.address") in LOOPBACK


def shared_address() -> str | None:
    """Where others open the page: as `make classroom` found it, else as this visitor did; None if only this machine can
    use that.
    """
    host = str(st.get_option("browser.serverAddress"))
    if host not in LOOPBACK:
        return f"http://{host}:{st.get_option('browser.serverPort')}"
    seen = urlsplit(st.context.url or "")
    return f"{seen.scheme}://{seen.netloc}" if seen.hostname and seen.hostname not in LOOPBACK else None


@st.dialog("Open this on your own device", width="large")
def _show_address(address: str) -> None:
    st.html(
        '<div style="text-align:center">'
        f'<img src="{picture(address)}" alt="QR code of {address}" style="width:min(36rem,54vh,100%)">'
        f'<p style="font-size:clamp(1.5rem,4.4vw,4.2rem);font-weight:600;margin:.3em 0 0">{address}</p></div>'
    )
    st.markdown("Join the same network first. There is no password: everyone on it can open the page.")


@lru_cache(maxsize=8)
def picture(address: str) -> str:
    """The QR code as an address of an SVG: black on white with its margin, whatever the theme."""
    out = io.BytesIO()
    segno.make(address, error="m", micro=False).save(out, kind="svg", border=4, scale=8, dark="#000", light="#fff")
    return f"data:image/svg+xml;base64,{base64.b64encode(out.getvalue()).decode()}"
