"""The few controls of the pair page: what of the result is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lmc.barriers import BASELINES
from lmc.errors import InputError
from lmc.experiments import Pair
from pages.ui.captions import ends

ALL = "all"
CHOICES = {"measure": ["error", "loss"], "split": ["test", "train"], "baseline": list(BASELINES)}


@dataclass(frozen=True)
class View:
    """What is shown: `pair` is a pair's label or `all`; `one` is the pair that single pictures show.

    `members` are the places of its networks, `ends` their labels.
    """

    split: str
    measure: str
    baseline: str
    pair: str
    one: str
    members: tuple[int, int]
    ends: tuple[str, str]
    lam: float

    @property
    def end_labels(self) -> tuple[str, str] | None:
        """The labels of A and B where one pair is shown."""
        return None if self.pair == ALL else self.ends

    def address(self) -> dict[str, object]:
        """The parameters of a link to this view."""
        return {
            "split": self.split,
            "measure": self.measure,
            "baseline": self.baseline,
            "pair": self.pair,
            "lam": self.lam,
        }


def pair_controls(config: Pair) -> View:
    """Draw the controls and return the view; λ comes from the address, where the player leaves it."""
    pairs = pair_labels(config)
    columns = st.columns(4, vertical_alignment="top")
    measure, split = measure_and_split(columns)
    baseline = columns[2].selectbox(
        "Barrier above the",
        CHOICES["baseline"],
        key="baseline",
        bind="query-params",
        help="A barrier is the most by which the curve rises above this: the straight line between the ends, or the "
        "mean of the ends. Papers use both; at equal ends they agree.",
    )
    pair = next(iter(pairs))
    if len(pairs) > 1:
        pair = columns[3].selectbox(
            "Pair",
            [ALL, *pairs],
            key="pair",
            bind="query-params",
            help="The two networks; all: the mean over every pair, with its 95% interval.",
        )
    one = next(iter(pairs)) if pair == ALL else pair
    return View(
        measure=measure,
        split=split,
        baseline=baseline,
        pair=pair,
        one=one,
        members=pairs[one],
        ends=ends(config, pairs[one]),
        lam=asked_lam(),
    )


def measure_and_split(places: Sequence[DeltaGenerator]) -> tuple[str, str]:
    """What is measured and on which data, chosen in the first two of `places`."""
    measure = places[0].radio(
        "Show",
        CHOICES["measure"],
        horizontal=True,
        key="measure",
        bind="query-params",
        help="Error: share of answers that are wrong. Loss: cross-entropy in nats.",
    )
    split = places[1].radio(
        "On",
        CHOICES["split"],
        horizontal=True,
        key="split",
        bind="query-params",
        help="Training data, or test data that no network was trained on.",
    )
    return measure, split


def pair_labels(config: Pair) -> dict[str, tuple[int, int]]:
    """Pair label → places of its two networks."""
    networks = config.networks()
    return {f"{networks[i].label}-{networks[j].label}": (i, j) for i, j in config.members()}


def asked_view(config: Pair) -> list[str]:
    """A sentence for each view parameter in the address that cannot be used; Streamlit drops those silently."""
    choices = {**CHOICES, "pair": [ALL, *pair_labels(config)]}
    notes = []
    for name, allowed in choices.items():
        word = st.query_params.get(name)
        if word is not None and word not in allowed:
            error = InputError(name, word, f"choose one of: {', '.join(allowed)}")
            notes.append(f"{error} The default is shown instead.")
    return notes


def asked_lam() -> float:
    """λ in the address, 0.5 if there is none; one that cannot be used is named in a note."""
    word = st.query_params.get("lam", "0.5")
    try:
        lam = float(word)
        if 0 <= lam <= 1:
            return lam
    except ValueError:
        pass
    error = InputError("lam", word, "a number from 0 to 1 would be right")
    st.warning(f"{error} The default is shown instead.", icon=":material/info:")
    return 0.5


def keep_lam(lam: float) -> None:
    """Put the λ at which the player rests into the address."""
    st.query_params["lam"] = f"{lam:.4g}"
