"""The parts of the methods page: which methods, when to begin, and the searches as they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lmc.charts.barrier import path_chart
from lmc.charts.methods_course import ROWS, course_rows, growing_course, objective_chart
from lmc.charts.style import describe
from lmc.experiments import METHODS, Methods, Pair, dataset_info
from pages.ui.asking import asked
from pages.ui.captions import measured
from pages.ui.choices import BUILT_IN
from pages.ui.controls import ALL, View
from pages.ui.figures import show
from pages.ui.match import layer_names
from pages.ui.own import Check, check_among, check_between
from pages.ui.progress import Partly
from pages.ui.runs import known_networks

COMPARED = [method for method in METHODS if method != "random"]
CHECKS: dict[str, Check] = {
    "compared": check_among("compared", list(METHODS)),
    "xor_lam": check_between("xor_lam", 0.0, 1.0),
}
"""What the address may ask of this page."""
MANY = 3  # the most pairs that are compared without being asked
MOST = {"width": 64, "depth": 6, "restarts": 20, "match_steps": 300, "anneal_steps": 10_000}
"""The most of each that is computed without being asked, so that an address alone starts no huge search."""


@dataclass(frozen=True)
class Shown:
    """What of a comparison is shown."""

    methods: tuple[str, ...]
    view: View

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of these methods and of the chosen pairs."""
        rows = table[table["method"].isin(self.methods)]
        if "other" in rows:
            rows = rows[rows["other"].isin(self.methods)]
        return rows if self.view.pair == ALL else rows[rows["pair"] == self.view.pair]

    def with_course(self, config: Methods) -> tuple[str, ...]:
        """The methods of which losses halfway are shown; with `sinkhorn_loss` l2 Sinkhorn descends something else."""
        return tuple(m for m in self.methods if m != "sinkhorn" or config.sinkhorn_loss != "l2")

    def look(self, config: Methods) -> dict[str, Any]:
        """What charts and sentences need to know of the view."""
        look = {"split": self.view.split, "measure": self.view.measure, "baseline": self.view.baseline}
        return {**look, "resolution": 1 / measured(config, self.view.split)}

    def address(self) -> dict[str, object]:
        """The parameters of a link to this view."""
        return {**self.view.address(), "compared": list(self.methods)}


# What is chosen, and when to begin


def compared_control() -> tuple[str, ...]:
    """The methods that the page compares; its own choice, at least one."""
    chosen = st.multiselect(
        "Methods compared",
        METHODS,
        COMPARED,
        key="compared",
        bind="query-params",
        help="All ways of finding an order of B's units, by the words of the command line. This page has a choice of "
        "its own, so that every page keeps its methods. random is a control: any order at all.",
    )
    return tuple(method for method in METHODS if method in (chosen or COMPARED))


def comparison_of(picked: Pair, methods: Sequence[str]) -> Methods:
    """The picker's networks under these methods."""
    return Methods(**{spec.name: getattr(picked, spec.name) for spec in fields(picked)} | {"method": tuple(methods)})


def quick(config: Methods) -> bool:
    """Whether every method takes seconds; see `MOST`."""
    small = config.dataset in BUILT_IN and config.arch == "mlp" and len(config.members()) <= MANY
    return small and all(getattr(config, name) <= most for name, most in MOST.items())


def computed(config: Methods) -> Methods:
    """What is computed for a choice: where that takes seconds all methods, so that each can be shown at once."""
    return replace(config, method=METHODS) if quick(config) else config


def begins(config: Methods) -> bool:
    """Whether to ask for the result now. If not, a button and what it would cost are drawn."""
    return quick(config) or asked(config, lambda: cost(config, {about["id"] for about in known_networks()}))


def cost(config: Methods, known: set[str]) -> str:
    """How much would be trained and searched, in words."""
    wanted = {network.id for network in config.networks()}
    missing = 0 if config.load else len(wanted - known)
    info = dataset_info(config.dataset)
    trained = (
        f"This trains **{missing} networks** of width {config.width}, each for {config.recipe.epochs} epochs on "
        f"{info.train_images:,} {info.kind}."
        if missing
        else "All networks are there."
    )
    return f"{trained} {_searched(config)} Methods appear as they are done, and the run goes on if you leave."


def _searched(config: Methods) -> str:
    pairs = len(config.members())
    said = f"Then **{len(config.method)} methods** look at **{pairs} pair{'s' * (pairs > 1)}**, the quick ones first."
    if stepwise := [method for method in ("straight_through", "sinkhorn") if method in config.method]:
        said += (
            f" Of each pair, {' and '.join(stepwise)} take{'s' * (len(stepwise) == 1)} {config.match_steps:,} steps."
        )
    if "annealing" in config.method:
        said += (
            f" annealing tries {config.anneal_steps:,} swaps, which takes minutes of wide networks, or hours of deep "
            "convolutional ones: leave it out above to be faster."
        )
    return said


# While it is computed


def draw_so_far(config: Methods, shown: Shown) -> Partly:
    """What draws the methods that are done, and the searches that go on."""
    planned = len(computed(config).parts())

    def draw(tables: dict[str, pd.DataFrame]) -> None:
        found = {name: shown.rows(table) for name, table in tables.items()}
        path, times = found.get("path"), found.get("methods")
        done = len(tables["methods"]) if "methods" in tables else 0
        st.markdown(f"**{done} of {planned} searches** are done and measured.")
        if path is not None and len(path):
            chart = partial(path_chart, path, **shown.look(config))
            show("path_so_far", chart, config.id, len(times) if times is not None else 0, shown)
        steps = [found[name] for name in ("course", "steps") if name in found and len(found[name])]
        if steps:
            _draw_searches(pd.concat(steps), path, times, shown.with_course(config))
            _draw_steps(pd.concat(steps), config)

    return draw


def _draw_searches(
    steps: pd.DataFrame, path: pd.DataFrame | None, times: pd.DataFrame | None, methods: tuple[str, ...]
) -> None:
    """The chart stays the same, so the browser only takes in the new rows."""
    rows = course_rows(steps, path, times, methods=methods, mean=False)
    if not len(rows):
        return
    spec, text = _frame_of_searches(methods)
    st.vega_lite_chart(spec={**spec, "datasets": {ROWS: rows}}, width="stretch", key="growing_course", alt=text)
    marks = " ◆: methods that look at no loss." * bool((rows["kind"] == "mark").any())
    st.caption(f"The lowest loss so far, halfway between A and the reordered B.{marks}")


def _draw_steps(steps: pd.DataFrame, config: Methods) -> None:
    """Weight matching on the first pair that it has begun with."""
    rows = steps[steps["method"] == "weight"]
    if len(rows):
        rows = rows[rows["pair"] == rows["pair"].iloc[0]]
        names = layer_names(sorted(rows["group"].dropna()))
        chart = partial(objective_chart, rows, pair=str(rows["pair"].iloc[0]), names=names, kernel=config.weight_kernel)
        show("objective_so_far", chart, config.id, len(rows), rows["pair"].iloc[0])
        st.caption(f"Weight matching on pair {rows['pair'].iloc[0]}, layer by layer.")


@st.cache_resource(show_spinner=False, max_entries=64)
def _frame_of_searches(methods: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    chart = growing_course(methods)
    return chart.to_dict(), describe(chart)
