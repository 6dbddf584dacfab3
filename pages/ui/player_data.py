"""What the λ player needs, taken from a finished result and packed for the way to the browser."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import streamlit as st

from lmc.charts.style import CLASS_COLORS, method_color, method_label
from lmc.experiments import Pair, array_name, dataset_info
from lmc.result import Result
from pages.ui.runs import visible

MOST_FRAMES = 101  # λ in the film; a finer grid is thinned evenly
ON_PAPER = ("digits", "mnist", "fashion_mnist", "kmnist")  # bright strokes on black, drawn dark on white


def player_data(result: Result, config: Pair, pair: str, split: str) -> dict[str, Any]:
    """The grid, a few test inputs, and for each method its error and answers at every λ; see `check_data`."""
    return _packed(result.id, tuple(config.labels), config.method, pair, split, result, config)


@st.cache_resource(show_spinner=False, max_entries=32)
def _packed(
    id: str, labels: tuple[str, ...], methods: tuple[str, ...], pair: str, split: str, _result: Result, _config: Pair
) -> dict[str, Any]:
    """The same for the same `id`, `labels`, `methods`, `pair` and `split`."""
    info = dataset_info(_config.dataset)
    path = visible(_result, _config, "path")
    rows = path[(path["pair"] == pair) & (path["split"] == split)]
    lams = rows.loc[rows["method"] == "none", "lam"].to_numpy()
    frames = np.unique(np.linspace(0, len(lams) - 1, min(len(lams), MOST_FRAMES)).round().astype(int))
    kinds = {"images": _images, "points": _points}
    return {
        "show": "|".join((id, *labels, *methods, pair, split)),
        "lams": lams[frames].tolist(),
        "truth": _result.arrays["labels"].tolist(),
        "classes": list(info.classes),
        "methods": [_method(_result, rows, pair, method, frames) for method in dict.fromkeys(rows["method"])],
        **kinds[info.kind](_result, _config.dataset),
    }


def _method(result: Result, rows: Any, pair: str, method: str, frames: np.ndarray) -> dict[str, Any]:
    probabilities = result.arrays[array_name(pair, method, "answers")][frames]
    found = {
        "name": method,
        "label": method_label(method),
        "color": method_color(method),
        "error": rows.loc[rows["method"] == method, "error"].to_numpy()[frames].tolist(),
        "answer": probabilities.argmax(-1).tolist(),
        "confidence": probabilities.max(-1).round(2).tolist(),
    }
    plane = result.arrays.get(array_name(pair, method, "plane"))
    return found if plane is None else {**found, "plane": pack(plane[frames][..., :-1])}


def _images(result: Result, dataset: str) -> dict[str, Any]:
    images = result.arrays["images"]
    return {
        "kind": "images",
        "images": pack(np.rint(255 * images.transpose(0, 2, 3, 1)).astype(np.uint8)),
        "shape": [images.shape[2], images.shape[3], images.shape[1]],
        "paper": dataset in ON_PAPER,
    }


def _points(result: Result, dataset: str) -> dict[str, Any]:  # noqa: ARG001 - called like `_images`
    plane = next(array for name, array in result.arrays.items() if name.endswith("|plane|"))
    return {
        "kind": "points",
        "points": result.arrays["images"].round(3).tolist(),
        "extent": result.arrays["extent"].tolist(),
        "side": round(plane.shape[1] ** 0.5),
        "colors": list(CLASS_COLORS[: plane.shape[-1]]),
    }


def pack(values: np.ndarray) -> str:
    """Whole numbers 0 to 255 as text: their bytes, row after row, deflated (zlib) and in base64."""
    if values.dtype != np.uint8:
        raise ValueError(f"bytes are needed, not {values.dtype}")
    return base64.b64encode(zlib.compress(values.tobytes(), 6)).decode()
