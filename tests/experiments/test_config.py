import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmc
from lmc import InputError, Pair
from lmc.experiments import METHODS, make_recipe
from lmc.experiments.base import ACTIVATION_LAYERS, SINKHORN_LOSSES, WEIGHT_KERNELS, WEIGHT_ORDERS
from lmc.experiments.spelling import arguments, command, parse, spell

BAD = [
    ({"width": 0}, "width: 0 cannot be used; a whole number from 1 to 16,384"),
    ({"width": 10**9}, "width: 1000000000 cannot be used"),
    ({"width": 3.5}, "width: 3.5 cannot be used; a whole number"),
    ({"width": True}, "width: True cannot be used"),
    ({"width": "32"}, "width: 32 cannot be used"),
    ({"depth": 99}, "depth: 99 cannot be used; a whole number from 1 to 16"),
    ({"seeds": (1,)}, "seeds: 1 cannot be used; pair needs at least 2 networks"),
    ({"seeds": ()}, "seeds: an empty list cannot be used"),
    ({"seeds": (1, 1)}, "seeds: 1 1 cannot be used; two networks would be the same"),
    ({"seeds": (0, 0), "order_seeds": (4, 4)}, "two networks would be the same"),
    ({"seeds": (0, 1), "order_seeds": (4,)}, "order_seeds: 4 cannot be used; give one for each of the 2 seeds"),
    ({"seeds": (-1, 2)}, "seeds: -1 cannot be used; a whole number from 0"),
    ({"seeds": 3}, "seeds: 3 cannot be used; a list"),
    ({"points": 1}, "points: 1 cannot be used; a whole number from 2"),
    ({"groups": 0}, "groups: 0 cannot be used"),
    ({"restarts": 0}, "restarts: 0 cannot be used"),
    ({"dataset": "cats"}, "dataset: cats cannot be used; choose one of: digits"),
    ({"arch": "vgg9"}, "arch: vgg9 cannot be used; choose one of: mlp"),
    ({"norm": "instance"}, "norm: instance cannot be used; choose one of: none, layer, batch"),
    ({"activation": "sine"}, "activation: sine cannot be used"),
    ({"method": None}, "method: None cannot be used; choose any of: none, random"),
    ({"recipe": {"milestones": 5, "decay": "step"}}, "milestones: 5 cannot be used; a list of epochs"),
    ({"recipe": {"batch_size": 1}, "norm": "batch"}, "batch_size: 1 cannot be used; norm batch needs at least 2"),
    ({"load": ("0" * 16, "1" * 16), "labels": ("-a", "b")}, "labels: -a cannot be used; 1 to 80 printable"),
    ({"load": ("0" * 16,)}, "pair needs at least 2 networks"),
    ({"load": ("0" * 16, "0" * 16)}, "two of these networks are the same"),
    ({"load": ("a.pth", "b.pth")}, "load: a.pth cannot be used; the id of a network"),
    ({"dataset": "folder"}, "dataset: folder cannot be used; say which folder"),
    ({"dataset": "moons", "arch": "cnn"}, "arch: cnn cannot be used; cnn needs images"),
    ({"arch": "vgg"}, "arch: vgg cannot be used; vgg needs images of at least 16x16"),
    ({"arch": "resnet", "depth": 21}, "depth: 21 cannot be used; resnet has depth 8, 14, 20"),
    ({"arch": "vit", "width": 12}, "width: 12 cannot be used; vit needs a multiple of 8"),
    ({"recipe": {"augment": "flip"}}, "augment: flip cannot be used; it would change what"),
    ({"correction": "none"}, "correction: none cannot be used; choose one of: reset, repair"),
    ({"eval_images": 3}, "eval_images: 3 cannot be used"),
    ({"method": ("magic",)}, "method: magic cannot be used; choose one of: none, random, weight, activation"),
    ({"activation_kernel": "cosine"}, "activation_kernel: cosine cannot be used"),
    ({"sinkhorn_loss": "l1"}, "sinkhorn_loss: l1 cannot be used; choose one of: midpoint, l2, random"),
    ({"match_steps": 0}, "match_steps: 0 cannot be used; a whole number from 1"),
    ({"dtype": "float16"}, "dtype: float16 cannot be used"),
    ({"recipe": "magic"}, "recipe: magic cannot be used; choose one of: default"),
    ({"recipe": 3}, "recipe: 3 cannot be used"),
    ({"recipe": {"epochs": 0}}, "epochs: 0 cannot be used"),
    ({"recipe": {"lr": float("nan")}}, "lr: nan cannot be used"),
    ({"recipe": {"batch_size": 2000}}, "batch_size: 2000 cannot be used; at most the 1437 training images"),
    ({"recipe": {"warmup": 61}}, "warmup: 61 cannot be used"),
    ({"recipe": {"decay": "step"}}, "milestones: an empty list cannot be used"),
    ({"recipe": {"optimizer": "lion"}}, "optimizer: lion cannot be used; choose one of: adam, sgd"),
]


@pytest.mark.parametrize(("bad", "sentence"), BAD, ids=[str(bad) for bad, _ in BAD])
def test_a_bad_value_gets_one_sentence(bad, sentence):
    with pytest.raises(InputError) as caught:
        Pair(**bad)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


SEEDS = st.lists(st.integers(0, 99), min_size=2, max_size=5, unique=True).map(tuple)
RECIPES = st.builds(
    make_recipe,
    epochs=st.integers(1, 99),
    optimizer=st.sampled_from(["adam", "sgd"]),
    lr=st.one_of(st.none(), st.floats(1e-6, 1.0)),
    decay=st.sampled_from(["cosine", "none"]),
    milestones=st.none(),
    weight_decay=st.floats(0, 1),
)
CONFIGS = st.builds(
    Pair,
    width=st.integers(1, 999),
    depth=st.integers(1, 5),
    norm=st.sampled_from(["none", "layer"]),
    activation=st.sampled_from(["relu", "gelu", "tanh"]),
    seeds=SEEDS,
    recipe=RECIPES,
    method=st.lists(st.sampled_from(METHODS), min_size=1).map(tuple),
    points=st.integers(2, 50),
    match_steps=st.integers(1, 500),
    anneal_steps=st.integers(1, 500),
    match_images=st.integers(10, 500),
    hold=st.lists(st.sampled_from(["layers.0", "layers.1"])).map(tuple),
    weight_kernel=st.sampled_from(WEIGHT_KERNELS),
    weight_order=st.sampled_from(WEIGHT_ORDERS),
    activation_layers=st.sampled_from(ACTIVATION_LAYERS),
    sinkhorn_loss=st.sampled_from(SINKHORN_LOSSES),
    dtype=st.sampled_from(["float32", "float64"]),
)


@settings(max_examples=60, deadline=None)
@given(CONFIGS)
def test_json_and_words_give_the_value_again(config):
    again = Pair.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config and again.id == config.id
    assert parse(Pair, spell(config)) == config


def test_order_seeds_are_spelled_only_where_they_differ():
    same_start = Pair(seeds=(0, 0), order_seeds=(0, 1))
    assert command(same_start) == "python -m lmc pair --seeds 0 0 --order-seeds 0 1"
    assert [network.label for network in same_start.networks()] == ["0", "0/1"]
    assert command(Pair()) == "python -m lmc pair"
    assert arguments(Pair(recipe=make_recipe(optimizer="sgd"))) == ["pair", "--optimizer", "sgd"]


def test_every_field_belongs_to_the_id():
    other = {
        "width": 33, "depth": 2, "norm": "layer", "activation": "tanh", "seeds": (0, 2), "order_seeds": (0, 5),
        "recipe": make_recipe(epochs=59), "method": ("none",), "restarts": 2, "match_seed": 1,
        "activation_kernel": "dot", "match_steps": 9, "sinkhorn_loss": "l2", "weight_kernel": "cosine",
        "weight_order": "forward", "hold": ("layers.0",), "activation_layers": "all", "match_images": 100,
        "anneal_steps": 9,
        "points": 26, "groups": 3, "dtype": "float64", "dataset": "moons", "arch": "cnn",
        "load": ("0" * 16, "1" * 16), "correction": "repair", "eval_images": 100, "reset_images": 100,
    }  # fmt: skip
    assert {spec.name for spec in fields(Pair)} == set(other) | {"labels"}  # names of files change no number
    ids = {replace(Pair(), **{name: value}).id for name, value in other.items()}
    assert len(ids | {Pair().id}) == len(other) + 1


def test_order_and_repetition_of_methods_mean_nothing():
    assert Pair(method=("weight", "none", "weight")) == Pair(method="weight")
    assert Pair(method=()).method == ("none",)


def test_names_of_loaded_networks_keep_all_pairs_apart():
    ids = tuple(f"{k:016x}" for k in range(4))
    labels = Pair(load=ids, labels=("x", "y-z", "x-y", "z")).labels
    assert len({f"{a}-{b}" for i, a in enumerate(labels) for b in labels[i + 1 :]}) == 6
    long = Pair(load=ids[:2], labels=("n" * 80, "n" * 80))
    assert long.labels[1].endswith("n (2)") and Pair.from_json(long.to_json()) == long


def test_milestones_keep_their_shares_of_a_shorter_training():
    recipe = make_recipe("simultaneous", epochs=20)
    assert (recipe.milestones, recipe.epochs, recipe.lr) == ((10, 15), 20, 0.1)
    assert make_recipe("simultaneous", epochs=20, milestones=(5,)).milestones == (5,)
    assert make_recipe("simultaneous", epochs=20, decay="cosine").milestones == ()


def test_sgd_alone_brings_its_own_rate_and_momentum():
    recipe = make_recipe(optimizer="sgd")
    assert (recipe.lr, recipe.momentum) == (0.03, 0.9)
    assert make_recipe(optimizer="sgd", lr=0.1).lr == 0.1
    with pytest.raises(InputError, match="momentum: 0.5 cannot be used; adam has none"):
        make_recipe(momentum=0.5)
    with pytest.raises(InputError, match="milestones: 3 cannot be used; only step decay"):
        make_recipe(milestones=(3,))


def test_a_changed_copy_keeps_the_orders_equal_to_the_seeds():
    assert [n.label for n in replace(Pair(), seeds=(2, 3)).networks()] == ["2", "3"]
    assert Pair(seeds=np.arange(2), order_seeds=range(2), width=np.int64(8)) == Pair(width=8)


def test_groups_are_all_pairs_or_a_seeded_draw():
    assert len(Pair(seeds=range_of(6)).members()) == 15
    drawn = Pair(seeds=range_of(10)).members()
    assert len(drawn) == 15 == len(set(drawn)) and drawn == Pair(seeds=range_of(10)).members()
    assert Pair(seeds=range_of(10), groups=99).members() != drawn


def range_of(n):
    return tuple(range(n))


def test_networks_are_named_by_what_makes_them_not_by_the_experiment():
    small, large = Pair(seeds=(0, 1)), Pair(seeds=(0, 1, 2), points=11, method="weight")
    assert [n.id for n in small.networks()] == [n.id for n in large.networks()][:2]
    assert small.networks()[0].id != replace(small, width=33).networks()[0].id


def test_an_unknown_field_is_named():
    with pytest.raises(InputError, match="wdth: 3 cannot be used; the fields of pair are"):
        Pair.from_json({"wdth": 3})
    assert issubclass(InputError, ValueError) and lmc.InputError is InputError
