"""The choices of the triangle page: its config from the picker's, and what of the result is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lmc.charts.triangle import triangle_charts
from lmc.errors import InputError
from lmc.experiments import Experiment, Triple
from pages.ui.controls import ALL
from pages.ui.figures import show
from pages.ui.group import GroupView
from pages.ui.own import Check, check_among, check_option, check_together, number_control
from pages.ui.progress import Partly

MIDDLE = (1 / 3, 1 / 3, 1 / 3)
FIRST_MAPS = ("none", "weight")
"""The methods of the first two triangles; the third can be chosen."""
_FIRST = "_first_spot"


@dataclass(frozen=True)
class TriangleView(GroupView):
    """What of the triangles is shown: `triple` is a label or `all`, `one` the triple that single pictures show.

    `members` are the places of its networks, `labels` their labels, `maps` the methods whose triangles are drawn,
    `beside` the one that was chosen among others.
    """

    triple: str
    one: str
    members: tuple[int, ...]
    labels: tuple[str, ...]
    maps: tuple[str, ...]
    beside: str | None

    @property
    def corner_labels(self) -> tuple[str, ...] | None:
        """The labels of A, B and C where one triple is shown."""
        return None if self.triple == ALL else self.labels

    def address(self) -> dict[str, object]:
        """The parameters of a link to this view."""
        beside = {"beside": self.beside} if self.beside else {}
        return {**super().address(), "triple": self.triple, **beside}


@dataclass(frozen=True)
class Spot:
    """A point of a triangle: the method, and the shares of A, B and C in the mixture."""

    method: str
    weights: tuple[float, ...]

    @property
    def word(self) -> str:
        """What stands in the address: `0.5 0.25 0.25 weight`."""
        return " ".join([*(f"{weight:.4g}" for weight in self.weights), self.method])

    def row(self, grid: np.ndarray) -> int:
        """The row of `grid` `[points, 3]` that is nearest."""
        return int(np.abs(grid - np.asarray(self.weights)).sum(1).argmin())


# Before the result: what is computed, and what of it is done


def side_control() -> int:
    """How fine the triangle is."""
    said = "Each point is one merged network that is measured: 24 steps make 325 of them for each method."
    return number_control(Triple, "side", "Steps along a side", said)


def order_control(config: Triple) -> tuple[Triple, str]:
    """The config with the chosen network first, which the others are matched to, and the triple that is shown.

    Of more than three networks a triple is chosen, or `all`; its first network is its reference.
    """
    labels, triples = [network.label for network in config.networks()], list(triple_labels(config))
    if len(labels) == 3:
        chosen = st.selectbox(
            "Reference",
            labels,
            key="reference",
            bind="query-params",
            help="The network that stays as it is, at the top of the triangle; each method of the sidebar matches the "
            "others to it.",
        )
        config = with_reference(config, labels.index(chosen))
        return config, next(iter(triple_labels(config)))
    if len(triples) == 1:
        return config, triples[0]
    triple = st.selectbox(
        "Triple",
        [ALL, *triples],
        key="triple",
        bind="query-params",
        help="Its first network is the one that the others are matched to; all: the mean over every triple. With three "
        "networks in the sidebar, the one that the others are matched to can be chosen here.",
    )
    return config, triple


def with_reference(config: Triple, place: int) -> Triple:
    """The same networks, that at `place` first."""
    order = sorted(range(len(config.networks())), key=lambda other: other != place)
    lists: dict[str, Any] = {name: getattr(config, name) for name in ("seeds", "order_seeds", "load", "labels")}
    ordered: dict[str, Any] = {name: tuple(values[k] for k in order) for name, values in lists.items() if values}
    return replace(config, **ordered)


def triples_so_far(config: Triple, view: GroupView) -> Partly:
    """What draws the triangles of the triples that are done, as their mean."""

    def draw(tables: dict[str, pd.DataFrame]) -> None:
        done = tables["simplex"]["triple"].nunique()
        st.markdown(f"**{done} of {len(config.parts())} triples** are compared.")
        maps = [method for method in FIRST_MAPS if method in config.method]
        chart = partial(triangle_charts, tables["simplex"], split=view.split, measure=view.measure, methods=maps)
        show("triangle_so_far", chart, config.id, done, view)

    return draw


def triangle_checks(config: Triple) -> dict[str, Check]:
    """What the address may say of this page's own settings; `config` has the networks."""
    return {
        "together": check_together,
        "side": check_option(Triple, "side"),
        "reference": check_among("reference", [network.label for network in config.networks()]),
        "triple": check_among("triple", [ALL, *triple_labels(config)]),
        "beside": check_among("beside", list(Triple.methods)),
    }


# With the result: what is shown


def view_of(config: Triple, view: GroupView, triple: str) -> TriangleView:
    """Which triangles are drawn; the third is a control where there is a choice."""
    triples = triple_labels(config)
    first = [method for method in FIRST_MAPS if method in config.method]
    others, beside = [method for method in config.method if method not in first], None
    if len(others) > 1:
        beside = st.selectbox(
            "Third triangle",
            others,
            index=len(others) - 1,
            key="beside",
            bind="query-params",
            width=240,
            help="The method beside no permutation and weight matching; the charts below show all of them.",
        )
        others = [beside]
    one = next(iter(triples)) if triple == ALL else triple
    return TriangleView(
        split=view.split,
        measure=view.measure,
        triple=triple,
        one=one,
        members=triples[one],
        labels=tuple(config.networks()[place].label for place in triples[one]),
        maps=(*first, *others),
        beside=beside,
    )


def triple_labels(config: Experiment) -> dict[str, tuple[int, ...]]:
    """Label of a triple → the places of its three networks."""
    labels = [network.label for network in config.networks()]
    return {"-".join(labels[place] for place in group): group for group in config.members()}


def chosen_rows(table: pd.DataFrame, view: TriangleView) -> pd.DataFrame:
    """The rows of a table on the shown split, of the shown triple or of all."""
    rows = table[table["split"] == view.split]
    return rows if view.triple == ALL else rows[rows["triple"] == view.triple]


def first_spot(maps: Sequence[str]) -> Spot:
    """The point that has a ring until one is clicked: the one in the address, or the middle.

    It stays the same when a click changes the address, or the chart would be drawn anew.
    """
    clicked = st.session_state.get("triangle", {}).get("selection", {}).get("spot")
    if not clicked or _FIRST not in st.session_state:
        st.session_state[_FIRST] = _asked(maps)[0]
    first: Spot = st.session_state[_FIRST]
    return first


def chosen_spot(clicked: dict[str, Any], maps: Sequence[str]) -> Spot:
    """The point that was clicked, or else the one in the address, or else the middle; the address keeps it.

    One in the address that cannot be used is named in a note.
    """
    if clicked and clicked["method"] in maps:  # else its triangle is no longer drawn
        spot = Spot(clicked["method"], tuple(float(clicked[name]) for name in ("w0", "w1", "w2")))
        st.query_params["spot"] = spot.word
        return spot
    spot, wrong = _asked(maps)
    if wrong:
        right = "three shares that add up to 1 and a method, such as `0.5 0.25 0.25 weight`, would be right"
        st.warning(f"{InputError('spot', wrong, right)} The middle is shown instead.", icon=":material/info:")
    return spot


def _asked(maps: Sequence[str]) -> tuple[Spot, str | None]:
    """The point in the address, or the middle; and what stands there, if it is no point."""
    default = Spot(maps[1] if len(maps) > 1 else maps[0], MIDDLE)
    word = st.query_params.get("spot")
    if word is None:
        return default, None
    try:
        return _read(word, maps), None
    except ValueError:
        return default, word


def _read(word: str, maps: Sequence[str]) -> Spot:
    """The point that a word spells; a ValueError if it spells none."""
    *shares, method = word.replace(",", " ").split()
    weights = tuple(map(float, shares))
    if len(weights) != 3 or min(weights) < 0 or abs(sum(weights) - 1) > 0.01:
        raise ValueError(word)
    if method not in Triple.methods:
        raise ValueError(word)
    return Spot(method if method in maps else maps[-1], weights)
