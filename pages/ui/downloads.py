"""Tables, figures, the command line and the link of what is on the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from lmc.charts import export
from lmc.charts.style import method_label
from lmc.experiments import Experiment, Pair
from lmc.experiments.spelling import command
from lmc.result import Result
from pages.ui.address import link
from pages.ui.runs import engine, visible


class File(NamedTuple):
    """A file to take away, made when somebody asks for it; `end` is the end of its name, after the result's."""

    label: str
    end: str
    kind: str
    make: Callable[[], bytes | str]
    help: str | None = None


def show_tables(methods: Sequence[str], tables: Mapping[str, Callable[[], pd.DataFrame]]) -> None:
    """Draw the tables below one another, each under its caption if it has one; closed until asked for."""
    box = st.expander("The data as tables", icon=":material/table:", key="tables", on_change="rerun")
    if not box.open:
        return
    names = {"method": {method: method_label(method) for method in methods}}
    for text, make in tables.items():
        if text:
            box.caption(text)
        box.dataframe(make().replace(names), hide_index=True)


def take_away(
    config: Experiment,
    result: Result,
    chart: Callable[[], Any],
    view: Mapping[str, object],
    files: Sequence[File],
) -> None:
    """Draw the downloads, the command and the link; `files` are the page's own, `view` what of the result it shows."""
    st.subheader("Take it with you", anchor=False)
    columns = st.columns(3)
    for i, file in enumerate((*files, *_of_every_page(result, chart))):
        columns[i % 3].download_button(
            file.label,
            file.make,
            f"lmc-{config.name}-{result.id}{file.end}",
            file.kind,
            on_click="ignore",
            width="stretch",
            icon=":material/download:",
            key=f"get_{file.label}",
            help=file.help,
        )
    words = st.expander("The command, and a link", icon=":material/terminal:", key="words", on_change="rerun")
    if words.open:
        words.caption("The command that computes the same numbers without the app:")
        words.code(command(config), language="bash", wrap_lines=True)
        words.caption("The link to this page, with every setting spelled out:")
        words.code(link(config, view), language=None, wrap_lines=True)


def table_file(result: Result, config: Experiment, table: str) -> File:
    """The rows of a table that belong to the chosen methods, as CSV."""
    return File(
        f"{table.capitalize()} as CSV",
        f"-{table}.csv",
        "text/csv",
        lambda: visible(result, config, table).to_csv(index=False),
    )


def networks_file(config: Pair, result: Result, members: tuple[int, int]) -> File:
    """The two networks of a pair, B also in its permuted orders."""

    def make() -> bytes:
        from lmc.experiments.export import pair_networks

        return pair_networks(config, result, engine().store, members)

    said = "A, B and B in its permuted orders, as safetensors."
    return File("Networks", "-networks.zip", "application/zip", make, said)


def _of_every_page(result: Result, chart: Callable[[], Any]) -> tuple[File, ...]:
    return (
        File("Chart as SVG", ".svg", "image/svg+xml", lambda: export.to_svg(chart())),
        File("Chart as PNG", ".png", "image/png", lambda: export.to_png(chart())),
        File("Everything as JSON", ".json", "application/json", lambda: json.dumps(result.to_json(), indent=1)),
    )
