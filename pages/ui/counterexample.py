"""Two small networks that no order of hidden units connects: the limit of the claim, at once and without training."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from lmc.charts.counterexample import order_name, xor_errors_chart, xor_maps
from lmc.charts.style import percent
from lmc.counterexample import LAMS, A, B, SmallNetwork, errors, inner_product, lowest_peak, matched, mixed, orders
from pages.ui.figures import show

START = 0.5
"""λ of the maps, until somebody moves it."""


@st.fragment
def limit_of_the_claim() -> None:
    """Draw the panel: the error along the line for every order, and what the network at λ answers."""
    st.subheader("The limit of the claim", anchor=False)
    st.markdown(
        "Is there always an order that connects two good networks? No. Both networks below answer XOR (is exactly one "
        "of the two inputs 1?) right at all four points, with two hidden units each. Two units can stand in two "
        "orders, so every order can be tried, and **neither connects them**."
    )
    curves, words = st.columns([5, 4], vertical_alignment="top")
    with curves:
        lam = st.slider("λ, the share of B", 0.0, 1.0, START, 0.05, key="xor_lam", bind="query-params")
        show("xor_errors", lambda: xor_errors_chart(_curves(), lam), lam)
        show("xor_maps", lambda: xor_maps(_networks(lam)), lam)
    words.markdown(_words())


def _curves() -> pd.DataFrame:
    """Columns name, lam, error: one curve for each order."""
    found = [{"name": order_name(order), "lam": LAMS, "error": errors(A, B, order)} for order in orders(B)]
    return pd.concat([pd.DataFrame(curve) for curve in found])


def _networks(lam: float) -> dict[str, SmallNetwork]:
    return {order_name(order): mixed(A, B.permuted(order), lam) for order in orders(B)}


def _words() -> str:
    products = {order: inner_product(A, B.permuted(order)) for order in orders(B)}
    value = next(iter(products.values()))
    choice = (
        f"cannot choose: its inner product is {value:g} for either"
        if len(matched(A, B)) == len(products)
        else f"chooses {order_name(matched(A, B)[0])}"
    ).replace("-", "−")
    return (
        "**A looks for a difference.** One unit is active when the first input is larger, the other when the second "
        "is; each speaks for 1.\n\n"
        "**B counts.** One unit adds the inputs, the other is active only when both are 1, and takes that back twice "
        "over.\n\n"
        f"**On the way from A to B** up to {percent(lowest_peak(A, B))} of the answers are wrong, even in the best of "
        "all orders. Swapping B's units only swaps the roles of the two inputs, so both curves are the same. Weight "
        f"matching {choice}.\n\n"
        "**What it means.** Reordering can undo one thing only: that two networks hold the *same* parts in different "
        "places. These two solve the task with *different* parts, and no order turns a sum into a difference. So the "
        "claim cannot hold for all pairs of good networks. It is about those that training finds: wide networks, "
        "trained with SGD or Adam, seem to be mostly of the same parts. This is proved only in special cases, such as "
        "very wide networks with one hidden layer. Git Re-Basin (Ainsworth et al. 2022) gives an example of this kind "
        "in its appendix A.6."
    )
