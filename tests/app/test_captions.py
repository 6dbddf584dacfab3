"""Captions name what was measured, on what, and what was done to it."""

from dataclasses import replace

import pytest

import lmc
from lmc.experiments import INSTANT, Pair
from pages.ui import captions
from pages.ui.match import layer_names
from pages.ui.runs import computed


def test_a_part_of_a_split_is_named():
    config = Pair(dataset="cifar10", arch="cnn")
    assert captions.measured_on(config, "test") == "10,000 test images"
    train = "10,000 of the 50,000 train images, a fixed draw with equal classes"
    assert captions.measured_on(config, "train") == train and captions.measured(config, "train") == 10_000
    assert captions.measured_on(Pair(dataset="moons"), "test") == "1,000 test points"


def test_corrections_are_named():
    assert captions.correction_caption(Pair()) == ""
    batch = Pair(norm="batch", reset_images=100_000)
    assert "measured anew on 1,437 training images" in captions.correction_caption(batch)
    assert "no longer the straight line" in captions.correction_caption(replace(batch, correction="repair"))


def test_narrow_residual_networks_are_spoken_of():
    narrow = Pair(dataset="cifar10", arch="resnet", norm="batch")
    assert "32 times" in captions.narrow_caption(narrow)
    assert captions.narrow_caption(replace(narrow, width=512)) == captions.narrow_caption(Pair()) == ""


def test_a_wider_network_is_proposed_where_there_is_one():
    assert captions.wider(Pair()) == 128 and captions.wider(Pair(arch="cnn")) == 32
    assert captions.wider(Pair(width=16384)) is None
    assert captions.wider(Pair(load=("0" * 16, "1" * 16))) is None


def test_networks_are_named_by_label_whatever_is_in_it():
    config = Pair(load=("0" * 16, "1" * 16), labels=("my-net/a", "other-b"))
    assert captions.named(config, (0, 1)) == "A (my-net/a) and B (other-b)"


def test_all_methods_are_computed_only_where_that_is_quick():
    assert computed(Pair()).method == computed(Pair(dataset="spirals")).method == INSTANT
    assert computed(Pair(method=("sinkhorn",))).method == (*INSTANT, "sinkhorn")
    large = Pair(dataset="cifar10", arch="resnet", method=("weight",))
    assert computed(large) == large and computed(Pair(arch="vit")) == Pair(arch="vit")


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("layers.0", "Layer 1"),
        ("blocks.2.conv1", "Block 3 conv1"),
        ("stem", "Stem"),
        ("blocks.0.query#2", "Block 1 query 2"),
    ],
)
def test_layers_in_words(group, words):
    assert layer_names([group, group]) == {group: words}


def test_the_check_and_the_device_are_said():
    said = captions.barrier_caption(Pair(), lmc.run(Pair(method=INSTANT)), "test", "loss", "the line")
    assert "checked in double precision" in said and said.endswith("Computed on cpu.") and "of error" not in said
