"""What may be computed in a classroom, where thirty people share one machine.

`LMC_CLASSROOM=1` switches the limits on. They hold for what is computed anew; what was computed before opens as
always, so a teacher can prepare larger runs. Importing this loads no torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmc.data import on_disk
from lmc.errors import InputError
from models import get_architecture

if TYPE_CHECKING:
    from lmc.experiments import Experiment

WIDTHS = {"mlp": 512, "cnn": 64, "vgg": 16, "resnet": 16, "vit": 64}
"""Widths whose training takes minutes on two cores; with VGG that is a quarter of the usual one."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that one run may take.

    Attributes:
        epochs: of training.
        networks: seeds, or loaded networks; six make 15 pairs and 20 triples.
        points: on a segment.
        restarts: of weight matching.
        match_steps: of straight-through and Sinkhorn matching.
        anneal_steps: swaps of simulated annealing.
        side: steps along a side of a triangle.
        samples: random points inside a simplex.
        levels: of detail of a landscape.
        images: that a network is measured on, a split, or matched on.
        seconds: of computing; waiting does not count.
        runs_per_session: that wait or run at a time for one page.
        datasets: names; one that is not on this disk is not allowed, since thirty downloads would be asked for.
    """

    epochs: int = 100
    networks: int = 6
    points: int = 101
    restarts: int = 20
    match_steps: int = 1_000
    anneal_steps: int = 20_000
    side: int = 24
    samples: int = 200
    levels: int = 3
    images: int = 10_000
    seconds: float = 180.0
    runs_per_session: int = 1
    datasets: tuple[str, ...] = ("digits", "moons", "spirals", "mnist")

    def width(self, arch: str) -> int:
        """The largest width of an architecture; of one that is not in `WIDTHS` its default."""
        return WIDTHS.get(arch, get_architecture(arch).default_width)

    def allowed_datasets(self) -> list[str]:
        """The data sets that can be used without a download."""
        return [name for name in self.datasets if on_disk(name)]

    @property
    def too_long(self) -> str:
        """The sentence for a run that was stopped after `seconds`."""
        return (
            f"The run was stopped: in this classroom it may take at most {self.seconds:g} s. "
            "Choose fewer epochs or a smaller width."
        )


def limits() -> Limits | None:
    """The limits of this process, None outside a classroom: unless `LMC_CLASSROOM` is set, and not to 0."""
    return Limits() if os.environ.get("LMC_CLASSROOM", "").strip() not in ("", "0") else None


def check_limits(config: Experiment, limits: Limits | None) -> None:
    """Raise InputError for the first value of `config` that is beyond `limits`; None limits nothing.

    The error's `right` reads on its own, such as "in this classroom at most 512 is allowed".
    """
    if limits is None:
        return
    if config.dataset not in (allowed := limits.allowed_datasets()):
        raise InputError("dataset", config.dataset, f"in this classroom choose one of: {', '.join(allowed)}")
    for width in getattr(config, "widths", (config.width,)):
        _check_most("width", width, limits.width(config.arch), f" for {config.arch}")
    if config.load:
        _check_count("load", config.load, limits.networks)
    else:
        _check_count("seeds", config.seeds, limits.networks)
        _check_most("epochs", config.recipe.epochs, limits.epochs)
    _check_most("points", config.points, limits.points)
    for option in ("restarts", "match_steps", "anneal_steps"):
        _check_most(option, getattr(config, option), getattr(limits, option))
    for option in ("side", "samples", "levels"):  # of some experiments
        _check_most(option, getattr(config, option, 0), getattr(limits, option))
    for option in ("eval_images", "match_images", "reset_images"):
        _check_most(option, getattr(config, option), limits.images)


def _check_most(option: str, value: int, most: int, where: str = "") -> None:
    if value > most:
        raise InputError(option, value, f"in this classroom at most {most:,} is allowed{where}")


def _check_count(option: str, values: tuple[object, ...], most: int) -> None:
    if len(values) > most:
        raise InputError(option, values, f"in this classroom at most {most} networks are allowed")
