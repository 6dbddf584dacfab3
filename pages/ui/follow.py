"""Callbacks of the picker: what one choice does to the others."""

from __future__ import annotations

import contextlib
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from lmc.experiments import Instability, Many, Pruning, Trajectory, Triple
from lmc.experiments.recipe import RECIPE_FIELDS
from pages.ui.choices import FIRST, SHAPE, architectures, nearest_width, starts, suggested_recipe
from pages.ui.controls import ALL, CHOICES
from pages.ui.counterexample import START
from pages.ui.methods import COMPARED
from pages.ui.widths import SHOWN, default_of, usual_widths

OWN = {
    "together": [], "comparison": SHOWN, "reference": "0", "triple": ALL, "control": "none", "matched": "weight",
    "compared": COMPARED, "xor_lam": START,
}  # fmt: skip
"""Where settings of single pages start; numbers at the default of their option."""
FORGOTTEN = ("shown_method", "shown_layer", "beside", "spot", "of", "level", "layer", "order")
"""What is shown of a result starts at its first again."""


def apply(settings: dict[str, Any]) -> None:
    """Every setting to its default, but those given."""
    dataset, arch, recipe = FIRST
    base = starts(settings.get("dataset", dataset), settings.get("arch", arch), recipe)
    _set({**base, **settings})


def reset() -> None:
    """Every setting of the picker and the pages to its default, and the address with it."""
    apply({})
    _set({name: allowed[0] for name, allowed in CHOICES.items()})
    _set({"pair": ALL, "_asked_notes": []})
    lists = (("widths", usual_widths(FIRST[1])), ("checkpoints", default_of(Trajectory, "checkpoints")))
    _set({name: " ".join(map(str, value)) for name, value in (*lists, ("forks", default_of(Instability, "forks")))})
    _set({**OWN, "side": default_of(Triple, "side"), "samples": default_of(Many, "samples")})
    _set({name: default_of(Pruning, name) for name in ("levels", "prune", "rewind", "last_layer")})
    for name in FORGOTTEN:
        st.session_state.pop(name, None)
    for name in [name for name in st.query_params if not name.startswith("embed")]:
        with contextlib.suppress(StreamlitAPIException):  # of widgets on this page, whose values are set above
            del st.query_params[name]


def _set(values: dict[str, Any]) -> None:
    for name, value in values.items():
        st.session_state[name] = value


def scale(factor: float) -> None:
    """The width times `factor`, rounded to one that the architecture has."""
    st.session_state["width"] = nearest_width(st.session_state["arch"], st.session_state["width"] * factor)


def round_width() -> None:
    """A typed width may lie between those that the architecture has."""
    if st.session_state["width"] is not None:
        scale(1)


def follow_dataset() -> None:
    """Another data set may need another architecture or recipe."""
    allowed = architectures(st.session_state["dataset"])
    if st.session_state["arch"] not in allowed:
        st.session_state["arch"] = allowed[0]
        follow_architecture()
    else:
        _suggest_recipe()


def follow_architecture() -> None:
    """Another architecture brings its own width, depth, norm and activation."""
    base = starts(st.session_state["dataset"], st.session_state["arch"], FIRST[2])
    _set({name: base[name] for name in SHAPE})
    _suggest_recipe()


def _suggest_recipe() -> None:
    """Another recipe where another is right, unless a recipe was chosen or changed by hand."""
    dataset, arch, recipe = st.session_state.get("_drawn", FIRST)
    untouched = starts(dataset, arch, recipe)
    if all(st.session_state.get(name) == untouched[name] for name in ("recipe", *RECIPE_FIELDS)):
        st.session_state["recipe"] = suggested_recipe(st.session_state["dataset"], st.session_state["arch"])
        follow_recipe()


def follow_recipe() -> None:
    """Another recipe brings its numbers."""
    base = starts(st.session_state["dataset"], st.session_state["arch"], st.session_state["recipe"])
    _set({name: base[name] for name in RECIPE_FIELDS})


def follow_optimizer() -> None:
    """Another optimizer brings its own rate and momentum."""
    dataset, arch, recipe, optimizer = (st.session_state[n] for n in ("dataset", "arch", "recipe", "optimizer"))
    base = starts(dataset, arch, recipe, optimizer)
    _set({name: base[name] for name in ("lr", "momentum")})
