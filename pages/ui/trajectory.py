"""The parts of the trajectory page: what is chosen, what is there so far, and the sections below its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lmc.charts.style import network_label
from lmc.charts.trajectory import trajectory_chart
from lmc.charts.trajectory_answer import (
    first_fit_answer,
    mean_errors,
    stable_answer,
    trajectory_answer,
    twin_answer,
)
from lmc.charts.trajectory_film import film_data
from lmc.charts.trajectory_networks import seeds_chart, seeds_words, straight_chart, straight_words
from lmc.experiments import CONTROLS, Pair, Trajectory
from lmc.experiments.options import check_number
from lmc.experiments.spelling import value_of
from lmc.experiments.trajectory import USUAL, stable_epoch
from lmc.result import Result
from pages.ui.captions import measured, wider
from pages.ui.controls import ALL
from pages.ui.figures import show
from pages.ui.own import Check, check_among
from pages.ui.progress import Partly
from pages.ui.trajectory_film import epoch_film

START = " ".join(map(str, USUAL))
_CELL = "_trajectory_cell"  # the cell of the map that was clicked last


@dataclass(frozen=True)
class View:
    """What is shown: `method` is the matching method, `none` if there is none; `pair` a pair's label or `all`."""

    split: str
    measure: str
    method: str
    pair: str

    def address(self) -> dict[str, object]:
        """The parameters of a link to this view."""
        found: dict[str, object] = {"split": self.split, "measure": self.measure, "matched": self.method}
        found |= {"epoch": st.query_params["epoch"]} if "epoch" in st.query_params else {}
        return found | ({"pair": self.pair} if self.pair != ALL else {})

    def look(self, config: Trajectory) -> dict[str, Any]:
        """What charts need to know of it."""
        resolution = 1 / measured(config, self.split) if self.measure == "error" else None
        return {"split": self.split, "measure": self.measure, "method": self.method, "resolution": resolution}

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of the pair that is shown."""
        return table if self.pair == ALL else table[table["pair"] == self.pair]


# What is chosen


def checks(picked: Pair) -> Mapping[str, Check]:
    """What the address may ask of this page."""
    return {
        "matched": check_among("matched", matching_of(picked)),
        "control": check_among("control", list(CONTROLS)),
        "epoch": lambda word: check_number("epoch", value_of(word), {"low": 0, "high": 10_000}, whole=True),
    }


def matching_of(picked: Pair) -> list[str]:
    """The methods of the sidebar that permute something, or none."""
    return [method for method in picked.method if method != "none"] or ["none"]


def matched_control(picked: Pair) -> str:
    """The one of the sidebar's methods that this page shows: each is a run of its own."""
    return str(
        st.selectbox(
            "Matched by",
            matching_of(picked),
            key="matched",
            bind="query-params",
            help="One of the methods in the sidebar. It is asked again at every epoch, for every pair.",
        )
    )


def checkpoints_control() -> tuple[int | float | str, ...]:
    """The epochs as they were typed, the usual ones where none were."""
    given = st.text_input(
        "Epochs to look at",
        START,
        key="checkpoints",
        bind="query-params",
        placeholder=START,
        help="Permutations are found at each of these epochs and applied at all of them; 0 is the start. The last "
        "epoch of training always is among them.",
    )
    return tuple(value_of(word) for word in (given or START).replace(",", " ").split())


def pair_control(config: Trajectory) -> str:
    """All pairs, or one of them where there are several."""
    networks = config.networks()
    names = [f"{networks[i].label}-{networks[j].label}" for i, j in config.members()]
    if len(names) < 2 or config.control != "none":  # the pairs of the pair page
        return ALL
    chosen = st.selectbox(
        "Pair", [ALL, *names], key="pair", bind="query-params", help="all: the mean over every pair, with intervals."
    )
    return str(chosen)


# What is there so far


def fits_so_far(config: Trajectory, view: View) -> Partly:
    """What draws the lines of the permutations that are there, from early to late."""
    pairs, total = len(config.members()), len(config.checkpoints)

    def draw(tables: dict[str, pd.DataFrame]) -> None:
        found = tables["alignment"]
        if found.empty:
            return
        done = len(found[["pair", "fit_epoch", "method"]].drop_duplicates())
        every = pairs * (1 + total * (len(config.method) - 1))
        st.markdown(f"**{done} of {every} permutations** are tried, counting none as one of them.")
        chart = partial(trajectory_chart, found, planned=config.checkpoints, **view.look(config))
        show("trajectory_so_far", chart, config.id, done, view)

    return draw


# What is shown


@dataclass(frozen=True)
class Told:
    """What the page says of a result in numbers; `pairs` were looked at."""

    answer: str
    others: tuple[str, ...]
    straight: str
    seeds: str
    pairs: int


def told(result: Result, config: Trajectory, view: View) -> Told:
    """The sentences of the page, which are made once."""
    return _told(result.id, view, result, config)


@st.cache_resource(show_spinner=False, max_entries=128)
def _told(id: str, view: View, _result: Result, _config: Trajectory) -> Told:  # noqa: ARG001 - the key
    alignment, look = view.rows(_result.frame("alignment")), view.look(_config)
    if _config.control == "twin":
        answer = twin_answer(alignment, method=view.method, split=view.split)
    else:
        answer = trajectory_answer(alignment, **look, width=_config.width, wider=wider(_config))
    others = []
    if view.method != "none":
        others.append(stable_answer(_stable(_result, view, alignment), _config.checkpoints[-1]))
    if _config.control != "twin":
        others.append(first_fit_answer(alignment, **look))
    straight, curves = (_own(_result, name, names_of(_config)) for name in ("straight", "curves"))
    return Told(
        answer,
        tuple(filter(None, others)),
        " ".join(straight_words(straight, "loss", split) for split in ("train", "test")),
        seeds_words(curves, split=_learned(view), measure=view.measure),
        alignment["pair"].nunique(),
    )


def _stable(result: Result, view: View, alignment: pd.DataFrame) -> int | None:
    """The first epoch whose permutation leaves a mean error barrier of at most 0.02 from then on."""
    if view.pair == ALL:
        found = result.metrics.get(f"stable_epoch.{view.method}.fit.{view.split}")
        return None if found is None else int(found)
    return stable_epoch(mean_errors(alignment, method=view.method, split=view.split))


def film(result: Result, config: Trajectory, view: View) -> None:
    """Draw the film at the epoch in the address; where it rests goes there."""
    start = st.query_params.get("epoch", "")
    epoch = int(start) if start.isdecimal() else config.checkpoints[len(config.checkpoints) // 2]
    epoch_film(_film_data(result.id, view, result, config), "epoch_film", epoch, f"{result.id} {view}", keep_epoch)


@st.cache_resource(show_spinner=False, max_entries=64)
def _film_data(id: str, view: View, _result: Result, _config: Trajectory) -> dict[str, Any]:  # noqa: ARG001
    path, alignment = (view.rows(_result.frame(name)) for name in ("path", "alignment"))
    return film_data(path, alignment, **view.look(_config))


def keep_epoch(epoch: int) -> None:
    """Put the epoch at which the film rests into the address."""
    st.query_params["epoch"] = str(epoch)


def follow_cell(cell: Mapping[str, Any]) -> None:
    """A cell of the map that was clicked just now chooses the epoch of the film."""
    before, now = st.session_state.get(_CELL), (cell.get("fit"), cell.get("epoch"))
    st.session_state[_CELL] = now
    if cell and before != now:
        keep_epoch(int(cell["epoch"]))


def single_networks(result: Result, config: Trajectory, view: View) -> None:
    """Draw each network by itself: the straight line from its first weights to its last, and how it learned."""
    names, words, split = names_of(config), told(result, config, view), _learned(view)
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("From first to last weights", anchor=False)
        show(
            "straight_chart",
            lambda: straight_chart(_own(result, "straight", names), names, split=view.split),
            result.id,
            view.split,
        )
        st.caption(
            "The straight line through all weights from the start to the end of training: a way that training did not "
            f"take. {words.straight}"
        )
    with right:
        st.subheader("Learning curves", anchor=False)
        show(
            "seeds_chart",
            lambda: seeds_chart(_own(result, "curves", names), names, split=split, measure=view.measure),
            result.id,
            split,
            view.measure,
        )
        st.caption(
            f"Do other seeds learn otherwise? {words.seeds}"
            + " While networks learn, errors are measured on test data alone." * (split != view.split)
        )


def names_of(config: Trajectory) -> dict[str, str]:
    """Label → what the network is called, without twins, whose curves are the same."""
    labels = [network.label for network in config.networks()[: len(config.seeds)]]
    few = len(labels) <= 3
    return {label: network_label("ABC"[i], label) if few else f"seed {label}" for i, label in enumerate(labels)}


def _learned(view: View) -> str:
    """The split of learning curves: training errors are not measured while learning."""
    return "test" if view.measure == "error" else view.split


def _own(result: Result, table: str, names: Mapping[str, str]) -> pd.DataFrame:
    found = result.frame(table)
    return found[found["network"].isin(names)]
