"""Many networks, widths and landscapes: what they measure, and what they refuse."""

import numpy as np
import pytest
import torch

import lmc
from lmc import InputError, Landscape, Many, Store, Triple, Width, make_recipe
from lmc.experiments.landscape import squares

RECIPE = make_recipe(epochs=5)
SMALL = {"width": 8, "recipe": RECIPE, "points": 5}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"), shipped=None)


def test_many_of_three_is_a_triple(store):
    methods = ("none", "weight", "merge_many")
    many = lmc.run(Many(**SMALL, samples=20, method=methods), store=store, device="cpu")
    triple = lmc.run(Triple(**SMALL, side=4, method=methods), store=store, device="cpu")
    edges, alike = many.frame("barriers"), triple.frame("barriers")
    both = edges.merge(alike, on=["method", "comparison", "split"])
    both = both[both["comparison"] != "simplex"]
    assert set(both["comparison"]) == {"0-1", "0-2", "1-2 via 0", "centroid"}
    assert np.abs(both["error_barrier_x"] - both["error_barrier_y"]).max() < 1e-12
    assert np.abs(both["loss_barrier_x"] - both["loss_barrier_y"]).max() < 1e-6


def test_the_rows_of_many_hold_together(store):
    found = lmc.run(Many(**SMALL, seeds=(0, 1, 2, 3), samples=30, method=("weight",)), store=store, device="cpu")
    simplex = found.frame("simplex")
    assert np.allclose([sum(w) for w in simplex["weights"]], 1) and set(map(len, simplex["weights"])) == {4}
    counts = simplex[(simplex["method"] == "none") & (simplex["split"] == "test")]["kind"].value_counts()
    assert counts.to_dict() == {"corner": 4, "centroid": 1, "interior": 30, "edge": 6 * 3}
    for (method, split), rows in simplex.groupby(["method", "split"]):
        ends = rows[rows["kind"] == "corner"]["error"].to_numpy()
        excess = rows["error"].to_numpy() - np.array(rows["weights"].tolist()) @ ends
        assert found.metrics[f"error_barrier.{method}.simplex.{split}"] == pytest.approx(excess.max())
        middle = rows[rows["kind"] == "centroid"]["error"].item()
        assert found.metrics[f"error.{method}.merged.{split}"] == middle
        assert found.metrics[f"error.{method}.parents.{split}"] == pytest.approx(ends.mean())
    merged = found.frame("merged").set_index(["method", "split"])
    assert merged.loc[("none", "test"), "error_ensemble"] == merged.loc[("weight", "test"), "error_ensemble"]


def test_the_ensemble_is_the_mean_of_probabilities(store):
    asked = Many(**SMALL, samples=0, method=("none",))
    found = lmc.run(asked, store=store, device="cpu").frame("merged").set_index("split")
    from lmc.experiments.work import Work

    work = Work(store, torch.device("cpu"))
    networks = asked.networks()
    states, model, data = work.final_states(networks), work.model(networks[0]), work.dataset(networks[0])
    with torch.no_grad():
        answers = [torch.func.functional_call(model, states[n.id], (data.test_x,)).softmax(-1) for n in networks]
    mean = torch.stack(answers).mean(0)
    assert found.loc["test", "error_ensemble"] == pytest.approx(float((mean.argmax(1) != data.test_y).float().mean()))
    nll = -mean[torch.arange(len(mean)), data.test_y].log().mean()
    assert found.loc["test", "loss_ensemble"] == pytest.approx(float(nll), rel=1e-5)


def test_widths_are_the_barriers_of_stored_triples(store):
    asked = Width(widths=(6, 4), seeds=(0, 1, 2, 3), groups=2, recipe=RECIPE, points=3, side=2, method=("weight",))
    assert asked.widths == (4, 6) and [child.width for child in asked.children()] == [4, 4, 6, 6]
    found = lmc.run(asked, store=store, device="cpu")
    table = found.frame("widths")
    for child in asked.children():
        alone = store.load_result(child.id).frame("barriers")
        rows = table[(table["width"] == child.width) & (table["triple"] == alone["triple"].iloc[0])]
        assert rows["error_barrier"].tolist() == alone["error_barrier"].tolist()
    assert len(found.networks) == len(set(found.networks)) == 2 * len({s for c in asked.children() for s in c.seeds})
    assert Width.from_json(asked.to_json()) == asked
    assert "error_barrier.weight.simplex.test" in found.metrics


def test_a_landscape_shows_its_networks_in_its_valleys(store):
    asked = Landscape(width=16, recipe=make_recipe(epochs=30), seeds=(0, 1), method=("weight",), levels=2)
    found = lmc.run(asked, store=store, device="cpu")
    plane, corners = found.frame("plane"), found.frame("corners").set_index("label")
    assert asked.planes() == ("weight",) and corners.index.tolist() == ["0", "1", "π(1)"]
    assert plane[plane["split"] == "test"].groupby("level")["u"].count().tolist() == [64, 256]
    fine = plane[(plane["split"] == "train") & (plane["level"] == 1)]
    for label in corners.index:
        distance = ((fine[["u", "v"]] - corners.loc[label, ["u", "v"]].astype(float)) ** 2).sum(axis=1)
        assert fine.loc[distance.idxmin(), "loss"] < fine["loss"].quantile(0.3)
    to_b, to_moved = (np.hypot(*corners.loc[label, ["u", "v"]].astype(float)) for label in ("1", "π(1)"))
    assert to_moved < to_b, "matching brings B nearer"


def test_squares_cover_the_networks_and_halve_at_every_level():
    corners = np.array([[0.0, 0.0], [4.0, 0.0], [1.0, 3.0]])
    for level in range(3):
        u, v, size = squares(corners, level)
        assert len(u) == len(v) == (8 * 2**level) ** 2 and size == pytest.approx(6 / (8 * 2**level))
        assert u.min() - size / 2 == pytest.approx(-1) and u.max() + size / 2 == pytest.approx(5)
        assert v.max() - v.min() + size == pytest.approx(6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Width(widths=()), "widths"),
        (lambda: Width(widths="8"), "widths: 8 cannot be used; a list"),
        (lambda: Width(widths=(0,)), "widths: 0 cannot be used; a whole number from 1"),
        (lambda: Width(widths=range(1, 40)), "at most 20 widths"),
        (lambda: Width(width=64), "this experiment has many; --widths would be right"),
        (lambda: Width(load=("0123456789abcdef",) * 3), "load"),
        (lambda: Landscape(seeds=(0, 1), method=("none",)), "with two networks some matching is needed"),
        (lambda: Landscape(seeds=(0, 1, 2, 3)), "two networks or three"),
        (lambda: Many(seeds=range(40)), "at most 32 networks"),
        (lambda: Many(samples=-1), "samples: -1 cannot be used"),
    ],
)
def test_a_bad_value_is_one_sentence(make, said):
    with pytest.raises(InputError, match=said):
        make()
