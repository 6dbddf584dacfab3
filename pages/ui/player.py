"""λ from A to B as a film: the browser plays over values it was given once, the server hears where it rests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_HTML = '<div class="player"></div>'
_SCRIPTS = ("player_film.js", "player_images.js", "player_plane.js", "player.js")  # one module; only the last exports
_NEEDED = {
    "images": ("show", "lams", "truth", "classes", "methods", "images", "shape", "paper"),
    "points": ("show", "lams", "truth", "classes", "methods", "points", "extent", "side", "colors"),
}


def lambda_player(
    data: Mapping[str, Any],
    key: str,
    lam: float,
    *,
    split: str = "test",
    on_rest: Callable[[float], None] | None = None,
) -> float | None:
    """Draw the player at `lam`; the λ at which the reader let it rest since the last run, else None.

    `data` has `show` (a text that is another for other data), `lams` (the grid), `classes` (their names), `truth`
    (the class of each test input), `methods`, each with `name`, `label`, `color`, `error` (by λ), `answer` and
    `confidence` (by λ and input), and `kind`. `images` come with `shape` (height, width, channels) and `paper`
    (whether bright strokes are drawn dark on white), packed as by `player_data.pack`; `points` with `extent` and,
    for each method, the packed `plane` of `side` × `side` probabilities of every class but the last, 0 to 255.
    `on_rest` is called with the same λ before the run, in time for what stands above the player.
    """
    check_data(data)
    rested = f"{key}-rested"

    def note() -> None:
        value = st.session_state[key]["lam"]
        if value is not None:
            st.session_state[rested] = float(value)
            if on_rest:
                on_rest(float(value))

    mount = st.components.v2.component("lambda_player", html=_HTML, css=_text("player.css"), js=_script())
    mount(key=key, data={**data, "lam": float(lam), "split": split}, on_lam_change=note)
    value: float | None = st.session_state.pop(rested, None)
    return value


def _script() -> str:
    return "\n".join(map(_text, _SCRIPTS))


def _text(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


def check_data(data: Mapping[str, Any]) -> None:
    """A ValueError that says what is wrong when lists do not fit together; the browser would only show nothing."""
    needed = _NEEDED.get(data.get("kind", ""))
    if needed is None:
        raise ValueError(f"the player shows {' or '.join(_NEEDED)}, not {data.get('kind')!r}")
    if missing := [name for name in needed if name not in data]:
        raise ValueError(f"the player's data lacks: {', '.join(missing)}")
    points, inputs = len(data["lams"]), len(data["truth"])
    for method in data["methods"]:
        for name in ("error", "answer", "confidence"):
            if len(method[name]) != points:
                raise ValueError(
                    f"{method['name']}: {name} needs one entry for each of {points} λ, not {len(method[name])}"
                )
        if any(len(row) != inputs for name in ("answer", "confidence") for row in method[name]):
            raise ValueError(f"{method['name']}: every λ needs one answer and one confidence for each of {inputs}")
