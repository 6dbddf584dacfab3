"""Colours differ, are readable on both backgrounds, and differ for colour-blind eyes too."""

import itertools

import numpy as np
import pytest

from lmc.charts import style
from lmc.charts.export import _THEMES

ALL_COLORS = [*style.METHOD_COLORS.values(), *style.NETWORK_COLORS.values()]
# Machado, Oliveira and Fernandes (2009), full deuteranopia and protanopia, on linear light.
BLIND = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def light(color: str) -> np.ndarray:
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(light(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other))
    return high / low


def test_every_colour_is_used_once() -> None:
    assert len(set(ALL_COLORS)) == len(ALL_COLORS)


@pytest.mark.parametrize("color", [*ALL_COLORS, *style.UNIT_COLORS])
def test_contrast_on_both_backgrounds(color: str) -> None:
    for theme in _THEMES.values():
        assert contrast(color, theme["background"]) >= 3


@pytest.mark.parametrize("color", [*style.UNIT_COLORS, style.POSITIVE, style.NEGATIVE])
def test_white_text_on_the_toy_network(color: str) -> None:
    assert contrast(color, "#FFFFFF") >= 4.5


def test_classes_stand_on_their_tints_and_apart() -> None:
    for color in style.CLASS_COLORS:
        tint = "#" + "".join(f"{round(255 * 0.58 + 0.42 * int(color[i : i + 2], 16)):02X}" for i in (1, 3, 5))
        assert contrast(color, tint) >= 1.9  # points have a white rim, too
    assert not {*style.CLASS_COLORS} & {*style.METHOD_COLORS.values(), *style.NETWORK_COLORS.values()}


@pytest.mark.parametrize(
    "group",
    [
        style.CLASS_COLORS,
        ("none", "weight", "activation", "straight_through", "sinkhorn", "annealing"),
        ("A", "B", "C", "merged"),
    ],
)
@pytest.mark.parametrize("eyes", list(BLIND))
def test_main_colours_differ_for_colour_blind_eyes(eyes: str, group: tuple[str, ...]) -> None:
    colors = [(style.METHOD_COLORS | style.NETWORK_COLORS).get(name, name) for name in group]
    seen = [np.clip(np.array(BLIND[eyes]) @ light(c), 0, 1) ** (1 / 2.2) for c in colors]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.15


def test_methods_have_a_label_a_dash_and_an_order() -> None:
    assert style.METHOD_COLORS.keys() == style.METHOD_LABELS.keys() == style.METHOD_DASHES.keys()
    assert style.ordered_methods(["weight", "none", "weight", "new_one"]) == ["none", "weight", "new_one"]
    assert style.method_label("new_one") == "New one"
    assert style.method_color("new_one") == style.method_color("new_one")


def test_networks_take_the_colours_of_their_places() -> None:
    assert list(style.network_colors(["7", "3"]).values()) == [
        style.NETWORK_COLORS["A"],
        style.NETWORK_COLORS["B"],
    ]
    assert style.network_colors(["merged"]) == {"merged": style.NETWORK_COLORS["merged"]}


def test_values_in_words() -> None:
    assert [style.percent(v) for v in (0.003, 0.083, 0.771)] == ["0.3%", "8.3%", "77%"]
    assert style.readable(1.234, "loss") == "1.23"
