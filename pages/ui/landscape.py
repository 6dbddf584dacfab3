"""The plane through three networks, behind an expander: computed when somebody opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lmc.charts.landscape import landscape_chart
from lmc.charts.style import method_label
from lmc.errors import InputError, StoreError
from lmc.experiments import Experiment, Landscape
from pages.ui import captions
from pages.ui.figures import show
from pages.ui.runs import engine, result_of

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of BatchNorm; these are not trained


def landscape(config: Experiment, members: Sequence[int], *, split: str, measure: str) -> None:
    """Draw the section: the map of `measure` over the plane through the networks at the places `members`.

    With two networks the third point is the second one in its permuted order.
    """
    section = st.expander("The plane through them", icon=":material/landscape:", key="plane", on_change="rerun")
    if not section.open:
        return
    with section:
        methods = [method for method in config.method if method != "none"]
        if not methods and len(members) == 2:
            st.caption("Choose a matching method in the sidebar: B in its new order is the third point of the plane.")
            return
        method = st.radio(
            "Matched by", methods or ["none"], horizontal=True, format_func=method_label, key="shown_plane"
        )
        try:
            plane = plane_of(config, members, method)
        except InputError as error:
            st.warning(f"{error}", icon=":material/info:")
            return
        _draw(plane, {"split": split, "measure": measure})


def plane_of(config: Experiment, members: Sequence[int], method: str) -> Landscape:
    """The plane through the networks of `config` at the places `members`, as an experiment. May raise InputError."""
    own = ("seeds", "order_seeds", "load", "labels", "method", "groups", "correction")
    values = {f.name: getattr(config, f.name) for f in fields(Landscape) if f.name not in (*own, "levels")}
    for name in ("seeds", "order_seeds", "load", "labels"):
        given = getattr(config, name)
        values[name] = tuple(given[place] for place in members) if given else given
    return Landscape(**values, method=(method,))


def _draw(plane: Landscape, look: Mapping[str, Any]) -> None:
    result = result_of(plane, partial(_so_far, plane, look))
    if result is None:
        return
    squares, corners = result.frame("plane"), result.frame("corners")
    finest = squares[squares["level"] == squares["level"].max()]
    chart = partial(landscape_chart, finest, corners, **look)
    show("landscape_chart", chart, result.id, plane.labels, *look.values())
    st.caption(caption(plane, look["split"]))


def _so_far(plane: Landscape, look: Mapping[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    """The squares that there are, small ones over large ones."""
    squares, corners = tables["plane"], tables["corners"]
    if not corners.empty:
        chart = partial(landscape_chart, squares, corners, **look)
        show("landscape_so_far", chart, plane.id, plane.labels, len(squares), *look.values())


def caption(plane: Landscape, split: str) -> str:
    """What the axes are, and how little of everything the picture shows."""
    two = len(plane.networks()) == 2
    count = _dimensions(plane)
    size = f"{count:,} dimensions, one" if count else "a dimension"
    said = [
        f"Every point is a network. The picture is the flat cut through a space with {size} for each weight, on which "
        f"{'A, B and π(B), which is B in its new order,' if two else 'A, B and C'} lie.",
        "B and π(B) give the same answers from different places." if two else "",
        "Across and up is distance: the root of the sum of all squared differences between weights. "
        "What looks like a wall here may have a way round it outside the cut.",
        f"Measured on {captions.measured_on(plane, split)}.",
        captions.correction_caption(plane),
    ]
    return " ".join(filter(None, said))


def _dimensions(plane: Landscape) -> int | None:
    """How many numbers training chooses in each of these networks; None if the store cannot say."""
    network = plane.networks()[0]
    try:
        return _counted(network.id, network.last_epoch)
    except (LookupError, StoreError):
        return None


@st.cache_resource(show_spinner=False, max_entries=64)
def _counted(id: str, epoch: int) -> int:
    state = engine().store.load_checkpoint(id, epoch)
    if state is None:
        raise LookupError(id)
    return sum(array.size for name, array in state.items() if not name.endswith(_STATISTICS))
