"""The sidebar: which networks, which matching. Every setting lives in the address bar.

Streamlit writes what a widget shows into the address, so choices show the words of the command line. Limits, defaults
and help come from the fields of the config; they follow the data set, the architecture and the recipe. What stands at
its default is left out of the address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from lmc.data import dataset_info, default_data_dir, on_disk
from lmc.errors import InputError
from lmc.experiments import METHODS, RECIPES, Pair, get_architecture
from lmc.experiments.recipe import RECIPE_FIELDS
from pages.ui.address import asked, lenient
from pages.ui.choices import (
    FIELDS,
    SHAPE,
    architectures,
    augmentations,
    datasets,
    nearest_width,
    starts,
    suggested_recipe,
)
from pages.ui.controls import asked_view
from pages.ui.loaded import About, asked_ids, differences, fitting, loaded, words_of
from pages.ui.presets import PRESETS
from pages.ui.runs import known_networks

Words = dict[str, list[str]]
FIRST = ("digits", "mlp", "default")  # data set, architecture and recipe of an address that names none


def choose() -> None:
    """Draw the picker and remember the choice for `current`."""
    known = known_networks()
    offered = loaded(known)
    if "_asked_notes" not in st.session_state:  # the first run: widgets drop bad values silently, so read them before
        _read_address(offered)
    with st.sidebar:
        _presets()
        words, refused = _networks(known, offered)
        words |= _matching()
    config, notes = lenient({name: given for name, given in words.items() if given})
    if st.session_state["_asked_config"] not in (None, config.id):
        st.session_state["_asked_notes"] = []  # the choice has moved on; what the address said no longer matters
    st.session_state["_asked_config"] = config.id
    st.session_state["_config"] = config
    st.session_state["_notes"] = list(dict.fromkeys([*st.session_state["_asked_notes"], *refused, *notes]))


def current() -> Pair:
    """The chosen experiment."""
    config: Pair = st.session_state["_config"]
    return config


def show_notes() -> None:
    """What could not be used as it was asked for."""
    for note in st.session_state["_notes"]:
        st.warning(note, icon=":material/info:")


def compare_loaded(ids: Sequence[str]) -> None:
    """Choose these loaded networks, in a callback of a button; every other setting to its default."""
    options = {about["id"]: name for name, about in loaded(known_networks()).items()}
    _apply({"load": [options[id] for id in ids if id in options]})


def _read_address(offered: dict[str, About]) -> None:
    """Keep a sentence for everything in the address that cannot be used."""
    words, notes = asked()
    st.session_state["_asked_folders"] = [w for w in words.get("dataset", []) if w.startswith("folder:")]
    if "load" in words:
        ids = asked_ids(words.pop("load"))
        words.pop("labels", None)
        known = {about["id"]: about for about in offered.values()}
        unknown = [id for id in ids if id not in known]
        chosen = [known[id] for id in dict.fromkeys(ids) if id in known]
        if unknown:
            right = "no network of that id was loaded here; open its file on the page Networks"
            notes.append(f"{InputError('load', unknown, right)} It is left out.")
        elif len(chosen) < 2:
            notes.append(f"{InputError('load', ids, 'two different networks would be right')}")
        elif not differences(chosen):
            words |= words_of(chosen, words.get("dataset", [FIRST[0]])[0])
    config, refused = lenient(words)
    st.session_state["_asked_notes"] = notes + refused + asked_view(config)
    st.session_state["_asked_config"] = None


def _presets() -> None:
    st.subheader("Presets", anchor=False)
    columns = st.columns(2)
    for i, (name, (line, settings)) in enumerate(PRESETS.items()):
        columns[i % 2].button(name, help=line, on_click=_apply, args=(settings,), width="stretch", key=f"preset_{i}")


def _apply(settings: dict[str, Any]) -> None:
    """Every setting to its default, but those given."""
    dataset, arch, recipe = FIRST
    base = starts(settings.get("dataset", dataset), settings.get("arch", arch), recipe)
    _set({**base, **settings})


def _set(values: dict[str, Any]) -> None:
    for name, value in values.items():
        st.session_state[name] = value


# The networks


def _networks(known: Sequence[About], offered: dict[str, About]) -> tuple[Words, list[str]]:
    """The words of what was chosen, and a sentence for each choice that cannot be used."""
    st.subheader("The networks", anchor=False)
    chosen, notes = _loaded(offered)
    names = datasets(known, st.session_state["_asked_folders"])
    if chosen:
        return _of_loaded(chosen, fitting(chosen, names)), notes
    dataset = _dataset(names, _follow_dataset)
    allowed = architectures(dataset)
    arch = _select("arch", "Architecture", allowed, allowed[0], on_change=_follow_architecture)
    st.caption(get_architecture(arch).title)
    base = starts(dataset, arch, FIRST[2])
    words = {"dataset": [dataset], "arch": [arch], "width": _width(arch, base["width"]), **_shape(arch, base)}
    words["seeds"] = _text(
        "seeds", "Seeds", base["seeds"], "", "Each seed is one network. More than two: all pairs, with intervals."
    )
    with st.expander("More about the networks", icon=":material/hub:"):
        words |= _details(arch, base)
    return {**words, **_training(dataset, arch)}, notes


def _loaded(offered: dict[str, About]) -> tuple[list[About], list[str]]:
    """The loaded networks that are to be compared: none, or two and more.

    The address holds their ids, so it is kept here and not by Streamlit, which would write the labels too.
    """
    if not offered:
        return [], []
    options = {about["id"]: name for name, about in offered.items()}
    asked_for = asked_ids(st.query_params.get_all("load"))
    if asked_for != st.session_state.get("_load_kept", []):  # the first run, or back and forward
        st.session_state["load"] = [options[id] for id in dict.fromkeys(asked_for) if id in options]
    names = st.multiselect(
        "Loaded networks",
        list(offered),
        key="load",
        help="Two or more networks that were read from files take the place of the trained ones.",
    )
    chosen = [offered[name] for name in names]
    ids = [about["id"] for about in chosen]
    if ids:
        st.query_params["load"] = ids
    elif asked_for:
        del st.query_params["load"]
    st.session_state["_load_kept"] = ids
    if len(chosen) == 1:
        st.caption("Choose a second one. Until then trained networks are shown.")
    if len(chosen) < 2:
        return [], []
    if different := differences(chosen):
        error = InputError("load", ids, f"only networks that are alike can be mixed ({'; '.join(different)})")
        return [], [f"{error} Trained networks are shown instead."]
    return chosen, []


def _of_loaded(chosen: list[About], names: list[str]) -> Words:
    """The words for loaded networks; only what they are measured on remains to be chosen."""
    if not names:
        st.caption("No data set here fits what these networks take and answer.")
        return words_of(chosen, FIRST[0])
    dataset = _dataset(names, None)
    words = words_of(chosen, dataset)
    said = ", ".join(f"{name} {words[name][0]}" for name in SHAPE)
    st.caption(
        f"{get_architecture(words['arch'][0]).title}, {said}, as the files say. Seeds and training do not matter."
    )
    return words


def _dataset(names: list[str], on_change: Callable[[], None] | None) -> str:
    name = _select("dataset", "Data set", names, names[0], on_change=on_change)
    info = dataset_info(name)
    noun = "points" if info.kind == "points" else "images"
    absent = " Not on this machine yet: the first run fetches it."
    if name.startswith("folder:"):
        absent = f" Its images are not in {default_data_dir()}."
    where = "" if on_disk(name) else absent
    size = "" if noun == "points" else f" of {'×'.join(map(str, info.input_shape[1:]))} pixels"
    st.caption(f"{info.title}: {info.train_images:,} + {info.test_images:,} {noun}{size}.{where}")
    return name


def _width(arch: str, start: int) -> list[str]:
    architecture = get_architecture(arch)
    number, half, double = st.columns([3, 1, 1], vertical_alignment="bottom", gap="xsmall")
    with number:
        words = _number("width", "Width", start, architecture.widths, architecture.width_step, on_change=_round_width)
    half.button("÷2", help="Half the width", on_click=_scale, args=(0.5,), width="stretch", key="half_width")
    double.button("×2", help="Twice the width", on_click=_scale, args=(2,), width="stretch", key="double_width")
    return words


def _shape(arch: str, base: dict[str, Any]) -> Words:
    architecture = get_architecture(arch)
    left, right = st.columns(2)
    with left:
        depth = _select("depth", "Depth", list(map(str, architecture.depth_choices)), base["depth"])
    with right:
        norm = _select("norm", "Norm", architecture.norms, base["norm"])
    return {"depth": [depth], "norm": [norm]}


def _details(arch: str, base: dict[str, Any]) -> Words:
    activations = get_architecture(arch).activations
    return {
        "activation": [_select("activation", "Activation", activations, base["activation"])],
        "order_seeds": _text(
            "order_seeds",
            "Data-order seeds",
            "",
            "same as the seeds",
            "The order in which a network sees the images. Equal seeds with others here: same start, other order.",
        ),
    }


def _scale(factor: float) -> None:
    st.session_state["width"] = nearest_width(st.session_state["arch"], st.session_state["width"] * factor)


def _round_width() -> None:
    """A typed width may lie between those that the architecture has."""
    if st.session_state["width"] is not None:
        _scale(1)


# What follows what


def _follow_dataset() -> None:
    allowed = architectures(st.session_state["dataset"])
    if st.session_state["arch"] not in allowed:
        st.session_state["arch"] = allowed[0]
        _follow_architecture()
    else:
        _suggest_recipe()


def _follow_architecture() -> None:
    base = starts(st.session_state["dataset"], st.session_state["arch"], FIRST[2])
    _set({name: base[name] for name in SHAPE})
    _suggest_recipe()


def _suggest_recipe() -> None:
    """Another recipe where another is right, unless a recipe was chosen or changed by hand."""
    dataset, arch, recipe = st.session_state.get("_drawn", FIRST)
    untouched = starts(dataset, arch, recipe)
    if all(st.session_state.get(name) == untouched[name] for name in ("recipe", *RECIPE_FIELDS)):
        st.session_state["recipe"] = suggested_recipe(st.session_state["dataset"], st.session_state["arch"])
        _follow_recipe()


def _follow_recipe() -> None:
    base = starts(st.session_state["dataset"], st.session_state["arch"], st.session_state["recipe"])
    _set({name: base[name] for name in RECIPE_FIELDS})


def _follow_optimizer() -> None:
    """Another optimizer brings its own rate and momentum."""
    chosen = [st.session_state[name] for name in ("dataset", "arch", "recipe", "optimizer")]
    base = starts(chosen[0], chosen[1], chosen[2], chosen[3])
    _set({name: base[name] for name in ("lr", "momentum")})


# The training


def _training(dataset: str, arch: str) -> Words:
    with st.expander("Training recipe", icon=":material/fitness_center:"):
        recipe = _select("recipe", "Recipe", list(RECIPES), FIRST[2], on_change=_follow_recipe)
        optimizers = FIELDS["optimizer"].metadata["choices"]
        base = starts(dataset, arch, recipe)
        optimizer = _select("optimizer", "Optimizer", optimizers, base["optimizer"], on_change=_follow_optimizer)
        base = starts(dataset, arch, recipe, optimizer)
        words = {
            "recipe": [recipe],
            "optimizer": [optimizer],
            "epochs": _number("epochs", "Epochs", base["epochs"]),
            "lr": _text("lr", "Learning rate", base["lr"], "the optimizer's own"),
            "momentum": _text("momentum", "Momentum", base["momentum"], "the optimizer's own"),
            "batch_size": _number("batch_size", "Batch size", base["batch_size"]),
            "weight_decay": _text("weight_decay", "Weight decay", base["weight_decay"], "0"),
            "decay": [_select("decay", "Decay", FIELDS["decay"].metadata["choices"], base["decay"])],
            "milestones": _text("milestones", "Milestones", base["milestones"], "for step decay, such as 30 45"),
            "warmup": _number("warmup", "Warm-up", base["warmup"]),
            "augment": [_select("augment", "Augmentation", augmentations(dataset), base["augment"])],
        }
    st.session_state["_drawn"] = (dataset, arch, recipe)
    if words["decay"] != ["step"]:
        words["milestones"] = []
    elif not words["milestones"]:  # half and three quarters of the way
        epochs = int(words["epochs"][0]) if words["epochs"] else base["epochs"]
        words["milestones"] = [str(max(1, epochs // 2)), str(max(1, 3 * epochs // 4))]
    return words


# The matching


def _matching() -> Words:
    st.subheader("The matching", anchor=False)
    methods = st.multiselect(
        "Methods",
        METHODS,
        default=FIELDS["method"].default,
        key="method",
        bind="query-params",
        help="How the hidden units of B are paired with those of A. No permutation is always shown.",
    )
    base = starts(*FIRST)
    with st.expander("Matching details", icon=":material/tune:"):
        words = {
            "method": methods or ["none"],
            "restarts": _number("restarts", "Restarts", base["restarts"]),
            "match_seed": _number("match_seed", "Match seed", base["match_seed"]),
            "activation_kernel": [_choice("activation_kernel", "Activation similarity")],
            "groups": _number("groups", "Most pairs", base["groups"]),
            "dtype": [_choice("dtype", "Numbers")],
        }
    with st.expander("The path between", icon=":material/timeline:"):
        return {
            **words,
            "points": _number("points", "Points on the segment", base["points"]),
            "correction": [_choice("correction", "Correction")],
            "eval_images": _number("eval_images", "Images to measure on", base["eval_images"]),
            "reset_images": _number("reset_images", "Images for the statistics", base["reset_images"]),
        }


# Widgets, each bound to the address by the name of its option


def _help(name: str) -> str:
    text: str = FIELDS[name].metadata["help"]
    return text[0].upper() + text[1:] + "."


def _number(
    name: str,
    label: str,
    start: int,
    limits: tuple[int, int] | None = None,
    step: int = 1,
    on_change: Callable[[], None] | None = None,
) -> list[str]:
    low, high = limits or (FIELDS[name].metadata["low"], FIELDS[name].metadata["high"])
    value = st.number_input(
        label, low, high, start, step, key=name, bind="query-params", help=_help(name), on_change=on_change
    )
    return [] if value is None else [str(value)]


def _choice(name: str, label: str) -> str:
    return _select(name, label, FIELDS[name].metadata["choices"], str(FIELDS[name].default))


def _select(
    name: str, label: str, options: Sequence[str], start: str, on_change: Callable[[], None] | None = None
) -> str:
    place = list(options).index(start)
    value = st.selectbox(label, options, place, key=name, bind="query-params", help=_help(name), on_change=on_change)
    return str(value)


def _text(name: str, label: str, start: str, placeholder: str, said: str = "") -> list[str]:
    text = st.text_input(label, start, key=name, bind="query-params", placeholder=placeholder, help=said or _help(name))
    return (text or "").replace(",", " ").split()
