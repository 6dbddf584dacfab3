"""What pruning keeps: the masks of two networks at one level, and whether one's mask serves the other."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from lmc.charts.masks import masks_chart, overlap_chart
from lmc.charts.pruning_answer import overlap_answer, transport_answer
from lmc.charts.pruning_transport import transport_chart
from lmc.charts.style import method_label, percent
from lmc.experiments import Pruning, array_name
from lmc.experiments.comparison import SHOWN_UNITS
from lmc.experiments.spelling import command
from lmc.result import Result
from pages.ui.asking import asked
from pages.ui.figures import show
from pages.ui.match import layer_names
from pages.ui.pruning import ORDERS, PruningView, look_of, transport_of
from pages.ui.runs import result_of


class MaskView(NamedTuple):
    """Whose masks are shown: of which pair, at which level, in which layer (of weights), and B in which order."""

    pair: str
    level: int
    layer: str
    order: str

    def address(self) -> dict[str, object]:
        """The parameters of a link to this view."""
        layer = _in_words([self.layer])[self.layer]
        return {"of": self.pair, "level": self.level, "layer": layer, "order": ORDERS[self.order]}


def show_masks(result: Result, config: Pruning, view: PruningView) -> MaskView:
    """Draw the masks of one pair and how much of them is the same; what was chosen."""
    st.subheader("What pruning keeps", anchor=False)
    masks = result.frame("masks")
    names = _in_words(masks["layer"].drop_duplicates().tolist())
    chosen = _controls(config, names, view.matched)
    a = result.arrays[array_name(chosen.pair, "none", f"mask_a@{chosen.level}", chosen.layer)]
    method = "none" if chosen.order == "none" else view.matched
    b = result.arrays[array_name(chosen.pair, method, f"mask_{chosen.order}@{chosen.level}", chosen.layer)]
    networks = config.networks()
    first, second = _pairs(config)[chosen.pair]
    labels = (networks[first].label, networks[second].label)
    chart = partial(masks_chart, a, b, labels=labels, permuted=chosen.order != "none")
    show("masks_chart", chart, result.id, method, chosen)
    st.markdown(f"**{_overlap(result, chosen.level, view.matched, chosen.order)}**")
    st.caption(
        f"{names[chosen.layer]}, each row a unit and each column one of its inputs{_cut(a)}. Coloured "
        f"weights were kept{_parts(a)}. A's mask stands as it is; B's rows and columns are put in the order of the "
        "permutation."
    )
    overlaps = partial(overlap_chart, masks, level=chosen.level, method=view.matched, names=names)
    show("overlap_chart", overlaps, result.id, chosen.level, view.matched)
    st.caption(
        "Of all weights that A or B keeps in a layer, the share that both keep; the mean over the pairs. The bar marks "
        "what two masks of these densities share by chance."
    )
    return chosen


def show_transport(config: Pruning, view: PruningView, level: int, levels: pd.DataFrame) -> Result | None:
    """B trained under A's mask, drawn when somebody asks for it; the result if it is there."""
    st.subheader("One network's mask for the other", anchor=False)
    tried = transport_of(config, level)
    dense = levels[(levels["level"] == 0) & (levels["split"] == view.split) & (levels["permutation"] == "none")]
    left = percent(float(levels.loc[levels["level"] == level, "density"].iloc[0]))
    count = len(config.members()) * (1 + len(tried.method))
    words = (
        f"Does A's mask serve B, once it is put in B's order? At level {level}, with {left} of the weights left, B is "
        "trained from its own early weights under A's mask in the order of the permutation, under A's mask as it is, "
        f"and under a random one. That takes **{count} more trainings**. The level is the one chosen above."
    )
    if not asked(tried, lambda: words, f"Train them at level {level}"):
        return None
    result = result_of(tried, lambda tables: _transport("so_far", tables["transport"], view, config, dense))
    if result is None:
        return None
    table = result.frame("transport")
    _transport(result.id, table, view, config, dense)
    st.markdown(f"**{_answer(result.id, view, _config=config, _table=table)}**")
    st.caption(
        f"B trained from its own weights after epoch {config.rewind}, at level {level} with {left} left. "
        "A mask says only which weights are kept; their values are always B's. The random mask keeps as many in every "
        "layer. Small dots are pairs, the large one is their mean with its 95% interval."
    )
    st.code(command(tried), language="bash", wrap_lines=True)
    return result


def _transport(id: str, table: pd.DataFrame, view: PruningView, config: Pruning, dense: pd.DataFrame) -> None:
    if table.empty:
        return
    before = float(dense["error_b"].mean()) if view.measure == "error" else None
    chart = partial(transport_chart, table, dense=before, **_look(config, view))
    show("transport_chart", chart, id, config.id, len(table), view)


@st.cache_resource(show_spinner=False, max_entries=256)
def _answer(id: str, view: PruningView, _config: Pruning, _table: pd.DataFrame) -> str:  # noqa: ARG001 - the key
    return transport_answer(_table, **_look(_config, view))


def _look(config: Pruning, view: PruningView) -> dict[str, Any]:
    return {name: value for name, value in look_of(config, view).items() if name != "method"}


def _controls(config: Pruning, names: dict[str, str], matched: str) -> MaskView:
    pairs = list(_pairs(config))
    orders = {ORDERS[name]: name for name in (ORDERS if matched != "none" else ["none"])}
    if (st.session_state.get("level") or 0) > config.levels:  # of more levels
        st.session_state["level"] = config.levels
    by_name = {name: layer for layer, name in names.items()}
    for key, allowed in (("of", pairs), ("layer", list(by_name)), ("order", list(orders))):
        if key in st.session_state and st.session_state[key] not in allowed:  # of other networks
            del st.session_state[key]
    columns = st.columns([1, 2, 2, 4], vertical_alignment="top")
    pair = columns[0].selectbox("Pair", pairs, key="of", bind="query-params")
    level = columns[1].number_input(
        "Level",
        1,
        config.levels,
        config.levels,
        key="level",
        bind="query-params",
        help="How often the networks were pruned.",
    )
    layer = columns[2].selectbox("Layer", list(by_name), key="layer", bind="query-params")
    order = columns[3].radio(
        "Order of B's units",
        list(orders),
        index=min(1, len(orders) - 1),
        horizontal=True,
        key="order",
        bind="query-params",
        help=f"Under {method_label(matched).lower()}." if matched != "none" else None,
    )
    return MaskView(pair, int(level or config.levels), by_name[str(layer)], orders[str(order)])


def _pairs(config: Pruning) -> dict[str, tuple[int, ...]]:
    networks = config.networks()
    return {f"{networks[i].label}-{networks[j].label}": (i, j) for i, j in config.members()}


def _in_words(weights: list[str]) -> dict[str, str]:
    """Name of a weight → its layer in words."""
    named = layer_names([name.removesuffix(".weight") for name in weights])
    return {name: named[name.removesuffix(".weight")] for name in weights}


def _cut(mask: npt.NDArray[np.uint8]) -> str:
    return f" (the first {SHOWN_UNITS} of each)" * (max(mask.shape) == SHOWN_UNITS)


def _parts(mask: npt.NDArray[np.uint8]) -> str:
    return "; the fainter a kernel, the fewer of its weights" * bool(((mask > 0) & (mask < 255)).any())


@st.cache_resource(show_spinner=False, max_entries=256)
def _overlap_of(id: str, level: int, method: str, order: str, _masks: pd.DataFrame) -> str:  # noqa: ARG001 - the key
    return overlap_answer(_masks, level=level, method=method, permutation=order)


def _overlap(result: Result, level: int, method: str, order: str) -> str:
    return _overlap_of(result.id, level, method, order, result.frame("masks"))
