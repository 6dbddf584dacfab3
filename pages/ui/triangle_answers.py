"""What the merged network at one point of the triangle answers on a few test images."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lmc.charts.style import MEASURES, method_color, method_label, network_label, percent, readable
from lmc.experiments import Triple, array_name, dataset_info
from lmc.result import Result
from pages.ui.captions import noun
from pages.ui.player_data import ON_PAPER
from pages.ui.triangle import Spot, TriangleView

_STYLE = Path(__file__).with_name("triangle_answers.css").read_text("utf-8")
_LONG = 2  # letters of a class name above which it is written small


def show_answers(result: Result, config: Triple, view: TriangleView, spot: Spot) -> None:
    """The mixture in words, and for each triangle how often it is wrong; on images also what it takes them for."""
    st.subheader("What the merged network answers", anchor=False)
    st.markdown(f"**{method_label(spot.method)}.** {in_words(spot, view.labels)}. Click another point of a triangle.")
    simplex = result.frame("simplex")
    table = simplex[(simplex["triple"] == view.one) & (simplex["split"] == view.split)]
    rows = {method: _at(table[table["method"] == method], spot) for method in view.maps}
    if dataset_info(config.dataset).kind == "points":
        for method, (_, row) in rows.items():
            st.markdown(f"- {method_label(method)}: {_value(row, view)}")
        return
    answers = {m: result.arrays[array_name(view.one, m, "answers")][place] for m, (place, _) in rows.items()}
    heads = {method: _head(method, _value(row, view)) for method, (_, row) in rows.items()}
    st.html(f"<style>{_STYLE}</style>{_table(result, config, heads, answers, spot.method)}")
    one = "" if view.triple == view.one or len(config.members()) == 1 else f" Networks of the triple {view.one}."
    st.caption(f"The same mixture under each method: the answer, right (✓) or wrong (✗), and its probability.{one}")


def in_words(spot: Spot, labels: Sequence[str]) -> str:
    """`The middle: 33% A (seed 0), 33% B (seed 1), 33% C (seed 2)`."""
    shares = list(zip(spot.weights, "ABC", labels, strict=True))
    parts = [f"{percent(share)} {network_label(letter, label)}" for share, letter, label in shares if share]
    if len(parts) == 1:
        return f"A corner: {parts[0].removeprefix('100% ')} alone"
    where = "An edge" if len(parts) == 2 else "The middle" if np.ptp(spot.weights) < 0.01 else "A mixture"
    return f"{where}: {', '.join(parts)}"


def _at(table: pd.DataFrame, spot: Spot) -> tuple[int, Any]:
    """The place of the point among a method's mixtures, and its row."""
    place = spot.row(table[["w0", "w1", "w2"]].to_numpy())
    return place, table.iloc[place]


def _value(row: Any, view: TriangleView) -> str:
    value = readable(row[view.measure], view.measure)
    return f"wrong on {value} of all {view.split} data" if view.measure == "error" else f"{MEASURES['loss']} {value}"


def _head(method: str, said: str) -> str:
    dot = f'<span class="dot" style="--method: {method_color(method)}"></span>'
    return f'{dot}<span class="name">{method_label(method)}</span><span class="wrong-on">{said}</span>'


def _table(result: Result, config: Triple, heads: dict[str, str], answers: dict[str, np.ndarray], chosen: str) -> str:
    """An HTML table: the images, and under them a row of answers for each method, that of the `chosen` one tinted."""
    classes = [escape(name) for name in dataset_info(config.dataset).classes]
    truth = result.arrays["labels"].tolist()
    pictures = zip(result.arrays["images"], truth, strict=True)
    images = [
        f'<td><img alt="{classes[label]}" title="{classes[label]}" src="{_png(image, config.dataset)}"></td>'
        for image, label in pictures
    ]
    rows = [f'<tr><th scope="row">{len(truth)} test {noun(config)}</th>{"".join(images)}</tr>']
    for method, head in heads.items():
        cells = [_cell(p, label, classes) for p, label in zip(answers[method], truth, strict=True)]
        tint = ' class="chosen"' if method == chosen and len(heads) > 1 else ""
        rows.append(f'<tr{tint}><th scope="row">{head}</th>{"".join(cells)}</tr>')
    return f'<table class="answers" aria-label="Answers of the merged networks">{"".join(rows)}</table>'


def _cell(probabilities: np.ndarray, truth: int, classes: Sequence[str]) -> str:
    answer = int(probabilities.argmax())
    right = answer == truth
    look = f"face{' right' * right}{' long' * (len(classes[answer]) > _LONG)}"
    share = f"{float(probabilities[answer]):.0%}"
    title = f"{'Right' if right else 'Wrong'}: {classes[answer]} with {share}"
    face = f'<span class="{look}" title="{title}">{classes[answer]} {"✓" if right else "✗"}</span>'
    return f'<td>{face}<span class="share">{share}</span></td>'


def _png(image: np.ndarray, dataset: str) -> str:
    """A picture `[channels, height, width]` of values from 0 to 1 as a data address, dark on white like writing."""
    from PIL import Image

    pixels = np.rint(255 * image.transpose(1, 2, 0)).clip(0, 255).astype(np.uint8)
    pixels = 255 - pixels if dataset in ON_PAPER else pixels
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
