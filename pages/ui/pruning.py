"""The parts of the pruning page: its settings, when to begin, what is drawn meanwhile, and the control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lmc.charts.pruning import PERMUTATIONS, pruning_chart
from lmc.charts.pruning_answer import pruning_answer, twin_answer
from lmc.experiments import CONTROLS, LAST_LAYERS, METHODS, Experiment, Pair, Pruning, Transport, dataset_info
from lmc.experiments.options import check_number
from lmc.experiments.spelling import value_of
from lmc.result import Result
from pages.ui.asking import asked
from pages.ui.captions import measured, wider
from pages.ui.choices import BUILT_IN
from pages.ui.figures import show
from pages.ui.group import GroupView, group_controls
from pages.ui.own import Check, check_among, check_option, number_control
from pages.ui.progress import Partly
from pages.ui.runs import known_networks
from pages.ui.twins import control_choice

AT_ONCE = 128  # the widest networks that are trained and pruned without being asked

ORDERS = {**PERMUTATIONS, "none": "As it is"}
"""Permutation in the tables → what the control and the address call the order of B's units."""

CHECKS: Mapping[str, Check] = {
    "levels": check_option(Pruning, "levels"),
    "rewind": check_option(Pruning, "rewind"),
    "prune": lambda word: check_number("prune", value_of(word), _limits("prune"), whole=False),
    "last_layer": check_among("last_layer", list(LAST_LAYERS)),
    "control": check_among("control", list(CONTROLS)),
    "matched": check_among("matched", list(METHODS)),
    "level": check_option(Transport, "level"),
    "order": check_among("order", list(ORDERS.values())),
}
"""What the address may ask of this page."""


@dataclass(frozen=True)
class PruningView(GroupView):
    """What is shown; `matched` is the method whose permutations are."""

    matched: str

    def address(self) -> dict[str, object]:
        """The parameters of a link to this view."""
        return {**super().address(), "matched": self.matched}


# What is chosen


def pruning_settings(picked: Pair) -> tuple[dict[str, Any], PruningView, str]:
    """Draw the controls; the settings of the experiment, what is shown, and a sentence where one had to give way."""
    *places, matching, often, more = st.columns([3, 3, 3, 3, 3], vertical_alignment="bottom")
    shown = group_controls(places)
    with matching:
        matched = _matched_control(picked)
    with often:
        levels = number_control(
            Pruning, "levels", "Levels", "How often the networks are pruned and trained again; level 0 is dense."
        )
    with more.popover("More", icon=":material/tune:"):
        prune = _prune_control()
        rewind = number_control(
            Pruning,
            "rewind",
            "Rewind to epoch",
            "What is left of the weights goes back to its values after this epoch, and training goes on from there.",
        )
        last_layer = st.selectbox(
            "Last layer",
            LAST_LAYERS,
            key="last_layer",
            bind="query-params",
            help="The layer that gives the answers: keep all its weights, or prune it like the others. Biases and "
            "norms are always kept.",
        )
        control = control_choice()
    latest = picked.recipe.epochs - 1
    said = f"Training has {picked.recipe.epochs} epochs, so levels rewind to epoch {latest}." if rewind > latest else ""
    own = {"levels": levels, "prune": prune, "rewind": min(rewind, latest), "last_layer": last_layer}
    view = PruningView(split=shown.split, measure=shown.measure, matched=matched)
    return {**own, "control": control, "method": ("none", matched)}, view, said


def _matched_control(picked: Pair) -> str:
    methods = [method for method in picked.method if method != "none"] or ["none"]
    if "matched" in st.session_state and st.session_state["matched"] not in methods:  # no longer in the sidebar
        del st.session_state["matched"]
    return str(
        st.selectbox(
            "Matched by",
            methods,
            key="matched",
            bind="query-params",
            help="One of the methods in the sidebar. It is asked again at every level, for every pair.",
        )
    )


def _prune_control() -> float:
    option: Any = Pruning.__dataclass_fields__["prune"]
    value = st.number_input(
        "Pruned at each level",
        _limits("prune")["low"],
        _limits("prune")["high"],
        option.default,
        0.05,
        format="%g",
        key="prune",
        bind="query-params",
        help="Share of the weights that are left, the smallest of all layers together. 0.2 leaves 80% of them after "
        "one level, 64% after two.",
    )
    return float(option.default if value is None else value)


def _limits(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = Pruning.__dataclass_fields__[name].metadata
    return found


# When to begin


def begins(config: Pruning) -> bool:
    """Whether to ask for the result now. If not, a button and what it would cost are drawn."""
    quick = config.dataset in BUILT_IN and config.arch == "mlp" and config.width <= AT_ONCE and len(config.seeds) <= 6
    return quick or asked(config, lambda: cost(config, {about["id"] for about in known_networks()}))


def cost(config: Pruning, known: set[str]) -> str:
    """How much would be trained, in words."""
    networks = config.used()
    missing = sum(network.id not in known for network in networks)
    info, epochs = dataset_info(config.dataset), config.recipe.epochs
    there = f" {len(networks) - missing} of the {len(networks)} are trained already." if missing < len(networks) else ""
    return (
        f"This trains **{len(networks)} networks** for {epochs} epochs on {info.train_images:,} {info.kind}, and each "
        f"of them **{config.levels} times** more, from epoch {config.rewind} on, while it is pruned.{there} On a large "
        "data set without a GPU that takes hours. Levels appear as they are computed, and the run goes on if you leave."
    )


# What is shown


def planned(config: Pruning) -> tuple[float, ...]:
    """The share of weights that is left at each level, but for rounding."""
    return tuple((1 - config.prune) ** level for level in range(config.levels + 1))


def look_of(config: Experiment, view: PruningView) -> dict[str, Any]:
    """What chart and sentences need to know of the view."""
    resolution = 1 / measured(config, view.split)
    return {"split": view.split, "measure": view.measure, "method": view.matched, "resolution": resolution}


def draw_so_far(config: Pruning, view: PruningView) -> Partly:
    """What draws the chart from the levels that are done."""
    total = len(config.members())

    def draw(tables: dict[str, pd.DataFrame]) -> None:
        found = tables["levels"]
        if found.empty:
            return
        done = found.groupby("level")["pair"].nunique()
        level = int(done.index.max())
        of = f" for {done[level]} of {total} pairs" if done[level] < total else ""
        st.markdown(f"**Level {level} of {config.levels}** is measured{of}.")
        chart = partial(pruning_chart, found, planned=planned(config), **look_of(config, view))
        show("pruning_so_far", chart, config.id, len(found), view)

    return draw


def answer(result: Result, config: Pruning, view: PruningView) -> str:
    """The answer in numbers; of twins, that of the control."""
    return _answer(result.id, view, _config=config, _levels=result.frame("levels"))


@st.cache_resource(show_spinner=False, max_entries=256)
def _answer(id: str, view: PruningView, _config: Pruning, _levels: pd.DataFrame) -> str:  # noqa: ARG001 - the key
    if _config.control == "twin":
        return twin_answer(_levels, dtype=_config.dtype)
    return pruning_answer(_levels, width=_config.width, wider=wider(_config), **look_of(_config, view))


def transport_of(config: Pruning, level: int) -> Transport:
    """The networks of `config` under one another's masks of a level."""
    names = {spec.name for spec in fields(Pruning)} & {spec.name for spec in fields(Transport)}
    return Transport(**{name: getattr(config, name) for name in names}, level=level)


def what_to_try(config: Pruning) -> str:
    """A few suggestions that differ from what is shown."""
    more = None if config.arch == "mlp" and config.width >= 128 else wider(config)
    return " ".join(
        (
            f"Raise the width to {more}: the old order goes on fitting longer."
            if more
            else "Halve the width, and again: how long does the old order go on fitting?",
            "Rewind to epoch 0: do the networks still end where the old order fits?"
            if config.rewind
            else "Rewind to epoch 5: is it easier when the networks begin with more of what they learned?",
            f"Prune {'50' if config.prune < 0.4 else '10'}% at each level.",
            "Take the seeds 0 1 2: single pairs differ by many points."
            if len(config.members()) == 1
            else "Take six seeds: all fifteen pairs of them make the intervals smaller.",
        )
    )
