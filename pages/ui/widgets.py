"""Widgets that are bound to the address by the name of their option; limits, help and choices are the config's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from pages.ui.choices import FIELDS


def number(
    name: str,
    label: str,
    start: int,
    limits: tuple[int, int] | None = None,
    step: int = 1,
    on_change: Callable[[], None] | None = None,
) -> list[str]:
    """A whole number as a word, no word where the field was emptied."""
    low, high = limits or (FIELDS[name].metadata["low"], FIELDS[name].metadata["high"])
    value = st.number_input(
        label, low, high, start, step, key=name, bind="query-params", help=_help(name), on_change=on_change
    )
    return [] if value is None else [str(value)]


def choice(name: str, label: str) -> str:
    """One of the option's choices, the default first chosen."""
    return select(name, label, FIELDS[name].metadata["choices"], str(FIELDS[name].default))


def select(
    name: str, label: str, options: Sequence[str], start: str, on_change: Callable[[], None] | None = None
) -> str:
    """One of `options`."""
    place = list(options).index(start)
    value = st.selectbox(label, options, place, key=name, bind="query-params", help=_help(name), on_change=on_change)
    return str(value)


def text(name: str, label: str, start: str, placeholder: str, said: str = "") -> list[str]:
    """The words of a text field, set apart by spaces or commas."""
    words = st.text_input(
        label, start, key=name, bind="query-params", placeholder=placeholder, help=said or _help(name)
    )
    return (words or "").replace(",", " ").split()


def _help(name: str) -> str:
    text: str = FIELDS[name].metadata["help"]
    return text[0].upper() + text[1:] + "."
