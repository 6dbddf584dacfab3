"""What the methods found: barriers and times, the searches, whether the orders agree, and whether they are decided."""

from __future__ import annotations

from collections.abc import Hashable

import pandas as pd
import streamlit as st

from lmc.charts.barrier import path_chart
from lmc.charts.methods import UNSEARCHED, tradeoff_chart
from lmc.charts.methods_answer import methods_answer
from lmc.charts.methods_course import DESCENTS, at_once, course_chart, objective_chart
from lmc.charts.methods_maps import agreement_chart, decided_chart
from lmc.experiments import Methods, dataset_info
from lmc.result import Result
from pages.ui.captions import measured, noun
from pages.ui.controls import ALL
from pages.ui.figures import show
from pages.ui.match import layer_names
from pages.ui.methods import Shown

LIKENESS = {"dot": "inner product", "cosine": "sum of cosines"}
"""Weight similarity → what the steps of weight matching are."""
_STEPS_IN_WORDS = {
    "dot": "The inner product is the sum over all weights of A's times B's: the larger, the nearer the two networks.",
    "cosine": "For every unit and every tensor the cosine between A's weights and B's is taken, and all are summed: "
    "the larger, the more alike are the units that stand in the same place.",
}


class Found:
    """A result and what of it is shown."""

    def __init__(self, result: Result, config: Methods, shown: Shown) -> None:
        self.result, self.config, self.shown, self.view = result, config, shown, shown.view
        self.key: tuple[Hashable, ...] = (result.id, tuple(config.labels), shown)

    def table(self, name: str) -> pd.DataFrame:
        """The rows of a table that are shown."""
        return self.shown.rows(self.result.frame(name))

    @property
    def methods(self) -> list[str]:
        """The chosen methods but for the controls."""
        return [method for method in self.shown.methods if method not in UNSEARCHED]

    @property
    def pairs(self) -> int:
        """How many pairs are shown."""
        return len(self.config.members()) if self.view.pair == ALL else 1

    def curves(self) -> object:
        """The barrier curves of all methods."""
        return path_chart(
            self.table("path"),
            **self.shown.look(self.config),
            labels=self.view.end_labels if self.pairs == 1 else None,
        )

    def answer(self) -> str:
        """What is lowest, what is fastest, and what time buys."""
        return _answer(self.key, self)


@st.cache_resource(show_spinner=False, max_entries=256)
def _answer(key: tuple[Hashable, ...], _found: Found) -> str:  # noqa: ARG001
    return methods_answer(_found.table("path"), _found.table("methods"), **_found.shown.look(_found.config))


def show_tradeoff(found: Found) -> None:
    """Barriers against times."""
    if not found.methods:
        return
    st.subheader("What time buys", anchor=False)
    look = found.shown.look(found.config)
    show("tradeoff_chart", lambda: tradeoff_chart(found.table("path"), found.table("methods"), **look), *found.key)
    words = (
        f" Marks are means over {found.pairs} pairs, and upright lines "
        f"{'their 95% intervals' if found.pairs > 2 else 'reach from the lower barrier to the higher'}. Level lines "
        "reach from the fastest pair to the slowest."
    )
    st.caption(
        "Lower is better, further left is cheaper. The thin line joins the methods that no other beats in both. Time: "
        f"the search alone, without training and measuring, on {found.result.made_with.get('device', 'one machine')}; "
        f"of quick methods the fastest of up to five runs.{words * (found.pairs > 1)} Times are those of the machine "
        "that computed the result. In the app each worker has one thread, and other searches may have run beside "
        "this one and slowed it down."
    )


def show_searches(found: Found) -> None:
    """The loss halfway as time passes, and weight matching step by step."""
    config, methods = found.config, found.shown.with_course(found.config)
    if set(methods) & set(DESCENTS):
        st.subheader("The searches", anchor=False)
        show(
            "course_chart",
            lambda: course_chart(found.table("course"), found.table("path"), found.table("methods"), methods=methods),
            *found.key,
        )
        images = min(config.match_images, dataset_info(config.dataset).train_images)
        st.caption(
            "Lines: the lowest loss so far of the network halfway between A and the reordered B. It is measured on "
            f"training {noun(config)} that the search does not learn from: at most a quarter of {images:,}, and at "
            f"most 2,000.{_of_marks(found)}{_of_sinkhorn(config)}"
        )
    if "weight" in found.methods:
        _show_steps(found)


def _of_marks(found: Found) -> str:
    """On the marks in the chart; there are none without a point halfway, as with an even number of points."""
    if at_once(found.table("path"), found.table("methods"), found.shown.methods).empty:
        return ""
    images = f"{measured(found.config, 'train'):,} training {noun(found.config)}"
    return f" ◆: methods that look at no loss, where they end; their loss halfway is that on {images}."


def _of_sinkhorn(config: Methods) -> str:
    if "sinkhorn" not in config.method or config.sinkhorn_loss == "midpoint":
        return ""
    if config.sinkhorn_loss == "l2":
        return " Sinkhorn is not drawn: it makes the distance of the weights small here, not the loss."
    return " Sinkhorn's loss is the mean over points between A and B."


def _show_steps(found: Found) -> None:
    pair, names, kernel = found.view.one, _names(found), found.config.weight_kernel
    if not names:
        return
    st.markdown("**Weight matching, layer by layer**")
    show(
        "objective_chart",
        lambda: objective_chart(found.table("course"), pair=pair, names=names, kernel=kernel),
        *found.key,
    )
    st.caption(
        f"Pair {pair}. At every step one layer of B is put into its best order while the others wait. "
        f"{_STEPS_IN_WORDS[kernel]} The search ends when no layer can gain."
    )


def show_orders(found: Found) -> None:
    """Whether the methods find the same order, and whether there is one order to be found."""
    names = layer_names(_layers(found))
    if not names or not found.methods:
        return
    shown = [method for method in found.shown.methods if method != "random"]
    if len(shown) > 1:
        st.subheader("Do they find the same order?", anchor=False)
        show("agreement_chart", lambda: agreement_chart(found.table("agreement"), methods=shown), *found.key)
        st.caption(
            f"The share of B's units that two methods put in the same place{_mean(found)}. Two orders that have "
            "nothing to do with each other share one unit of a layer on average. Methods may differ and be equally "
            "good: there are many good orders."
        )
    st.subheader("Is the order decided?", anchor=False)
    show("decided_chart", lambda: decided_chart(found.table("decided"), methods=found.methods, names=names), *found.key)
    st.caption(
        "For every layer, when the others stand as the method left them: 0, the weights of its units leave no doubt "
        "which belong together; 1, any order would do as well. It is the entropy of the soft order that Sinkhorn "
        f"iterations make of the likeness (cosine) of the units' weights, as a share of the largest{_mean(found)}."
    )


def _mean(found: Found) -> str:
    return f", mean over {found.pairs} pairs" if found.pairs > 1 else ""


def _layers(found: Found) -> list[str]:
    """The groups of units that can move; blocks of them, such as attention heads, are not among these."""
    return list(found.result.tables["decided"]["permutation"])


def _names(found: Found) -> dict[str, str]:
    """Group → its name in words, of all that weight matching reorders: layers, then blocks of units."""
    return layer_names([*_layers(found), *found.result.frame("course")["group"].dropna()])
