"""λ from A to B as a film: the browser plays over values it was given once, the server hears where it rests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_HTML = '<div class="player"></div>'


def lambda_player(
    data: Mapping[str, Any],
    key: str,
    lam: float,
    *,
    split: str = "test",
    on_rest: Callable[[float], None] | None = None,
) -> float | None:
    """Draw the player at `lam`; the λ at which the reader let it rest since the last run, else None.

    `data` has `lams` (the grid), `images` (grey values, row by row), `truth` (the class of each image) and
    `methods`, each with `name`, `label`, `color`, `error` (by λ), `answer` and `confidence` (by λ and image).
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

    mount = st.components.v2.component(
        "lambda_player",
        html=_HTML,
        css=(_HERE / "player.css").read_text("utf-8"),
        js=(_HERE / "player.js").read_text("utf-8"),
    )
    mount(key=key, data={**data, "lam": float(lam), "split": split}, on_lam_change=note)
    value: float | None = st.session_state.pop(rested, None)
    return value


def check_data(data: Mapping[str, Any]) -> None:
    """A ValueError that says what is wrong when lists do not fit together; the browser would only show nothing."""
    missing = [name for name in ("lams", "images", "truth", "methods") if name not in data]
    if missing:
        raise ValueError(f"the player's data lacks: {', '.join(missing)}")
    points, images = len(data["lams"]), len(data["images"])
    if len(data["truth"]) != images:
        raise ValueError(f"{images} images need as many true classes, not {len(data['truth'])}")
    for method in data["methods"]:
        for name in ("error", "answer", "confidence"):
            if len(method[name]) != points:
                raise ValueError(
                    f"{method['name']}: {name} needs one entry for each of {points} λ, not {len(method[name])}"
                )
        if any(len(row) != images for name in ("answer", "confidence") for row in method[name]):
            raise ValueError(
                f"{method['name']}: every λ needs one answer and one confidence for each of {images} images"
            )
