"""The address bar: what it may hold, what it cannot mean, and a link that spells everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from lmc.errors import InputError
from lmc.experiments import TOGETHER, Experiment, Pair, Pruning, Transport
from lmc.experiments.recipe import RECIPE_FIELDS
from lmc.experiments.spelling import option_fields, parse, takes_many

VERSION = "1"
OWN_PARAMETERS = (
    "together", "widths", "side", "comparison", "spot", "reference", "triple", "beside", "samples",
    "checkpoints", "control", "matched", "epoch", "forks",
    "levels", "prune", "rewind", "last_layer", "of", "level", "layer", "order",
    "compared", "xor_lam",
)  # fmt: skip
"""Settings of single pages."""
VIEW_PARAMETERS = ("lam", "split", "measure", "baseline", "pair", *OWN_PARAMETERS)


PAGES = {
    "pair": "pair",
    "triple": "triple",
    "many": "many",
    "width": "width",
    "trajectory": "trajectory",
    "instability": "trajectory",
    "pruning": "pruning",
    "transport": "pruning",
    "landscape": "triple",
    "methods": "methods",
}
"""Experiment → the page that shows it."""
_UNSPELLED = {
    "triple": ("labels", "references"),
    "width": ("labels", "width"),
    "instability": ("labels", "method"),
    "landscape": ("labels", "levels"),
    "methods": ("labels", "method"),
}
"""Experiment → options that its page does not read; the names of loaded networks are those of the store."""


def has_page(config: Experiment) -> bool:
    """Whether a page shows this experiment; those without one run on the command line only."""
    return config.name in PAGES


def lenient(words: Mapping[str, Sequence[str]]) -> tuple[Pair, list[str]]:
    """The config that the words spell, with defaults where they cannot be used, and a sentence for each of those."""
    kept = {name: list(given) for name, given in words.items()}
    notes: list[str] = []
    while True:
        try:
            return parse(Pair, kept), notes
        except InputError as error:
            kept.pop(_culprit(error.option, kept))
            notes.append(f"{error} The default is shown instead.")


def _culprit(option: str, given: Mapping[str, Sequence[str]]) -> str:
    """Which of the options that were given is to blame for an error of `option`."""
    blamed = [option]
    if option in RECIPE_FIELDS:
        blamed.append("recipe")
    if option in ("labels", "dataset", "arch", "width", "depth", "norm", "activation"):
        blamed.append("load")
    return next((name for name in blamed if name in given), next(iter(given)))


def asked() -> tuple[dict[str, list[str]], list[str]]:
    """The config options in the address, as words, and a sentence for each name that means nothing."""
    names = {spec.name: takes_many(spec) for spec in option_fields(Pair)}
    words, notes = {}, []
    for name in st.query_params:
        given = st.query_params.get_all(name)
        if name in names:
            words[name] = _split(given) if names[name] and name not in ("method", "load", "labels") else given
        elif name not in VIEW_PARAMETERS and name != "v" and not name.startswith("embed"):
            notes.append(f"{name}: there is no such setting; it is ignored.")
    return words, notes


def link(config: Experiment, view: Mapping[str, object]) -> str:
    """The address of the experiment's page with every setting spelled out, so that later defaults do not change it."""
    words: dict[str, list[str]] = {"v": [VERSION]}
    for spec in fields(config):
        value = getattr(config, spec.name)
        if spec.name == "recipe":
            words.update({n: _spelled(getattr(value, n)) for n in RECIPE_FIELDS if getattr(value, n) != ()})
        elif spec.name in _UNSPELLED.get(config.name, ("labels",)):
            continue
        elif spec.name == "method":  # those that match all at once are chosen on the page
            words["method"] = [method for method in value if method not in TOGETHER]
            words["together"] = [method for method in value if method in TOGETHER]
        elif value != ():  # layers that are held stand in one text field
            words[spec.name] = [" ".join(value)] if spec.name == "hold" else _spelled(value)
    if isinstance(config, Transport):  # at a level of the page's own experiment, which has the usual number or more
        words["levels"] = [str(max(config.level, Pruning.levels))]
    words.update({name: value if isinstance(value, list) else [str(value)] for name, value in view.items()})
    parts = urlsplit(str(st.context.url or "http://localhost:8501/"))
    path = f"{parts.path.rpartition('/')[0]}/{PAGES[config.name]}"
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode(words, doseq=True), ""))


def _split(given: list[str]) -> list[str]:
    return [word for value in given for word in value.replace(",", " ").split()]


def _spelled(value: object) -> list[str]:
    """Lists of numbers stand in one text field each, names are chosen one by one."""
    if not isinstance(value, tuple):
        return ["0" if value == 0 else str(value)]
    return [" ".join(map(str, value))] if all(isinstance(item, int) for item in value) else list(value)
