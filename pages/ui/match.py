"""The picture of the match: which units of A and B answer alike, before and after."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lmc.charts.layers import layers_chart, similarity_chart
from lmc.charts.style import method_label
from lmc.experiments import Pair, array_name
from lmc.result import Result
from pages.ui.captions import noun
from pages.ui.figures import show

MOST_BUTTONS = 5  # layers; more of them are a list


def show_match(result: Result, config: Pair, pair: str, networks: str) -> None:
    """Per layer: unit similarity before and after one method; `networks` names the pair's two in words."""
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
    layer = _layer(columns[1], names)
    before, after = (result.arrays[array_name(pair, m, "similarity", layer)] for m in ("none", method))
    best_first = np.argsort(-after.diagonal(), kind="stable")
    order = np.ix_(best_first, best_first)
    show("similarity_chart", lambda: similarity_chart(before[order], after[order]), result.id, pair, method, layer)
    units = int(layers.loc[layers["permutation"] == layer, "units"].iloc[0])
    shown = f" {len(before)} of {units} units are drawn, evenly spaced." if len(before) < units else ""
    st.caption(
        f"Each cell: how alike one unit of A and one of B answer over the training {noun(config)}. On the diagonal "
        f"stand the units that are merged with each other, the most alike of them first.{shown}"
    )
    rows = layers[(layers["pair"] == pair) & (layers["method"] == method)]
    named = rows.assign(permutation=rows["permutation"].map(names))
    show("layers_chart", lambda: layers_chart(named), result.id, pair, method)
    st.caption(f"{networks}, {method_label(method).lower()}: mean similarity of paired units.")


def _layer(place: DeltaGenerator, names: dict[str, str]) -> str:
    called: dict[str, Any] = {"format_func": lambda group: names.get(group, group), "key": "shown_layer"}
    if len(names) <= MOST_BUTTONS:
        return str(place.radio("Hidden layer", list(names), horizontal=True, **called))
    return str(place.selectbox("Hidden layer", list(names), **called))


def layer_names(groups: list[str]) -> dict[str, str]:
    """Group → its name in words, in the order of the network: `layers.0` is Layer 1, `blocks.1.conv1` Block 2 conv1."""
    return {group: _in_words(group) for group in dict.fromkeys(groups)}


def _in_words(group: str) -> str:
    words = re.sub(r"(\w+?)s?\.(\d+)", lambda found: f"{found[1]} {int(found[2]) + 1}", group).replace(".", " ")
    return words[:1].upper() + words[1:].replace("#", " ")
