"""The parts of the width page: which widths, which comparisons, when to begin, and what is said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lmc.charts.width import comparison_label, triple_barriers, width_chart
from lmc.charts.width_answer import best_method, width_answer
from lmc.experiments import Experiment, Pair, Triple, Width, dataset_info, get_architecture
from lmc.experiments.spelling import value_of
from pages.ui.asking import asked
from pages.ui.captions import measured
from pages.ui.choices import BUILT_IN, nearest_width
from pages.ui.figures import show
from pages.ui.group import GroupView
from pages.ui.own import Check, check_among, check_together
from pages.ui.progress import Partly
from pages.ui.runs import known_networks

COMPARISONS = {comparison_label(name): name for name in ("1-2 direct", "1-2 via 0", "simplex", "centroid")}
"""What stands in the control and the address → comparison in the table."""
SHOWN = list(COMPARISONS)[:3]
STRICTEST = ("simplex", "1-2 via 0", "1-2 direct", "centroid")
"""What asks most of the networks comes first."""

CHECKS: Mapping[str, Check] = {"comparison": check_among("comparison", list(COMPARISONS)), "together": check_together}
"""What the address may ask of this page."""

AT_ONCE = 512  # the widest networks that are trained without being asked


# What is chosen


def widths_control(arch: str) -> tuple[int | float | str, ...]:
    """The widths as they were typed; those usual for the architecture where nothing was."""
    usual = " ".join(map(str, usual_widths(arch)))
    before = st.session_state.get("_usual_widths", usual)
    if before != usual and st.session_state.get("widths", before) == before:  # another architecture, untouched widths
        st.session_state["widths"] = usual
    st.session_state["_usual_widths"] = usual
    given = st.text_input(
        "Widths",
        usual,
        key="widths",
        bind="query-params",
        placeholder=usual,
        help="Hidden units in a layer (channels in a convolution); the networks are trained at each of these widths. "
        "The width in the sidebar does not matter on this page.",
    )
    return tuple(value_of(word) for word in (given or usual).replace(",", " ").split())


def usual_widths(arch: str) -> list[int]:
    """Doublings that show the story: those of the experiment, and for larger architectures around their own width."""
    if arch == "mlp":
        return list(default_of(Width, "widths"))
    own = get_architecture(arch).default_width
    return sorted({nearest_width(arch, own * factor) for factor in (0.25, 0.5, 1, 2)})


def comparison_control() -> tuple[str, ...]:
    """The comparisons that get a panel of their own, at least one."""
    chosen = st.multiselect(
        "Barriers between networks",
        list(COMPARISONS),
        SHOWN,
        key="comparison",
        bind="query-params",
        help="Matched to each other: two networks, one of them reordered for the other. Both matched to a third: each "
        "is reordered for the same third network, then they are compared. Whole triangle: the highest point anywhere "
        "between all three. Middle: their mean.",
    )
    return tuple(COMPARISONS[word] for word in COMPARISONS if word in (chosen or SHOWN))


def most_triples(config: Pair) -> int:
    """The picker's number of groups; where it stands at its start, that of this experiment."""
    return int(default_of(Width, "groups") if config.groups == default_of(Pair, "groups") else config.groups)


def default_of(kind: type[Experiment], name: str) -> Any:
    """Where an option of an experiment starts."""
    return kind.__dataclass_fields__[name].default


# When to begin


def begins(config: Width) -> bool:
    """Whether to ask for the result now. If not, a button and what it would cost are drawn."""
    return _quick(config) or asked(config, lambda: cost(config, {about["id"] for about in known_networks()}))


def _quick(config: Width) -> bool:
    return config.dataset in BUILT_IN and config.arch == "mlp" and config.widths[-1] <= AT_ONCE


def cost(config: Width, known: set[str]) -> str:
    """How many networks would be trained, on how much, in words."""
    wanted = {network.id for network in config.networks()}
    missing = len(wanted - known)
    if not missing:
        return f"All {len(wanted)} networks are trained already; what is left is to compare them."
    info, epochs = dataset_info(config.dataset), config.recipe.epochs
    there = f" {len(wanted) - missing} of the {len(wanted)} are there already." if missing < len(wanted) else ""
    return (
        f"This trains **{missing} networks** of {_spoken(config.widths)}, each for {epochs} epochs on "
        f"{info.train_images:,} {info.kind}.{there} The widest take longest: minutes each on a large data set without "
        "a GPU. Points appear as they are computed, and the run goes on if you leave."
    )


def _spoken(widths: Sequence[int]) -> str:
    return f"width {widths[0]}" if len(widths) == 1 else f"{len(widths)} widths from {widths[0]} to {widths[-1]}"


# What is shown


def draw_so_far(config: Width, view: GroupView, comparisons: tuple[str, ...]) -> Partly:
    """What draws the chart from the triples that are done, the narrowest first."""
    total = len(config.children())
    look = {**look_of(config, view), "comparisons": comparisons, "methods": config.method, "planned": config.widths}

    def draw(tables: dict[str, pd.DataFrame]) -> None:
        found = tables["widths"]
        done = len(found[["width", "triple"]].drop_duplicates())
        st.markdown(f"**{done} of {total} triples** are measured, up to width {found['width'].max()}.")
        chart = partial(width_chart, found, **look)
        show("width_so_far", chart, config.id, done, view, comparisons)

    return draw


def look_of(config: Experiment, view: GroupView) -> dict[str, Any]:
    """What chart and sentences need to know of the view."""
    return {**view.address(), "resolution": 1 / measured(config, view.split)}


def crossing_caption(triples: int) -> str:
    """How the width in the answer is found."""
    known = (
        "The interval in brackets comes from the spread between triples."
        if triples > 1
        else "With one triple, the interval in brackets knows only how far the points lie from such a line."
    )
    return (
        "The width in the answer is where the mean crosses the dotted line. Between the measured widths and beyond "
        f"them the logarithm of the barrier is taken to change evenly with the logarithm of the width. {known}"
    )


def triple_at(config: Width, spot: Mapping[str, Any]) -> Triple | None:
    """The triple whose point was clicked, as an experiment of its own."""
    for child in config.children():
        if isinstance(child, Triple) and (child.width, name_of(child)) == (spot.get("width"), spot.get("triple")):
            return child
    return None


def in_full(triple: Triple) -> Triple:
    """The triple as its own page shows it: with a finer triangle, and each network in turn as the reference."""
    return replace(triple, **{name: default_of(Triple, name) for name in ("side", "references")})


def name_of(triple: Triple) -> str:
    """`0-1-2`, as it is called in tables."""
    return "-".join(network.label for network in triple.networks())


def answers(id: str, table: pd.DataFrame, comparisons: tuple[str, ...], look: Mapping[str, Any]) -> list[str]:
    """A sentence for each comparison, the strictest first; all speak of the method that is best there."""
    ordered = tuple(name for name in STRICTEST if name in comparisons)
    return _answers(id, tuple(table["method"].unique()), ordered, tuple(look.items()), table)


@st.cache_resource(show_spinner=False, max_entries=256)
def _answers(
    id: str,  # noqa: ARG001 - the key, with the methods
    methods: tuple[str, ...],  # noqa: ARG001
    comparisons: tuple[str, ...],
    look: tuple[tuple[str, Any], ...],
    _table: pd.DataFrame,
) -> list[str]:
    seen = dict(look)
    strictest = triple_barriers(_table, comparisons[:1], split=seen["split"], measure=seen["measure"])
    method = best_method(strictest)
    return [width_answer(_table, comparison=comparison, method=method, **seen) for comparison in comparisons]
