"""The sidebar: which networks, which matching. Every setting lives in the address bar.

Streamlit writes what a widget shows into the address, so choices show the words of the command line. Limits, defaults
and help come from the fields of the config.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from lmc.experiments import METHODS, RECIPES, Pair, Recipe, get_architecture, list_datasets, list_models
from pages.ui.address import asked, lenient
from pages.ui.controls import asked_view

_FIELDS = {**Recipe.__dataclass_fields__, **Pair.__dataclass_fields__}
_TEXTS = {"seeds": "0 1", "order_seeds": "", "lr": "", "momentum": "", "weight_decay": "", "milestones": ""}

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "First look": ("Two networks of width 32, already trained", {}),
    "Wider": ("Width 512: the barrier all but vanishes", {"width": 512}),
    "Six networks": ("All fifteen pairs of six seeds, with intervals", {"seeds": "0 1 2 3 4 5"}),
    "Same start": ("Equal first weights, other order of the images", {"seeds": "0 0", "order_seeds": "0 1"}),
}


def choose() -> None:
    """Draw the picker and remember the choice for `current`."""
    if "_asked_notes" not in st.session_state:  # the first run: widgets drop bad values silently, so read them before
        words, notes = asked()
        config, refused = lenient(words)
        st.session_state["_asked_notes"] = notes + refused + asked_view(config)
        st.session_state["_asked_config"] = None
    with st.sidebar:
        _presets()
        words = {**_networks(), **_training(), **_matching()}
    config, notes = lenient({name: given for name, given in words.items() if given})
    if st.session_state["_asked_config"] not in (None, config.id):
        st.session_state["_asked_notes"] = []  # the choice has moved on; what the address said no longer matters
    st.session_state["_asked_config"] = config.id
    st.session_state["_config"] = config
    st.session_state["_notes"] = list(dict.fromkeys([*st.session_state["_asked_notes"], *notes]))


def current() -> Pair:
    """The chosen experiment."""
    config: Pair = st.session_state["_config"]
    return config


def show_notes() -> None:
    """What could not be used as it was asked for."""
    for note in st.session_state["_notes"]:
        st.warning(note, icon=":material/info:")


def _presets() -> None:
    st.subheader("Presets", anchor=False)
    columns = st.columns(2)
    for i, (name, (line, _)) in enumerate(PRESETS.items()):
        columns[i % 2].button(name, help=line, on_click=_apply, args=(name,), width="stretch", key=f"preset_{i}")


def _apply(name: str) -> None:
    """Every setting to its default, but those of the preset."""
    for key, spec in _FIELDS.items():
        value: Any = _TEXTS.get(key, spec.default)
        st.session_state[key] = PRESETS[name][1].get(key, list(value) if isinstance(value, tuple) else value)


def _networks() -> dict[str, list[str]]:
    st.subheader("The networks", anchor=False)
    architecture = get_architecture(list_models()[0])
    return {
        "width": _width(architecture.widths),
        "seeds": _text("seeds", "Seeds", "", "Each seed is one network. More than two: all pairs, with intervals."),
        "order_seeds": _text(
            "order_seeds",
            "Data-order seeds",
            "same as the seeds",
            "The order in which a network sees the images. Equal seeds with others here: same start, other order.",
        ),
        "depth": _number("depth", "Depth", architecture.depths),
        "norm": _choice("norm", "Norm", architecture.norms),
        "activation": _choice("activation", "Activation", architecture.activations),
        "dataset": _choice("dataset", "Data set", list_datasets()),
        "arch": _choice("arch", "Architecture", list_models()),
    }


def _width(limits: tuple[int, int]) -> list[str]:
    low, high = limits
    number, half, double = st.columns([3, 1, 1], vertical_alignment="bottom", gap="xsmall")
    with number:
        words = _number("width", "Width", limits)
    half.button("÷2", help="Half the width", on_click=_scale, args=(0.5, low, high), width="stretch", key="half_width")
    double.button(
        "×2", help="Twice the width", on_click=_scale, args=(2, low, high), width="stretch", key="double_width"
    )
    return words


def _scale(factor: float, low: int, high: int) -> None:
    st.session_state["width"] = min(high, max(low, int(st.session_state["width"] * factor)))


def _training() -> dict[str, list[str]]:
    with st.expander("Training recipe", icon=":material/fitness_center:"):
        words = {
            "recipe": _choice("recipe", "Recipe", list(RECIPES)),
            "optimizer": _choice("optimizer", "Optimizer"),
            "epochs": _number("epochs", "Epochs"),
            "lr": _text("lr", "Learning rate", "the optimizer's own"),
            "momentum": _text("momentum", "Momentum", "the optimizer's own"),
            "batch_size": _number("batch_size", "Batch size"),
            "weight_decay": _text("weight_decay", "Weight decay", "0"),
            "decay": _choice("decay", "Decay"),
            "milestones": _text("milestones", "Milestones", "for step decay, such as 30 45"),
            "warmup": _number("warmup", "Warm-up"),
        }
    if words["decay"] == ["step"] and not words["milestones"]:  # half and three quarters of the way
        epochs = int(words["epochs"][0])
        words["milestones"] = [str(max(1, epochs // 2)), str(max(1, 3 * epochs // 4))]
    return words


def _matching() -> dict[str, list[str]]:
    st.subheader("The matching", anchor=False)
    methods = st.multiselect(
        "Methods",
        METHODS,
        default=_FIELDS["method"].default,
        key="method",
        bind="query-params",
        help="How the hidden units of B are paired with those of A. No permutation is always shown.",
    )
    with st.expander("Matching details", icon=":material/tune:"):
        return {
            "method": methods or ["none"],
            "restarts": _number("restarts", "Restarts"),
            "match_seed": _number("match_seed", "Match seed"),
            "activation_kernel": _choice("activation_kernel", "Activation similarity"),
            "groups": _number("groups", "Most pairs"),
            "points": _number("points", "Points on the segment"),
            "dtype": _choice("dtype", "Numbers"),
        }


def _help(name: str) -> str:
    text: str = _FIELDS[name].metadata["help"]
    return text[0].upper() + text[1:] + "."


def _number(name: str, label: str, limits: tuple[int, int] | None = None) -> list[str]:
    spec = _FIELDS[name]
    low, high = limits or (spec.metadata["low"], spec.metadata["high"])
    start: Any = spec.default
    value = st.number_input(label, low, high, start, key=name, bind="query-params", help=_help(name))
    return [] if value is None else [str(value)]


def _choice(name: str, label: str, options: Sequence[str] = ()) -> list[str]:
    options = list(options or _FIELDS[name].metadata["choices"])
    start = options.index(str(_FIELDS[name].default))
    return [str(st.selectbox(label, options, start, key=name, bind="query-params", help=_help(name)))]


def _text(name: str, label: str, placeholder: str, said: str = "") -> list[str]:
    text = st.text_input(
        label, _TEXTS[name], key=name, bind="query-params", placeholder=placeholder, help=said or _help(name)
    )
    return (text or "").replace(",", " ").split()
