"""A network of three hidden units that the reader puts in another order by hand."""

from __future__ import annotations

import streamlit as st

from lmc.charts.toy import toy_chart
from lmc.toy import IDENTITY, ToyNetwork, swapped
from pages.ui.figures import show


def permute_by_hand() -> None:
    """Draw the panel: swap units, change the input, watch weights move and the output stay."""
    st.subheader("Why can units be reordered?", anchor=False)
    picture, words = st.columns([3, 2])
    with words:
        st.markdown(
            "A hidden unit is a row of weights coming in and a weight going out. Move the unit, weights and all, and "
            "the sum at the output has the same terms in another order. **Swap units and watch: the weights move, the "
            "output does not.** Three units can stand in 6 orders; 32 units in each of 3 layers in about 10¹⁰⁶."
        )
        buttons = st.columns(3)
        for i, (j, k) in enumerate(((0, 1), (1, 2), (0, 2))):
            buttons[i].button(
                f"{j + 1} ↔ {k + 1}",
                on_click=_swap,
                args=(j, k),
                key=f"swap_{j}{k}",
                width="stretch",
                help=f"Swap the units at places {j + 1} and {k + 1}",
            )
        st.button("Original order", on_click=_reset, icon=":material/undo:", key="swap_reset")
        x = tuple(
            st.slider(f"Input {i + 1}", -2.0, 2.0, start, 0.5, key=f"toy_x{i}") for i, start in ((0, 1.0), (1, 1.5))
        )
    order = st.session_state.get("toy_order", IDENTITY)
    network = ToyNetwork()
    output = network.permuted(order).forward(x)[1]
    with picture:
        show("toy_chart", lambda: toy_chart(network, x, order), x, order)
        st.markdown(
            f"Order {'–'.join(str(i + 1) for i in order)}: the output is **{output:g}**, as in every other order."
        )


def _swap(j: int, k: int) -> None:
    st.session_state["toy_order"] = swapped(st.session_state.get("toy_order", IDENTITY), j, k)


def _reset() -> None:
    st.session_state["toy_order"] = IDENTITY
