"""Training as a film: the browser plays over the epochs it was given once, the server hears where it rests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_HTML = '<div class="player"></div>'
_SCRIPTS, _STYLES = ("player_film.js", "trajectory_film.js"), ("player.css", "trajectory_film.css")


def epoch_film(data: Mapping[str, Any], key: str, epoch: int, show: str, on_rest: Callable[[int], None]) -> None:
    """Draw the film at `epoch`, or at the nearest there is.

    `data` is that of `lmc.charts.trajectory_film.film_data`, `show` a text that is another for other data. `on_rest` is
    called with the epoch at which the reader lets it rest.
    """

    def note() -> None:
        value = st.session_state[key]["epoch"]
        if value is not None:
            on_rest(int(value))

    mount = st.components.v2.component("epoch_film", html=_HTML, css=_joined(_STYLES), js=_joined(_SCRIPTS))
    mount(key=key, data={**data, "kind": "curves", "show": show, "epoch": epoch}, on_epoch_change=note)


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join((_HERE / name).read_text("utf-8") for name in names)
