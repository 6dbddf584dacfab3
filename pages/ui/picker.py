"""The sidebar: which networks, which matching. Every setting lives in the address bar.

Streamlit writes what a widget shows into the address, so choices show the words of the command line.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from lmc.experiments import METHODS, RECIPES, Pair, Recipe, get_architecture, list_datasets, list_models
from pages.ui.address import asked, lenient
from pages.ui.controls import asked_view

_FIELDS = {**Recipe.__dataclass_fields__, **Pair.__dataclass_fields__}

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


def _help(name: str) -> str:
    text: str = _FIELDS[name].metadata["help"]
    return text[0].upper() + text[1:] + "."


def _presets() -> None:
    st.subheader("Presets", anchor=False)
    columns = st.columns(2)
    for i, (name, (line, _)) in enumerate(PRESETS.items()):
        columns[i % 2].button(name, help=line, on_click=_apply, args=(name,), width="stretch", key=f"preset_{i}")


def _apply(name: str) -> None:
    plain = {"width": 32, "depth": 3, "norm": "none", "activation": "relu", "seeds": "0 1", "order_seeds": ""}
    for key, value in {**plain, **PRESETS[name][1]}.items():
        st.session_state[key] = value


def _scale(factor: float, low: int, high: int) -> None:
    st.session_state["width"] = min(high, max(low, int(st.session_state["width"] * factor)))


def _networks() -> dict[str, list[str]]:
    st.subheader("The networks", anchor=False)
    architecture = get_architecture(list_models()[0])
    low, high = architecture.widths
    number, half, double = st.columns([3, 1, 1], vertical_alignment="bottom", gap="xsmall")
    width = number.number_input(
        "Width", low, high, 32, key="width", bind="query-params", help="Units in each hidden layer."
    )
    half.button("÷2", help="Half the width", on_click=_scale, args=(0.5, low, high), width="stretch", key="half_width")
    double.button(
        "×2", help="Twice the width", on_click=_scale, args=(2, low, high), width="stretch", key="double_width"
    )
    seeds = st.text_input(
        "Seeds",
        "0 1",
        key="seeds",
        bind="query-params",
        help="Each seed is one network with its own first weights. More than two: all pairs of them, with intervals.",
    )
    order_seeds = st.text_input(
        "Data-order seeds",
        "",
        key="order_seeds",
        bind="query-params",
        placeholder="same as the seeds",
        help="The order in which a network sees the images. Equal seeds with others here: same start, other order.",
    )
    low, high = architecture.depths
    depth = st.number_input("Depth", low, high, 3, key="depth", bind="query-params", help=_help("depth"))
    norm = st.selectbox("Norm", architecture.norms, key="norm", bind="query-params", help=_help("norm"))
    activation = st.selectbox(
        "Activation",
        architecture.activations,
        key="activation",
        bind="query-params",
        help=_help("activation"),
    )
    dataset = st.selectbox(
        "Data set",
        list_datasets(),
        key="dataset",
        bind="query-params",
        help="1,437 training images and 360 test images that come with scikit-learn: nothing to download.",
    )
    arch = st.selectbox(
        "Architecture",
        list_models(),
        key="arch",
        bind="query-params",
        help="; ".join(f"{name}: {get_architecture(name).title.lower()}" for name in list_models()),
    )
    return {
        "dataset": _one(dataset),
        "arch": _one(arch),
        "width": _one(width),
        "depth": _one(depth),
        "norm": _one(norm),
        "activation": _one(activation),
        "seeds": _many(seeds),
        "order_seeds": _many(order_seeds),
    }


def _training() -> dict[str, list[str]]:
    with st.expander("Training recipe", icon=":material/fitness_center:"):
        recipe = st.selectbox("Recipe", list(RECIPES), key="recipe", bind="query-params", help=_help("recipe"))
        optimizer = st.selectbox(
            "Optimizer",
            ["adam", "sgd"],
            key="optimizer",
            bind="query-params",
            help="Adam starts from a rate of 0.001, SGD from 0.03 with momentum 0.9.",
        )
        epochs = st.number_input("Epochs", 1, 10_000, 60, key="epochs", bind="query-params", help=_help("epochs"))
        rate = st.text_input(
            "Learning rate", "", key="lr", bind="query-params", placeholder="the optimizer's own", help=_help("lr")
        )
        momentum = st.text_input(
            "Momentum",
            "",
            key="momentum",
            bind="query-params",
            placeholder="the optimizer's own",
            help=_help("momentum"),
        )
        batch = st.number_input(
            "Batch size", 1, 1437, 64, key="batch_size", bind="query-params", help=_help("batch_size")
        )
        penalty = st.text_input(
            "Weight decay", "", key="weight_decay", bind="query-params", placeholder="0", help=_help("weight_decay")
        )
        decay = st.selectbox("Decay", ["cosine", "step", "none"], key="decay", bind="query-params", help=_help("decay"))
        milestones = st.text_input(
            "Milestones",
            "",
            key="milestones",
            bind="query-params",
            placeholder="30 45",
            help=_help("milestones"),
            disabled=decay != "step",
        )
        warmup = st.number_input("Warm-up", 0, 10_000, 0, key="warmup", bind="query-params", help=_help("warmup"))
    if decay == "step" and not milestones:
        milestones = f"{max(1, int(epochs or 60) // 2)} {max(2, int(epochs or 60) * 3 // 4)}"
    return {
        "recipe": _one(recipe),
        "momentum": _one(momentum),
        "optimizer": _one(optimizer),
        "epochs": _one(epochs),
        "lr": _one(rate),
        "batch_size": _one(batch),
        "weight_decay": _one(penalty),
        "decay": _one(decay),
        "milestones": _many(milestones),
        "warmup": _one(warmup),
    }


def _matching() -> dict[str, list[str]]:
    st.subheader("The matching", anchor=False)
    methods = st.multiselect(
        "Methods",
        METHODS,
        default=["none", "weight", "activation"],
        key="method",
        bind="query-params",
        help="How the hidden units of B are paired with those of A. No permutation is always shown.",
    )
    with st.expander("Matching details", icon=":material/tune:"):
        restarts = st.number_input("Restarts", 1, 1000, 1, key="restarts", bind="query-params", help=_help("restarts"))
        seed = st.number_input(
            "Match seed", 0, 2**31 - 1, 0, key="match_seed", bind="query-params", help=_help("match_seed")
        )
        kernel = st.selectbox(
            "Activation similarity",
            ["pearson", "dot"],
            key="activation_kernel",
            bind="query-params",
            help=_help("activation_kernel"),
        )
        groups = st.number_input("Most pairs", 1, 1000, 15, key="groups", bind="query-params", help=_help("groups"))
        points = st.number_input(
            "Points on the segment", 2, 1001, 25, key="points", bind="query-params", help=_help("points")
        )
        dtype = st.selectbox("Numbers", ["float32", "float64"], key="dtype", bind="query-params", help=_help("dtype"))
    return {
        "method": methods or ["none"],
        "restarts": _one(restarts),
        "match_seed": _one(seed),
        "activation_kernel": _one(kernel),
        "points": _one(points),
        "groups": _one(groups),
        "dtype": _one(dtype),
    }


def _one(value: object) -> list[str]:
    return [] if value is None or str(value).strip() == "" else [str(value).strip()]


def _many(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()
