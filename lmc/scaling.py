"""At which width networks would connect: where a barrier that falls with the width meets the threshold.

Once networks are wide enough their barriers fall roughly as a power of the width, so that is fitted: a straight line
on logarithmic scales. NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lmc.barriers import CONNECTED
from lmc.seeds import seed_for

Array = npt.NDArray[Any]

REACH = 8.0  # times the largest width: no line is drawn out further
FITTED = 8.0  # the line is fitted to widths of at least the largest divided by this: it is straight only locally
PLATEAU = 0.8  # of the largest mean: barriers fall from the last width on that has so much, narrower ones saturate
LEAST_WIDTHS = 3
DRAWS = 1000


@dataclass(frozen=True)
class Crossing:
    """The width from which on the mean barrier would stay below the threshold, and how far off that may be.

    `kind` is `within` (interpolated between two of the widths), `beyond` (extrapolated), `already` (no width is
    above the threshold; `width` is the smallest) or `out of reach` (the data do not say; `reason` tells why, in words
    that may follow a colon). `low` and `high` are the 95% interval: None if the spread is unknown, `low` at least the
    smallest width, `high` infinite if it is out of reach.
    """

    kind: Literal["within", "beyond", "already", "out of reach"]
    width: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def connecting_width(
    widths: Sequence[float] | Array,
    barriers: Sequence[float] | Array,
    triples: Sequence[Any] | None = None,
    *,
    threshold: float = CONNECTED,
    resolution: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Crossing:
    """The width at which the mean of `barriers` falls to `threshold`, from one row for each width and triple.

    The interval comes from a bootstrap over `triples` (without them every row counts as one of its own), with one
    triple from the residuals of the fit. Triples that share networks vary less than new ones would, so with few seeds
    the interval is too narrow. Means below `resolution`, the step of the measure (1/n on n images; else a tenth of
    the threshold), are lifted to it. Raises ValueError if the columns differ in length or the threshold is not
    positive.

    >>> connecting_width([8, 16, 32, 64], [0.32, 0.16, 0.08, 0.04]).width
    128.0
    """
    if threshold <= 0:
        raise ValueError(f"a threshold of {threshold} cannot be met on a logarithmic scale; it must be positive")
    means = _Means(*_matrix(widths, barriers, triples), threshold, resolution)
    if means.known and np.all(means.log <= 0):
        return Crossing("already", means.smallest)
    if len(means.log) < LEAST_WIDTHS:
        return _unsaid(f"it takes {LEAST_WIDTHS} widths at least, and barriers are known at {len(means.log)}")
    noise = means.noise(np.random.default_rng(seed_for("connecting width", seed)), draws)
    if means.log[-1] > 0:
        return _beyond(means, noise)
    return Crossing("within", _width(_crossings(means, means.log[None])[0]), *_interval(means, noise))


def _beyond(means: _Means, noise: Array | None) -> Crossing:
    """The crossing beyond the largest width, if a line through the last ones says where."""
    if len(means.falling) < 2:
        return _unsaid("the barrier does not fall with the width")
    if len(means.fitted) < LEAST_WIDTHS:
        return _unsaid("the barrier falls over too few widths to say how fast")
    slope = _line(means, means.log[None])[0][0]
    slopes = [slope] if noise is None else _line(means, means.log + noise)[0]
    if slope >= 0:
        return _unsaid("the barrier does not fall with the width")
    if np.quantile(slopes, 0.975) >= 0:
        return _unsaid("how fast the barrier falls is too uncertain")
    width = _width(_crossings(means, means.log[None])[0])
    if width > REACH * means.largest:
        return _unsaid(f"at this pace it would take more than {REACH:g} times the largest width")
    return Crossing("beyond", width, *_interval(means, noise))


def _unsaid(reason: str) -> Crossing:
    return Crossing("out of reach", reason=reason)


def _matrix(widths: Any, barriers: Any, triples: Any) -> tuple[Array, Array]:
    """The widths in order `[k]`, and the barrier of each triple (row) at each of them, NaN where there is none."""
    w, v = np.asarray(widths, float), np.asarray(barriers, float)
    names = np.arange(len(w)).astype(str) if triples is None else np.asarray(triples, str)
    if not len(w) == len(v) == len(names):
        raise ValueError(f"{len(w)} widths, {len(v)} barriers and {len(names)} triples do not make rows")
    there = np.isfinite(v)
    ticks, column = np.unique(w[there], return_inverse=True)
    found, row = np.unique(names[there], return_inverse=True)
    matrix = np.full((len(found), len(ticks)), np.nan)
    matrix[row, column] = v[there]
    return ticks, matrix


class _Means:
    """Mean barriers over the triples, as logarithms of their ratio to the threshold (0 is on it)."""

    def __init__(self, widths: Array, values: Array, threshold: float, resolution: float | None) -> None:
        self.known = len(widths) > 0
        self.smallest, self.largest = (float(widths[0]), float(widths[-1])) if self.known else (0.0, 0.0)
        self.values, self.step = values, resolution or 0.0
        self.x = np.log(widths)
        self.means = np.maximum(_mean(values), min(resolution or threshold / 10, threshold / 2))
        self.log = np.log(self.means / threshold)
        top = np.flatnonzero(self.means >= PLATEAU * self.means.max(initial=0.0))
        self.falling = np.arange(top[-1], len(widths)) if self.known else np.arange(0)
        self.fitted = self.falling[widths[self.falling] >= self.largest / FITTED * (1 - 1e-9)]

    def noise(self, rng: np.random.Generator, draws: int) -> Array | None:
        """How the logarithms may be off, `[draws, k]`: Student's t in the spread between the triples.

        A multiplier bootstrap: every triple's deviation from the mean gets a normal weight, the same at all widths,
        so what is common to a triple stays so. None if nothing tells the spread.
        """
        counts = np.isfinite(self.values).sum(0)
        if counts.max() < 2:
            return self._residual_noise(rng, draws)
        deviations = np.nan_to_num(self.values - _mean(self.values)) / self.means
        several = counts > 1
        scale = np.where(several, 1 / np.sqrt(counts * np.maximum(counts - 1, 1)), 0.0)
        noise = rng.standard_normal((draws, len(self.values))) @ (deviations * scale)
        spread = np.sqrt((deviations**2).sum(0) / np.maximum(counts - 1, 1))
        lonely = np.where(several, 0.0, spread.max())  # one triple so far: it may be off by as much as any elsewhere
        alone = np.hypot(lonely, self.step / 2 / self.means)
        noise += alone * rng.standard_normal(noise.shape)
        freedom = int(counts[several].min()) - 1
        misfit = self._misfit(np.hypot(spread / np.sqrt(counts) * several, alone))
        return misfit * noise / np.sqrt(rng.chisquare(freedom, (draws, 1)) / freedom)

    def _residual_noise(self, rng: np.random.Generator, draws: int) -> Array | None:
        """With one triple: scatter around a straight line through the falling part."""
        freedom = len(self.falling) - 2
        if freedom < 1:
            return None
        spread = np.sqrt((_residuals(self.x[self.falling], self.log[self.falling]) ** 2).sum() / freedom)
        noise = np.hypot(spread, self.step / 2 / self.means) * rng.standard_normal((draws, len(self.log)))
        return noise / np.sqrt(rng.chisquare(freedom, (draws, 1)) / freedom)

    def _misfit(self, errors: Array) -> float:
        """How many times more the means scatter around the line drawn out than their errors explain, at least 1."""
        freedom = len(self.fitted) - 2
        if self.log[-1] <= 0 or freedom < 1 or not np.all(errors[self.fitted] > 0):
            return 1.0
        residuals = _residuals(self.x[self.fitted], self.log[self.fitted])
        return max(1.0, float(np.sqrt(((residuals / errors[self.fitted]) ** 2).sum() / freedom)))


def _crossings(means: _Means, logs: Array) -> Array:
    """Logarithm of the width where each row of `logs` `[draws, k]` stays below 0: −∞ if always, ∞ if never."""
    x, above = means.x, logs > 0
    last = logs.shape[1] - 1 - np.argmax(above[:, ::-1], 1)
    left = np.minimum(last, logs.shape[1] - 2)
    y, step = np.take_along_axis(logs, left[:, None], 1)[:, 0], np.diff(logs, axis=1)
    fall = np.take_along_axis(step, left[:, None], 1)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = x[left] - y / fall * np.diff(x)[left]
    found = np.where(above.any(1), between, -np.inf)
    return np.where(above[:, -1], _drawn_out(means, logs), found)


def _drawn_out(means: _Means, logs: Array) -> Array:
    if len(means.fitted) < 2:
        return np.full(len(logs), np.inf)
    slope, middle, height = _line(means, logs)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(slope < 0, np.maximum(middle - height / slope, means.x[-1]), np.inf)


def _line(means: _Means, logs: Array) -> tuple[Array, float, Array]:
    """Slopes of the lines through the last widths, the mean of x, and the heights there."""
    x, y = means.x[means.fitted], logs[:, means.fitted]
    offset = x - x.mean()
    return y @ offset / (offset @ offset), float(x.mean()), y.mean(1)


def _residuals(x: Array, y: Array) -> Array:
    offset = x - x.mean()
    return y - y.mean() - offset * (offset @ y) / (offset @ offset)


def _interval(means: _Means, noise: Array | None) -> tuple[float | None, float | None]:
    if noise is None:
        return None, None
    low, high = (_width(v) for v in np.quantile(_crossings(means, means.log + noise), (0.025, 0.975), method="nearest"))
    return max(low, means.smallest), high if high <= REACH * means.largest else np.inf


def _width(log: float) -> float:
    with np.errstate(over="ignore"):  # a line that hardly falls crosses at infinity
        return float(np.round(np.exp(log), 9))


def _mean(values: Array) -> Array:
    """Column means without the missing values."""
    there = np.isfinite(values)
    return np.nan_to_num(values).sum(0) / np.maximum(there.sum(0), 1)
