"""Choices to begin with: a name, one line, and the settings that are not at their defaults."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "First look": ("Two networks of width 32, already trained", {}),
    "See it": ("Points in the plane: watch the decision boundary between two networks", {"dataset": "moons"}),
    "Wider": ("Width 512: the barrier all but vanishes", {"width": 512}),
    "Convolutions": ("Small convolutional networks: channels can be reordered too", {"arch": "cnn", "epochs": 20}),
    "Six networks": ("All fifteen pairs of six seeds, with intervals", {"seeds": "0 1 2 3 4 5"}),
    "Triangle": ("Three seeds, already trained: look between them on the page Triangle", {"seeds": "0 1 2"}),
    "Wide triangle": ("Width 512: is the whole triangle flat?", {"seeds": "0 1 2", "width": 512}),
    "Same start": ("Equal first weights, other order of the images", {"seeds": "0 0", "order_seeds": "0 1"}),
}
