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
from pages.ui.address import asked, lenient
from pages.ui.choices import (
    FIELDS,
    FIRST,
    SHAPE,
    architectures,
    augmentations,
    datasets,
    starts,
)
from pages.ui.controls import asked_view
from pages.ui.follow import (
    apply,
    follow_architecture,
    follow_dataset,
    follow_optimizer,
    follow_recipe,
    reset,
    round_width,
    scale,
)
from pages.ui.loaded import About, asked_ids, differences, fitting, loaded, words_of
from pages.ui.presets import PRESETS
from pages.ui.runs import known_networks
from pages.ui.widgets import choice, number, select, text

Words = dict[str, list[str]]
HELD = (
    "Layers whose units keep their order under every method, by their names in the network and set apart by spaces: "
    "layers.0 is what charts call Layer 1, blocks.1.conv1 what they call Block 2 conv1."
)


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
    apply({"load": [options[id] for id in ids if id in options]})


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
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Presets", anchor=False, width="content")
        st.button(
            "Reset",
            icon=":material/restart_alt:",
            type="tertiary",
            on_click=reset,
            key="reset",
            help="Every setting back to its default",
        )
    columns = st.columns(2)
    for i, (name, (line, settings)) in enumerate(PRESETS.items()):
        columns[i % 2].button(name, help=line, on_click=apply, args=(settings,), width="stretch", key=f"preset_{i}")


# The networks


def _networks(known: Sequence[About], offered: dict[str, About]) -> tuple[Words, list[str]]:
    """The words of what was chosen, and a sentence for each choice that cannot be used."""
    st.subheader("The networks", anchor=False)
    chosen, notes = _loaded(offered)
    names = datasets(known, st.session_state["_asked_folders"])
    if chosen:
        return _of_loaded(chosen, fitting(chosen, names)), notes
    dataset = _dataset(names, follow_dataset)
    allowed = architectures(dataset)
    arch = select("arch", "Architecture", allowed, allowed[0], on_change=follow_architecture)
    st.caption(get_architecture(arch).title)
    base = starts(dataset, arch, FIRST[2])
    words = {"dataset": [dataset], "arch": [arch], "width": _width(arch, base["width"]), **_shape(arch, base)}
    words["seeds"] = text(
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
    name = select("dataset", "Data set", names, names[0], on_change=on_change)
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
    field, half, double = st.columns([3, 1, 1], vertical_alignment="bottom", gap="xsmall")
    with field:
        words = number("width", "Width", start, architecture.widths, architecture.width_step, on_change=round_width)
    half.button("÷2", help="Half the width", on_click=scale, args=(0.5,), width="stretch", key="half_width")
    double.button("×2", help="Twice the width", on_click=scale, args=(2,), width="stretch", key="double_width")
    return words


def _shape(arch: str, base: dict[str, Any]) -> Words:
    architecture = get_architecture(arch)
    left, right = st.columns(2)
    with left:
        depth = select("depth", "Depth", list(map(str, architecture.depth_choices)), base["depth"])
    with right:
        norm = select("norm", "Norm", architecture.norms, base["norm"])
    return {"depth": [depth], "norm": [norm]}


def _details(arch: str, base: dict[str, Any]) -> Words:
    activations = get_architecture(arch).activations
    return {
        "activation": [select("activation", "Activation", activations, base["activation"])],
        "order_seeds": text(
            "order_seeds",
            "Data-order seeds",
            "",
            "same as the seeds",
            "The order in which a network sees the images. Equal seeds with others here: same start, other order.",
        ),
    }


# The training


def _training(dataset: str, arch: str) -> Words:
    with st.expander("Training recipe", icon=":material/fitness_center:"):
        recipe = select("recipe", "Recipe", list(RECIPES), FIRST[2], on_change=follow_recipe)
        optimizers = FIELDS["optimizer"].metadata["choices"]
        base = starts(dataset, arch, recipe)
        optimizer = select("optimizer", "Optimizer", optimizers, base["optimizer"], on_change=follow_optimizer)
        base = starts(dataset, arch, recipe, optimizer)
        words = {
            "recipe": [recipe],
            "optimizer": [optimizer],
            "epochs": number("epochs", "Epochs", base["epochs"]),
            "lr": text("lr", "Learning rate", base["lr"], "the optimizer's own"),
            "momentum": text("momentum", "Momentum", base["momentum"], "the optimizer's own"),
            "batch_size": number("batch_size", "Batch size", base["batch_size"]),
            "weight_decay": text("weight_decay", "Weight decay", base["weight_decay"], "0"),
            "decay": [select("decay", "Decay", FIELDS["decay"].metadata["choices"], base["decay"])],
            "milestones": text("milestones", "Milestones", base["milestones"], "for step decay, such as 30 45"),
            "warmup": number("warmup", "Warm-up", base["warmup"]),
            "augment": [select("augment", "Augmentation", augmentations(dataset), base["augment"])],
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
        help="How the hidden units of B are paired with those of A. No permutation is always shown. straight_through, "
        "sinkhorn and annealing descend a loss step by step, which takes seconds and more. On the page Methods this "
        "choice does not matter: that page compares all of them.",
    )
    base = starts(*FIRST)
    with st.expander("Matching details", icon=":material/tune:"):
        words = {
            "method": methods or ["none"],
            "restarts": number("restarts", "Restarts", base["restarts"]),
            "match_seed": number("match_seed", "Match seed", base["match_seed"]),
            "weight_kernel": [choice("weight_kernel", "Weight similarity")],
            "weight_order": [choice("weight_order", "Order of the layers")],
            "hold": text("hold", "Layers held fixed", base["hold"], "none, or such as layers.0", HELD),
            "activation_kernel": [choice("activation_kernel", "Activation similarity")],
            "activation_layers": [choice("activation_layers", "Activations compared")],
            "match_images": number("match_images", "Images to match on", base["match_images"]),
            "match_steps": number("match_steps", "Steps of straight-through and Sinkhorn", base["match_steps"]),
            "anneal_steps": number("anneal_steps", "Swaps that annealing tries", base["anneal_steps"]),
            "sinkhorn_loss": [choice("sinkhorn_loss", "Loss of Sinkhorn")],
            "groups": number("groups", "Most pairs", base["groups"]),
            "dtype": [choice("dtype", "Numbers")],
        }
    with st.expander("The path between", icon=":material/timeline:"):
        return {
            **words,
            "points": number("points", "Points on the segment", base["points"]),
            "correction": [choice("correction", "Correction")],
            "eval_images": number("eval_images", "Images to measure on", base["eval_images"]),
            "reset_images": number("reset_images", "Images for the statistics", base["reset_images"]),
        }
