"""What every method does, in plain words: what it optimises, where it wins and where it fails."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lmc.charts.style import method_label

WORDS = {
    "none": (
        "Two controls. No permutation leaves B as it is; a random permutation puts its units in any order at all. "
        "Both orders are as good as any other, unless the networks began with equal weights. So their barriers are "
        "about equally high: reordering as such does not help, only the right order does."
    ),
    "weight": (
        "Looks for the order in which B's weights lie nearest to A's (the largest inner product), one layer at a "
        "time; it sees no image. *Wins* in time, and on wide networks: in Sharma et al. (2024), width scaling on "
        "CIFAR-10, it alone also connects two ResNet-20 that are each matched to a third, from width 128 on (8 times "
        "the usual). *Fails* on narrow or hardly trained networks, and it stops at the first order that no single "
        "layer can improve, which depends on where it starts. Git Re-Basin (Ainsworth et al. 2022), section 3.2."
    ),
    "activation": (
        "Shows both networks the training images and pairs the units that respond alike, every layer by itself, in "
        "one pass. *Wins* where weights mislead: VGG-16 of first width 8 to 32 comes out better than with weight "
        "matching (Sharma et al. 2024, width scaling on CIFAR-10). *Falls behind* on wide ResNets, where weights tell "
        "more, and with units that never respond. It needs data. Git Re-Basin, section 3.1."
    ),
    "straight_through": (
        "Starts from weight matching, and then descends the training loss halfway between A and B itself. Free "
        "weights follow the gradient; at every step the order of B nearest to them is tried. *Wins* where the nearest"
        " order is not the one with the lowest loss. *Fails* in time, since every step is a weight matching of its "
        "own, and where it starts well there is little left to gain. Git Re-Basin, section 3.3."
    ),
    "sinkhorn": (
        "Softens the order: a unit may stand half here and half there, so the loss halfway has a gradient in the "
        "order itself, which it descends (unless another loss is chosen under *Matching details*). The order hardens "
        "as it goes. Every ten steps it is rounded, and the best permutation found on held-back images is kept. *Wins* "
        "on narrow networks, where it finds orders that no single layer would move to. *Fails* when what was soft is "
        "rounded, and on wide layers: every step handles a square table of all units. Re-basin via implicit Sinkhorn "
        "differentiation (Peña et al. 2023)."
    ),
    "annealing": (
        "Swaps two units at a time. A swap that lowers the loss halfway stays; one that raises it stays now and then,"
        " ever more seldom. *Wins* on small networks that get the time for it: it asks for nothing but the loss, and "
        "may end below all others. *Fails* by numbers: 32 units in each of 3 layers can stand in about 10¹⁰⁶ orders, "
        "and it tries some thousands of swaps. Entezari et al. (2022), who conjectured that networks are connected "
        "modulo permutation, searched with it."
    ),
}
"""Method → its paragraph; that of `none` is for `random` too."""


def methods_in_words(methods: Sequence[str]) -> None:
    """Draw a paragraph for each method, two side by side."""
    st.subheader("What each method does", anchor=False)
    shown = [method for method in methods if method in WORDS and method != "none"] + ["none"]
    for start in range(0, len(shown), 2):
        for column, method in zip(st.columns(2), shown[start : start + 2], strict=False):
            name = "No permutation, and a random one" if method == "none" else method_label(method)
            column.markdown(f"**{name}.** {WORDS[method]}")
