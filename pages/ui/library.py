"""The networks of the store as a table, and what can be done with those that are chosen in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import pandas as pd
import streamlit as st

from lmc.charts.network_curves import network_curves
from lmc.charts.style import percent
from lmc.errors import InputError, StoreError
from lmc.experiments import Experiment, Pruning, dataset_info, get_architecture
from lmc.experiments.spelling import command
from lmc.library import Entry, Library, Use, comparison, fitting, training
from lmc.limits import limits
from pages.ui.address import has_page, link
from pages.ui.classroom import NO_DELETION
from pages.ui.figures import show
from pages.ui.rows import choose_rows
from pages.ui.runs import engine
from pages.ui.upload import CHOSEN, NO_DATA_SET, TURN, plain

MOST_CURVES = 6
MOST_USES = 12


@st.cache_resource(show_spinner=False)
def library() -> Library:
    """The one list of this server, on the store of its engine."""
    return Library(engine().store)


def choose_networks(entries: Sequence[Entry], uses: dict[str, list[Use]]) -> list[Entry]:
    """Draw the table; the networks whose rows are chosen."""
    if note := st.session_state.pop("_library_note", None):
        st.error(note, icon=":material/error:")
    key = f"library_{hash(tuple(entry.id for entry in entries))}_{st.session_state.get(TURN, 0)}"
    return choose_rows(entries, _table(entries, uses), _COLUMNS, key=key, chosen=CHOSEN)


def show_one(entry: Entry, uses: Sequence[Use]) -> None:
    """What one network is, how it learned, where it was used, and its file."""
    st.subheader(plain(_title(entry)), anchor=False)
    st.markdown(in_words(entry))
    if entry.report[1:]:
        st.markdown("\n".join(f"- {plain(sentence)}" for sentence in entry.report[1:]))
    _curves([entry])
    again = training(entry)
    if again is not None:
        st.caption(f"The command that trains it again, beside seed {again.seeds[1]}:")
        st.code(command(again), language="bash", wrap_lines=True)
    _used_in(uses)
    _take_or_delete(entry)


def show_many(entries: Sequence[Entry]) -> None:
    """Several networks side by side, and the way to the line between them."""
    st.subheader(f"{len(entries)} networks", anchor=False)
    dataset = ""
    if all(entry.origin == "loaded" for entry in entries) and (fits := fitting(entries)):
        dataset = st.selectbox(
            "Data set to compare them on",
            fits,
            key="compare_dataset",
            help="The sets whose inputs and classes these networks take.",
        )
    _compare(entries, dataset)
    _curves([entry for entry in entries if entry.curves][:MOST_CURVES])


def in_words(entry: Entry) -> str:
    """A network's config as a sentence or two, and how good it is."""
    config = entry.config
    norm = "no normalisation" if config["norm"] == "none" else f"{config['norm']} norm"
    what = f"{get_architecture(config['arch']).title}, width {config['width']}, depth {config['depth']}, {norm}"
    what = f"{what}, activation {config['activation']}"
    if entry.origin == "loaded":
        fits = ", ".join(entry.datasets) or NO_DATA_SET
        layout = plain(entry.report[0].partition(", in the layout of ")[2]) or "unknown"
        return f"{what}. Read from a file in the layout of {layout}. Data sets that fit: {plain(fits)}."
    recipe = config["recipe"]
    decay = {"cosine": "falling to 0 along a cosine", "none": "constant"}.get(
        recipe["decay"], f"divided by 10 after epochs {', '.join(map(str, recipe['milestones']))}"
    )
    extra = [f"{recipe[name]:g} {text}" for name, text in _RECIPE_WORDS.items() if recipe.get(name)]
    if recipe.get("augment", "none") != "none":
        extra.append(f"images changed at random: {recipe['augment'].replace('_', ' and ')}")
    right = "" if entry.error is None else f" Right on {percent(1 - entry.error)} of the test set."
    seeds = f"first weights from seed {config['seed']}, order of the images from seed {config['order_seed']}"
    said = (
        f"{what}. {recipe['epochs']} epochs on {plain(dataset_info(entry.dataset).title)} with "
        f"{recipe['optimizer'].upper() if recipe['optimizer'] == 'sgd' else 'Adam'}, learning rate {recipe['lr']:g} "
        f"{decay}, batches of {recipe['batch_size']}{''.join(f', {text}' for text in extra)}; {seeds}.{right}"
    )
    return " ".join((said, *_variants(entry)))


def _variants(entry: Entry) -> list[str]:
    """A sentence for everything that is not as usual."""
    config, found = entry.config, []
    if config.get("twin") is not None:
        found.append("A twin: its hidden units began in another order than the seed gives them.")
    if fork := config.get("fork"):
        found.append(f"After epoch {fork[0]} it saw the images in the order of seed {fork[1]}.")
    if plan := config.get("pruning"):
        last = "the last layer too" if plan["last_layer"] == "prune" else "all but the last layer"
        found.append(
            f"Pruned level by level, {last}: each takes away the smallest {100 * plan['share']:.3g}% of the weights "
            f"that are left, and trains again from the weights after epoch {plan['rewind']}. "
            f"The levels from 1 to {max(entry.checkpoints, default=0)} are kept; the file is the last of them."
        )
    return found


_RECIPE_WORDS = {"momentum": "momentum", "weight_decay": "weight decay", "warmup": "epochs of warm-up"}


def address_of(config: Experiment) -> str:
    """The link to the page that shows this experiment."""
    return link(config, {})


def _table(entries: Sequence[Entry], uses: dict[str, list[Use]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Network": [entry.name for entry in entries],
            "From": [entry.origin for entry in entries],
            "Data set": [entry.dataset.split(":")[0] or _known_set(entry, uses) for entry in entries],
            "Architecture": [entry.config["arch"] for entry in entries],
            "Width": [entry.config["width"] for entry in entries],
            "Depth": [entry.config["depth"] for entry in entries],
            "Norm": [entry.config["norm"] for entry in entries],
            "Accuracy": [None if error is None else 100 * (1 - error) for error in (_error(e, uses) for e in entries)],
            "Epochs": pd.array([entry.epochs for entry in entries], dtype="Int64"),
            "Used": [len(uses.get(entry.id, ())) for entry in entries],
            "Date": [None if entry.origin == "shipped" else datetime.fromtimestamp(entry.written) for entry in entries],
            "Size": [entry.size for entry in entries],
        }
    )


_COLUMNS = {
    "Network": st.column_config.TextColumn(
        help="A trained network is named by its seed, a loaded one by its file. Pages "
        "that follow networks also keep pruned ones, twins (another order of units), and copies that went on with "
        "another order of the data."
    ),
    "Accuracy": st.column_config.NumberColumn(
        format="%.1f%%", help="On the test images. Of a network from a file: from the last result that it is part of."
    ),
    "From": st.column_config.TextColumn(help="Trained here, loaded from a file, or shipped with the program."),
    "Used": st.column_config.NumberColumn(help="In how many results it is part."),
    "Size": st.column_config.NumberColumn(format="bytes"),
    "Date": st.column_config.DatetimeColumn(format="D MMM, HH:mm"),
}


def _measured(entry: Entry, uses: dict[str, list[Use]]) -> Use | None:
    """The newest result that measured a loaded network."""
    return next((use for use in uses.get(entry.id, ()) if entry.id in use.errors), None)


def _error(entry: Entry, uses: dict[str, list[Use]]) -> float | None:
    measured = _measured(entry, uses)
    return measured.errors[entry.id] if entry.error is None and measured else entry.error


def _known_set(entry: Entry, uses: dict[str, list[Use]]) -> str:
    measured = _measured(entry, uses)
    return str(measured.config["dataset"]).split(":")[0] if measured else ""


def _title(entry: Entry) -> str:
    return entry.name if entry.origin == "loaded" else f"{entry.name[:1].upper()}{entry.name[1:]}"


def _curves(entries: Sequence[Entry]) -> None:
    if not any(entry.curves for entry in entries):
        return
    curves = pd.concat([pd.DataFrame(entry.curves).assign(network=entry.id) for entry in entries])
    names = {entry.id: name for entry, name in zip(entries, _distinct(entries), strict=True)}
    columns = st.columns(2)
    for column, measure in zip(columns, ("error", "loss"), strict=True):
        with column:
            show(
                f"network_{measure}",
                partial(network_curves, curves, measure=measure, names=names),
                *(f"{entry.id}{entry.written}" for entry in entries),
            )
    st.caption("Test error and loss after each epoch; training loss is the mean over an epoch's batches.")


def _distinct(entries: Sequence[Entry]) -> list[str]:
    """Names for a legend: the width or the data set beside the seed where it differs, else the start of the id."""
    names = [entry.name for entry in entries]
    for more in ("width", "dataset", "arch"):
        if len(set(names)) < len(names) and len({entry.config.get(more) for entry in entries}) > 1:
            names = [f"{name}, {more} {entry.config.get(more)}" for name, entry in zip(names, entries, strict=True)]
    return [
        f"{name} ({entry.id[:4]})" if names.count(name) > 1 else name
        for name, entry in zip(names, entries, strict=True)
    ]


def _used_in(uses: Sequence[Use]) -> None:
    if not uses:
        st.caption("It is part of no result yet.")
        return
    st.markdown("**Part of these results**")
    lines = []
    for use in uses[:MOST_USES]:
        config = use.value()
        text = plain(_use_in_words(use))
        lines.append(f"- [{text}]({address_of(config)})" if config and has_page(config) else f"- {text}")
    st.markdown("\n".join(lines))
    if len(uses) > MOST_USES:
        st.caption(f"The newest {MOST_USES} of {len(uses)}.")


def _use_in_words(use: Use) -> str:
    config = use.config
    names = ", ".join(map(str, config.get("labels") or config["seeds"]))
    kind = "networks" if config.get("labels") else "seeds"
    methods = ", ".join(config["method"])
    return f"{use.experiment.capitalize()} of {kind} {names} on {config['dataset'].split(':')[0]} ({methods})"


def _compare(entries: Sequence[Entry], dataset: str) -> None:
    ordered = sorted(entries, key=lambda e: (e.config.get("seed", 0), e.config.get("order_seed", 0), e.label))
    try:
        config = comparison(ordered, dataset)
    except InputError as error:
        right = error.right if error.option == "networks" else "no published data set fits all of them"
        st.info(plain(f"These networks cannot be compared: {right}."), icon=":material/info:")
        return
    pruned = isinstance(config, Pruning)
    st.link_button(
        "Compare them level by level" if pruned else "Compare them on the line between them",
        address_of(config),
        icon=":material/content_cut:" if pruned else ":material/compare_arrows:",
        type="primary",
        help=f"Opens the {'Pruning' if pruned else 'Pair'} page with these networks in a new tab.",
    )


def _take_or_delete(entry: Entry) -> None:
    with st.container(horizontal=True):
        if entry.checkpoints:
            st.download_button(
                "Download",
                lambda: library().as_file(entry),
                f"{_file_name(entry)}.safetensors",
                "application/octet-stream",
                on_click="ignore",
                icon=":material/download:",
                key="get_network",
                help="As safetensors, which PyTorch reads and this page loads again.",
            )
        if entry.origin == "shipped":
            st.caption("It came with the program and cannot be deleted.")
            return
        if limits():
            st.caption(NO_DELETION)
            return
        with st.popover("Delete", icon=":material/delete:"):
            st.markdown("Delete this network for good? Results that were made with it stay.")
            st.button("Yes, delete it", type="primary", on_click=_delete, args=(entry.id,), key="delete_network")


def _delete(id: str) -> None:
    if limits():  # the button is not drawn, but anyone can send what it would
        return
    try:
        engine().store.delete_network(id)
    except (StoreError, OSError) as error:
        st.session_state["_library_note"] = f"It could not be deleted: {error}."
    st.session_state[CHOSEN] = []


def _file_name(entry: Entry) -> str:
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in entry.label)
    if entry.origin == "loaded":
        return name
    others = [{"pruning": f"pruned-level{max(entry.checkpoints, default=0)}"}.get(v, v) for v in entry.variant]
    seed = "-".join((str(entry.config["seed"]), *others)) if others else name
    return f"{entry.dataset.split(':')[0]}-{entry.config['arch']}-width{entry.config['width']}-seed{seed}"
