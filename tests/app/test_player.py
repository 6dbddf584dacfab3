"""What the player is given: bytes that unpack to the result's, and nothing that does not fit together."""

import base64
import zlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import lmc
from lmc.experiments import INSTANT, Pair
from pages.ui.player import check_data
from pages.ui.player_data import MOST_FRAMES, pack, player_data


def unpack(text):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)


def result_on(dataset, arrays, lams):
    """A result with made-up answers on `dataset`."""
    n = len(arrays["images"])
    rows = {"pair": "0-1", "method": "none", "split": "test", "lam": lams, "error": np.linspace(0, 0.9, len(lams))}
    arrays = {**arrays, "labels": np.zeros(n, int), "0-1|none|answers|": np.full((len(lams), n, 2), 0.5)}
    return SimpleNamespace(id=dataset, arrays=arrays, frame=lambda name: pd.DataFrame(rows))


def test_digits_unpack_to_their_pixels():
    result = lmc.run(Pair(method=INSTANT))
    data = player_data(result, Pair(), "0-1", "test")
    check_data(data)
    images = unpack(data["images"]).reshape(8, *data["shape"])
    assert np.array_equal(images[..., 0], np.rint(255 * result.arrays["images"][:, 0]))
    assert data["paper"] and data["kind"] == "images" and data["classes"] == list("0123456789")
    path = result.frame("path")
    errors = path.loc[(path["method"] == "weight") & (path["split"] == "test"), "error"].tolist()
    assert data["methods"][1]["error"] == errors and len(data["methods"]) == 3


def test_colour_images_keep_their_channels_apart():
    images = np.random.default_rng(0).random((4, 3, 5, 6)).astype(np.float32)
    data = player_data(result_on("cifar10", {"images": images}, [0.0, 1.0]), Pair(dataset="cifar10"), "0-1", "test")
    found = unpack(data["images"]).reshape(4, 5, 6, 3)
    assert data["shape"] == [5, 6, 3] and not data["paper"]
    assert np.array_equal(found[1, 2, 3], np.rint(255 * images[1, :, 2, 3]))


def test_planes_leave_out_the_last_class_and_long_films_are_thinned():
    lams = np.linspace(0, 1, 301)
    plane = np.random.default_rng(0).integers(0, 256, (301, 16, 3), dtype=np.uint8)
    arrays = {"images": np.zeros((5, 2)), "extent": np.array([0, 1, 0, 1.0]), "0-1|none|plane|": plane}
    data = player_data(result_on("spirals", arrays, lams), Pair(dataset="spirals"), "0-1", "test")
    check_data(data)
    assert data["side"] == 4 and len(data["colors"]) == 3 and len(data["lams"]) == MOST_FRAMES
    assert np.array_equal(unpack(data["methods"][0]["plane"]).reshape(MOST_FRAMES, 16, 2), plane[::3, :, :2])


def test_other_methods_are_other_data():
    result = lmc.run(Pair(method=INSTANT))
    choices = [(method, split) for method in ("weight", "random") for split in ("test", "train")]
    assert len({player_data(result, Pair(method=m), "0-1", split)["show"] for m, split in choices}) == 4


def test_data_that_does_not_fit_together_is_refused():
    data = player_data(lmc.run(Pair(method=INSTANT)), Pair(), "0-1", "test")
    for wrong, said in (
        ({"kind": "sounds"}, "shows images or points, not 'sounds'"),
        ({"lams": [0.0]}, "error needs one entry for each of 1 λ, not 25"),
        ({"truth": [0]}, "for each of 1"),
    ):
        with pytest.raises(ValueError, match=said):
            check_data({**data, **wrong})
    with pytest.raises(ValueError, match="lacks: images"):
        check_data({name: value for name, value in data.items() if name != "images"})
    with pytest.raises(ValueError, match="bytes are needed"):
        pack(np.zeros(3))
