"""Barriers from values on a grid (DESIGN's definitions; NumPy only, so that pages need no torch).

The baseline `line` is the straight line between the end values (the definition of the main paper's
code), `mean` is the mean of the two end values (Git Re-Basin, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CONNECTED = 0.02
"""Two networks with an error barrier of at most this count as connected."""
BASELINES = {"line": "the straight line between the end values", "mean": "the mean of the end values"}


def baseline_values(lam: Sequence[float], values: Sequence[float], baseline: str = "line") -> np.ndarray:
    """The baseline at each λ; `lam` and `values` are `[points]`, with the ends at λ = 0 and 1."""
    if baseline not in BASELINES:
        raise ValueError(f"unknown baseline {baseline!r}; choose one of: {', '.join(BASELINES)}")
    lam_, v = np.asarray(lam, float), np.asarray(values, float)
    if len(lam_) != len(v) or len(lam_) < 2 or lam_[0] != 0 or lam_[-1] != 1:
        raise ValueError("a segment needs one value for each λ and both ends, λ = 0 first and λ = 1 last")
    return (1 - lam_) * v[0] + lam_ * v[-1] if baseline == "line" else np.full(len(v), (v[0] + v[-1]) / 2)


def barrier(lam: Sequence[float], values: Sequence[float], baseline: str = "line") -> float:
    """max over λ of value − baseline, in the unit of `values`; with the line it is at least 0."""
    return float(np.max(np.asarray(values, float) - baseline_values(lam, values, baseline)))


def simplex_excess(
    weights: np.ndarray, values: Sequence[float] | np.ndarray, corners: Sequence[float] | np.ndarray
) -> np.ndarray:
    """value − Σ w_i L(θ_i) at every point: `weights` `[points, networks]`, `corners` the values at the networks."""
    w, at_corners = np.asarray(weights, float), np.asarray(corners, float)
    if w.shape != (len(values), len(at_corners)):
        raise ValueError(f"{len(values)} values at {len(at_corners)} corners need as many weights, not {w.shape}")
    return np.asarray(np.asarray(values, float) - w @ at_corners)
