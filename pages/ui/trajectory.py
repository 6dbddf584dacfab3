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
from lmc.charts.trajectory_answer import mean_errors
from lmc.charts.trajectory_film import film_data
from lmc.charts.trajectory_networks import seeds_chart, seeds_words, straight_chart, straight_words
from lmc.experiments import CONTROLS, Pair, Trajectory
from lmc.experiments.options import check_number
from lmc.experiments.spelling import value_of
from lmc.experiments.trajectory import USUAL, stable_epoch
from lmc.result import Result
from pages.ui.captions import measured
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


def stable_from(result: Result, view: View, alignment: pd.DataFrame) -> int | None:
    """The first epoch whose permutation leaves a mean error barrier of at most 0.02 from then on."""
    if view.pair == ALL:
        found = result.metrics.get(f"stable_epoch.{view.method}.fit.{view.split}")
        return None if found is None else int(found)
    return stable_epoch(mean_errors(alignment, method=view.method, split=view.split))


def film(result: Result, config: Trajectory, view: View, path: pd.DataFrame, alignment: pd.DataFrame) -> None:
    """Draw the film at the epoch in the address; where it rests goes there."""
    data = _film_data(result.id, tuple(view.look(config).items()), view.pair, path, alignment)
    checkpoints = config.checkpoints
    start = st.query_params.get("epoch", "")
    epoch = int(start) if start.isdecimal() else checkpoints[len(checkpoints) // 2]
    epoch_film(data, "epoch_film", epoch, f"{result.id} {view}", keep_epoch)


@st.cache_resource(show_spinner=False, max_entries=64)
def _film_data(
    id: str,  # noqa: ARG001 - the key, with the look and the pair
    look: tuple[tuple[str, Any], ...],
    pair: str,  # noqa: ARG001
    _path: pd.DataFrame,
    _alignment: pd.DataFrame,
) -> dict[str, Any]:
    return film_data(_path, _alignment, **dict(look))


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
    names = names_of(config)
    straight, curves = (_own(result.frame(name), names) for name in ("straight", "curves"))
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("From first to last weights", anchor=False)
        chart = partial(straight_chart, straight, names, split=view.split)
        show("straight_chart", chart, result.id, view.split)
        st.caption(
            "The straight line through all weights from the start to the end of training: a way that training did not "
            f"take. {' '.join(straight_words(straight, 'loss', split) for split in ('train', 'test'))}"
        )
    with right:
        st.subheader("Learning curves", anchor=False)
        split = "test" if view.measure == "error" else view.split
        chart = partial(seeds_chart, curves, names, split=split, measure=view.measure)
        show("seeds_chart", chart, result.id, split, view.measure)
        st.caption(
            f"Do other seeds learn otherwise? {seeds_words(curves, split=split, measure=view.measure)}"
            + " While networks learn, errors are measured on test data alone." * (split != view.split)
        )


def names_of(config: Trajectory) -> dict[str, str]:
    """Label → what the network is called, without twins, whose curves are the same."""
    labels = [network.label for network in config.networks()[: len(config.seeds)]]
    few = len(labels) <= 3
    return {label: network_label("ABC"[i], label) if few else f"seed {label}" for i, label in enumerate(labels)}


def _own(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    return table[table["network"].isin(names)]
