"""Tables, figures, networks, the command line and the link of what is on the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from lmc.charts import export
from lmc.experiments import Pair
from lmc.experiments.spelling import command
from lmc.result import Result
from pages.ui.address import link
from pages.ui.controls import View
from pages.ui.runs import engine, visible


def take_away(config: Pair, result: Result, chart: Callable[[], Any], view: View) -> None:
    """Draw the downloads, the command and the link."""
    st.subheader("Take it with you", anchor=False)
    name = f"lmc-{config.name}-{result.id}"
    files: list[tuple[str, str, str, Callable[[], bytes | str]]] = [
        ("Path as CSV", f"{name}-path.csv", "text/csv", lambda: visible(result, config, "path").to_csv(index=False)),
        (
            "Barriers as CSV",
            f"{name}-barriers.csv",
            "text/csv",
            lambda: visible(result, config, "barriers").to_csv(index=False),
        ),
        ("Chart as SVG", f"{name}.svg", "image/svg+xml", lambda: export.to_svg(chart())),
        ("Chart as PNG", f"{name}.png", "image/png", lambda: export.to_png(chart())),
        ("Everything as JSON", f"{name}.json", "application/json", lambda: json.dumps(result.to_json(), indent=1)),
        ("Networks", f"{name}-networks.zip", "application/zip", lambda: _networks(config, result, view)),
    ]
    columns = st.columns(3)
    for i, (label, file, kind, make) in enumerate(files):
        columns[i % 3].download_button(
            label,
            make,
            file,
            kind,
            on_click="ignore",
            width="stretch",
            icon=":material/download:",
            key=f"get_{label}",
            help="A, B and B in its permuted orders, as safetensors." if label == "Networks" else None,
        )
    words = st.expander("The command, and a link", icon=":material/terminal:", key="words", on_change="rerun")
    if words.open:
        words.caption("The command that computes the same numbers without the app:")
        words.code(command(config), language="bash", wrap_lines=True)
        words.caption("The link to this page, with every setting spelled out:")
        words.code(link(config, view.address()), language=None, wrap_lines=True)


def _networks(config: Pair, result: Result, view: View) -> bytes:
    from lmc.experiments.export import pair_networks

    return pair_networks(config, result, engine().store, view.members)
