"""Settings that are one page's own: whole numbers, and what the address asked of them and cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from lmc.errors import InputError
from lmc.experiments import TOGETHER, Experiment
from lmc.experiments.options import check_choice, check_number
from lmc.experiments.spelling import value_of

Check = Callable[[str], object]
"""Raises InputError for a word that cannot be used."""


def number_control(kind: type[Experiment], name: str, label: str, said: str) -> int:
    """A whole number that is an option of `kind`."""
    option: Any = kind.__dataclass_fields__[name]
    low, high, start = option.metadata["low"], option.metadata["high"], option.default
    value = st.number_input(label, low, high, start, key=name, bind="query-params", help=said)
    return int(start if value is None else value)


def note_refused(config: Experiment, page: str, checks: Mapping[str, Check]) -> None:
    """Say which parameters, by name, cannot be used, until the choice of networks changes.

    Streamlit drops them silently as soon as their widgets are drawn, so this comes before and reads them once.
    """
    key = f"_refused_{page}"
    if key not in st.session_state:
        st.session_state[key] = config.id, [note for name, check in checks.items() for note in _refused(name, check)]
    asked, notes = st.session_state[key]
    for note in notes if asked == config.id else ():
        st.warning(note, icon=":material/info:")


def check_together(word: str) -> object:
    """One of the methods that match all networks at once."""
    return check_choice("together", word, TOGETHER)


def check_option(kind: type[Experiment], name: str) -> Check:
    """A whole number within the limits of an option of `kind`."""
    limits = kind.__dataclass_fields__[name].metadata
    return lambda word: check_number(name, value_of(word), limits, whole=True)


def check_among(name: str, allowed: list[str]) -> Check:
    """One of `allowed`."""
    return partial(check_choice, name, choices=allowed)


def check_between(name: str, low: float, high: float) -> Check:
    """A number from `low` to `high`."""
    return lambda word: check_number(name, value_of(word), {"low": low, "high": high}, whole=False)


def _refused(name: str, check: Check) -> list[str]:
    notes = []
    for word in st.query_params.get_all(name):
        try:
            check(word)
        except InputError as error:
            notes.append(f"{error} The default is shown instead.")
    return notes
