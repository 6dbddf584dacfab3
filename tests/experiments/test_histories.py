"""Trajectories, pruning, mask transport and forks: against the pair experiment, and what is stored and reused."""

import math

import numpy as np
import pytest
import torch

import lmc
from lmc import InputError, Instability, Pair, Pruning, Store, Trajectory, Transport, make_recipe
from lmc.experiments import Network
from lmc.experiments.trajectory import stable_epoch
from lmc.experiments.work import Work
from lmc.shelf import Shelf, kept

RECIPE = make_recipe(epochs=6)
SMALL = {"width": 8, "recipe": RECIPE, "points": 7}
EPOCHS = (0, 1, 3, 6)
BOTH = ("loss_barrier", "error_barrier")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"), shipped=None)


@pytest.fixture(scope="module")
def trajectory(store):
    config = Trajectory(**SMALL, seeds=(0, 1, 2), method=("weight", "activation"), checkpoints=EPOCHS)
    return lmc.run(config, store=store, device="cpu")


@pytest.fixture(scope="module")
def pruning(store):
    return lmc.run(Pruning(**SMALL, seeds=(0, 1, 2), levels=4, rewind=1), store=store, device="cpu")


@pytest.fixture(scope="module")
def pair(store):
    config = Pair(**SMALL, seeds=(0, 1, 2), method=("none", "weight", "activation"))
    return lmc.run(config, store=store, device="cpu").frame("barriers")


def trainings(store, monkeypatch):
    """Counts the networks that are trained from here on."""
    import lmc.training

    counted = []
    original = lmc.training.train
    monkeypatch.setattr(lmc.training, "train", lambda *a, **k: counted.append(len(a[1])) or original(*a, **k))
    return counted


# Trajectories


def test_the_last_epoch_is_the_pair_experiment(trajectory, pair):
    table = trajectory.frame("alignment")
    at_end = table[(table["epoch"] == 6) & (table["fit_epoch"].isna() | (table["fit_epoch"] == 6))]
    both = at_end.merge(pair, on=["pair", "method", "split"])
    assert len(both) == 3 * 3 * 2
    for name in BOTH:
        assert (both[f"{name}_x"] == both[f"{name}_y"]).all()


def test_every_fit_is_applied_at_every_epoch(trajectory):
    table = trajectory.frame("alignment")
    counts = table.groupby(["pair", "method", "split"]).size().unstack("method")
    assert (counts["none"] == 4).all() and (counts["weight"] == 16).all() and (counts["activation"] == 16).all()
    assert table[table["method"] == "none"]["agreement"].isna().all()
    own = table[table["fit_epoch"] == 6]
    assert (own["agreement"] == 1).all()
    early = table[(table["fit_epoch"] == 0) & (table["method"] == "weight")]
    assert early["agreement"].max() < 1 and early["agreement"].nunique() == 3, "one share a pair"


def test_agreement_over_all_is_that_of_the_layers_together(trajectory):
    layers, table = trajectory.frame("layers"), trajectory.frame("alignment")
    assert set(layers["permutation"]) == {"layers.0", "layers.1", "layers.2"}
    keys = ["pair", "method", "fit_epoch"]
    weighted = layers.assign(same=layers["agreement"] * layers["units"]).groupby(keys)[["same", "units"]].sum()
    overall = table.dropna(subset=["fit_epoch"]).groupby(keys)["agreement"].first()
    assert np.allclose(weighted["same"] / weighted["units"], overall)


def test_the_player_has_the_segments_whose_barriers_are_in_the_table(trajectory):
    path, table = trajectory.frame("path"), trajectory.frame("alignment")
    path, table = (frame.assign(fit_epoch=frame["fit_epoch"].fillna(-1)) for frame in (path, table))
    for key, rows in path.groupby(["pair", "method", "fit_epoch", "epoch", "split"]):
        lam, error = rows["lam"].to_numpy(), rows["error"].to_numpy()
        height = (error - (1 - lam) * error[0] - lam * error[-1]).max()
        match = (table[["pair", "method", "fit_epoch", "epoch", "split"]] == list(key)).all(axis=1)
        assert height == pytest.approx(table[match]["error_barrier"].item(), abs=1e-12)
    fits = path[path["method"] == "weight"].groupby("epoch")["fit_epoch"].unique()
    assert {epoch: set(found) for epoch, found in fits.items()} == {e: {e, 6} for e in EPOCHS}


def test_straight_lines_join_the_first_weights_and_the_last(trajectory, store):
    straight, curves = trajectory.frame("straight"), trajectory.frame("curves")
    assert set(straight["network"]) == {"0", "1", "2"} and len(straight) == 3 * 2 * 7
    for label in ("0", "1", "2"):
        test = curves[(curves["network"] == label) & (curves["split"] == "test")].set_index("epoch")
        line = straight[(straight["network"] == label) & (straight["split"] == "test")]
        assert line["error"].iloc[0] == pytest.approx(test["error"][0], abs=1e-9)
        assert line["error"].iloc[-1] == pytest.approx(test["error"][6], abs=1e-9)
        assert line["loss"].iloc[-1] == pytest.approx(test["loss"][6], abs=1e-5)


def test_the_first_stable_epoch_holds_from_then_on():
    barriers = {(0, 0): 0.0, (0, 5): 0.5, (5, 0): 0.4, (5, 5): 0.01, (9, 9): 0.0, (5, 9): 0.02, (0, 9): 0.1}
    assert stable_epoch(barriers) == 5
    assert stable_epoch({**barriers, (5, 9): 0.021}) == 9
    assert stable_epoch({(0, 0): 0.0, (0, 1): 0.3, (1, 0): 0.0, (1, 1): 0.3}) is None


def test_a_trajectory_in_parts_agrees_only_when_the_last_fit_is_there(store):
    config = Trajectory(**SMALL, checkpoints=EPOCHS)
    work = Work(store, torch.device("cpu"))
    parts = config.parts()
    assert parts[:2] == [(0, 1, -1), (0, 1, 0)] and parts[-2:] == [(0,), (1,)]
    pieces = [config.run_part(part, work) for part in parts[:2]]
    assert all(share is None for share in config.tables(pieces)["alignment"]["agreement"])
    pieces.append(config.run_part((0, 1, 3), work))
    assert [share for share in config.tables(pieces)["alignment"]["agreement"][8:] if share is None] == []


# Pruning


def test_dense_networks_are_those_of_the_pair_experiment(pruning, pair):
    table = pruning.frame("levels")
    dense = table[table["level"] == 0]
    for method, permutation in (("none", "none"), ("weight", "dense"), ("weight", "sparse")):
        both = dense[(dense["method"] == method) & (dense["permutation"] == permutation)].merge(
            pair[pair["method"] == method], on=["pair", "split"]
        )
        assert len(both) == 6
        for name in (*BOTH, "error_a", "error_b"):
            assert np.allclose(both[f"{name}_x"], both[f"{name}_y"], atol=1e-12)


def test_densities_are_exact_and_masks_lie_in_each_other(pruning, store):
    table = pruning.frame("levels")
    total = 64 * 8 + 8 * 8 + 8 * 8
    remaining, expected = total, [1.0]
    for _ in range(4):
        remaining -= math.floor(0.2 * remaining)
        expected.append(remaining / total)
    assert table.groupby("level")["density"].unique().map(list).tolist() == [[d] for d in expected]
    config = Pruning(**SMALL, levels=4, rewind=1)
    network = config.pruned(config.pair((0, 1))[0])
    states = Work(store, torch.device("cpu")).checkpoints([network], range(1, 5))[network.id]
    for level in range(2, 5):
        assert all(((states[level][n] == 0) | (states[level - 1][n] != 0)).all() for n in states[level])
    assert (states[4]["head.weight"] != 0).all(), "the last layer is kept"


def test_more_levels_go_on_from_those_that_are_there(store, pruning, monkeypatch):
    counted = trainings(store, monkeypatch)
    more = lmc.run(Pruning(**SMALL, seeds=(0, 1), levels=6, rewind=1), store=store, device="cpu")
    assert counted == [2, 2], "two levels of two networks"
    before, now = pruning.frame("levels"), more.frame("levels")
    before = before[before["pair"] == "0-1"].reset_index(drop=True)
    assert now[now["level"] <= 4].reset_index(drop=True).equals(before)


def test_a_level_needs_only_the_one_before(store, pruning, monkeypatch):
    """As on a worker, which is given nothing else."""
    config = Pruning(**SMALL, levels=4, rewind=1)
    networks = [config.pruned(network) for network in config.pair((0, 1))]
    needed = {n.id: kept(store, n.id, epochs) for one in networks for n, epochs in one.needs((4,))}
    counted = trainings(store, monkeypatch)
    found = Work(Shelf(needed), torch.device("cpu")).checkpoints(networks, [4])
    assert counted == [2]
    whole = Work(store, torch.device("cpu")).checkpoints(networks, [4])
    assert all(torch.equal(found[n.id][4][name], t) for n in networks for name, t in whole[n.id][4].items())


def test_masks_and_their_pictures(pruning):
    masks = pruning.frame("masks")
    assert (masks[masks["level"] == 0][["overlap", "chance"]] == 1).all(axis=None)
    later = masks[masks["level"] > 0]
    assert later["overlap"].between(0, 1).all() and later["density_b"].between(0, 1).all()
    picture = {what: pruning.arrays[lmc.experiments.array_name("0-1", method, f"mask_{what}@4", "layers.1.weight")]
               for what, method in (("a", "none"), ("none", "none"), ("dense", "weight"))}  # fmt: skip
    assert all(image.shape == (8, 8) and set(np.unique(image)) == {0, 255} for image in picture.values())
    row = later[(later["pair"] == "0-1") & (later["level"] == 4) & (later["permutation"] == "dense")]
    row = row[row["layer"] == "layers.1.weight"].iloc[0]
    a, b = picture["a"] > 0, picture["dense"] > 0
    assert row["overlap"] == pytest.approx((a & b).sum() / (a | b).sum())
    assert sorted(picture["none"].sum(0)) == sorted(picture["dense"].sum(0)), "the same mask in another order"


# Transport and forks


def test_transport_trains_under_four_masks(store):
    config = Transport(**SMALL, level=2, rewind=1)
    result = lmc.run(config, store=store, device="cpu")
    table = result.frame("transport")
    assert table[table["split"] == "test"]["mask"].tolist() == ["own", "transported", "unpermuted", "random"]
    assert table["density"].nunique() == 1
    pruned = lmc.run(Pruning(**SMALL, levels=2, rewind=1), store=store, device="cpu").frame("levels")
    level = pruned[(pruned["level"] == 2) & (pruned["permutation"] == "none")].set_index("split")
    own = table[table["mask"] == "own"].set_index("split")
    assert own["error"].to_dict() == pytest.approx(level["error_b"].to_dict())


def test_a_twin_trained_under_the_transported_mask_is_its_own(tmp_path):
    config = Transport(**SMALL, level=3, rewind=1, control="twin", groups=1, dtype="float64")
    table = lmc.run(config, store=Store(tmp_path, shipped=None), device="cpu").frame("transport")
    wide = table.pivot(index="split", columns="mask", values="loss")
    assert np.abs(wide["own"] - wide["transported"]).max() < 1e-9
    assert np.abs(wide["own"] - wide["unpermuted"]).min() > 1e-3


def test_forks_part_less_the_later_they_are(store):
    result = lmc.run(Instability(**SMALL, seeds=(0, 1), forks=(0, 5)), store=store, device="cpu")
    table = result.frame("instability")
    assert table[table["split"] == "test"]["fork_epoch"].tolist() == [0, 5, 0, 5]
    means = table.groupby("fork_epoch")["loss_barrier"].mean()
    assert means[0] > means[5]
    assert result.metrics["loss_barrier.none.fork5.test"] == pytest.approx(
        table[(table["fork_epoch"] == 5) & (table["split"] == "test")]["loss_barrier"].mean()
    )


# Configs


def test_variants_are_other_networks_and_plain_ones_keep_their_ids():
    network = Pair().networks()[0]
    assert "twin" not in network.to_json() and Network.from_json(network.to_json()) == network
    config = Pruning(control="twin")
    twin = config.pair((0, 2))[1]
    variants = [network, twin, config.pruned(network), config.pruned(twin), Instability().networks()[-1]]
    assert len({v.id for v in variants}) == 5
    assert all(Network.from_json(v.to_json()) == v for v in variants)
    assert [v.label for v in variants] == ["0", "π(0)", "0", "π(0)", "1@20/2"]


@pytest.mark.parametrize(
    ("cls", "changes", "sentence"),
    [
        (
            Trajectory,
            {"checkpoints": (0, 7)},
            "checkpoints: 7 cannot be used; a whole number from 0 to 6 would be right",
        ),
        (Trajectory, {"control": "triplet"}, "control: triplet cannot be used; choose one of: none, twin"),
        (Trajectory, {"load": ("0" * 16, "1" * 16)}, "not its history; seeds would be right"),
        (Pruning, {"rewind": 6}, "rewind: 6 cannot be used; a whole number from 0 to 5 would be right"),
        (Pruning, {"prune": 1.5}, "prune: 1.5 cannot be used; a share from 0.001 to 0.999 would be right"),
        (Pruning, {"last_layer": "some"}, "last_layer: some cannot be used; choose one of: keep, prune"),
        (Instability, {"forks": ()}, "a list of epochs would be right"),
        (Transport, {"level": 0}, "level: 0 cannot be used; a whole number from 1 to 40 would be right"),
    ],
)
def test_bad_values_are_named(cls, changes, sentence):
    with pytest.raises(InputError) as caught:
        cls(**{**SMALL, **changes})
    assert sentence in str(caught.value)


def test_usual_checkpoints_go_as_far_as_training_does():
    assert Trajectory(recipe=make_recipe(epochs=12)).checkpoints == (0, 1, 2, 3, 5, 10, 12)
    assert Trajectory().checkpoints[-1] == 60 and Trajectory(checkpoints=(5,)).checkpoints == (5, 60)
    assert Instability(recipe=make_recipe(epochs=6)).forks == (0, 1, 2, 5)
