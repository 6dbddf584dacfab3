"""The picture of the match: which units of A and B answer alike, before and after."""

from __future__ import annotations

import numpy as np
import streamlit as st

from lmc.charts.layers import layers_chart, similarity_chart
from lmc.charts.style import method_label
from lmc.experiments import Pair, array_name
from lmc.result import Result
from pages.ui.figures import show


def show_match(result: Result, config: Pair, pair: str) -> None:
    """Per layer: unit similarity before and after one method, and the share of units that moved."""
    st.subheader("The match, layer by layer", anchor=False)
    methods = [method for method in config.method if method != "none"]
    if not methods:
        st.caption("Choose a matching method in the sidebar to see which units it pairs.")
        return
    layers = result.frame("layers")
    if layers.empty:
        st.caption("Layers of one unit have nothing to reorder.")
        return
    names = layer_names(layers["permutation"].tolist())
    columns = st.columns([1, 1])
    method = columns[0].radio("Matched by", methods, horizontal=True, format_func=method_label, key="shown_method")
    layer = columns[1].radio(
        "Hidden layer", list(names), horizontal=True, format_func=lambda group: names[group], key="shown_layer"
    )
    before, after = (result.arrays[array_name(pair, m, "similarity", layer)] for m in ("none", method))
    best_first = np.argsort(-after.diagonal(), kind="stable")
    order = np.ix_(best_first, best_first)
    show("similarity_chart", lambda: similarity_chart(before[order], after[order]), result.id, pair, method, layer)
    units = config.width
    shown = f" {len(before)} of {units} units are drawn, evenly spaced." if len(before) < units else ""
    st.caption(
        "Each cell: how alike one unit of A and one of B answer over the training images. On the diagonal stand the "
        f"units that are merged with each other, the most alike of them first.{shown}"
    )
    rows = layers[(layers["pair"] == pair) & (layers["method"] == method)]
    named = rows.assign(permutation=rows["permutation"].map(names))
    show("layers_chart", lambda: layers_chart(named), result.id, pair, method)
    st.caption(f"Seeds {pair.replace('-', ' and ')}, {method_label(method).lower()}: mean similarity of paired units.")


def layer_names(groups: list[str]) -> dict[str, str]:
    """Group → `Layer 1`, `Layer 2`, … in the order of the network."""
    return {group: f"Layer {i + 1}" for i, group in enumerate(dict.fromkeys(groups))}
