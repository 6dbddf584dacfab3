"""Three networks: edges, triangle, references and the way around."""

import numpy as np
import pytest
import torch

import lmc
from lmc import InputError, Pair, Store, Triple, make_recipe
from lmc.experiments.bench import Bench
from lmc.experiments.group import Matched, Mixtures
from lmc.experiments.work import Work
from lmc.permutation import compose, invert

METHODS = ("none", "random", "weight", "activation", "merge_many", "cycle_consistent", "sinkhorn", "straight_through")


def config(**changes):
    return Triple(
        **{
            "width": 8,
            "recipe": make_recipe(epochs=5),
            "points": 7,
            "side": 6,
            "match_steps": 3,
            "method": METHODS,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"), shipped=None)


@pytest.fixture(scope="module")
def result(store):
    return lmc.run(config(), store=store, device="cpu")


def test_edges_from_the_reference_are_those_of_the_pair_experiment(result, store):
    shared = {"width": 8, "recipe": make_recipe(epochs=5), "points": 7, "method": METHODS[:4]}
    path = result.frame("path")
    for seeds, edge in (((0, 1), "0-1"), ((0, 2), "0-2"), ((1, 2), "1-2 direct")):
        pair = lmc.run(Pair(seeds=seeds, **shared), store=store, device="cpu").frame("path")
        both = pair.merge(path[path["comparison"] == edge], on=["method", "split", "lam"])
        assert len(both) == 7 * 2 * 4
        assert (both["error_x"] == both["error_y"]).all()
        assert np.abs(both["loss_x"] - both["loss_y"]).max() <= 1e-6


def test_the_triangle_has_the_networks_at_its_corners_and_the_segments_at_its_edges(result):
    simplex, path = result.frame("simplex"), result.frame("path")
    assert len(simplex) == 28 * 2 * len(METHODS)
    for edge, (i, j, k) in {"0-1": (0, 1, 2), "0-2": (0, 2, 1), "1-2 via 0": (1, 2, 0)}.items():
        on_edge = simplex[simplex[f"w{k}"] == 0].assign(lam=lambda rows, j=j: rows[f"w{j}"].round(12))
        segment = path[path["comparison"] == edge].assign(lam=lambda rows: rows["lam"].round(12))
        both = on_edge.merge(segment, on=["method", "split", "lam"])
        assert len(both) == 7 * 2 * len(METHODS)
        assert (both["error_x"] == both["error_y"]).all() and (both["loss_x"] == both["loss_y"]).all()
        del i
    corners = simplex[simplex[["w0", "w1", "w2"]].max(axis=1) == 1]
    spread = corners.groupby(["split", "w0", "w1"])["error"].agg(np.ptp)
    assert spread.max() <= 1 / 360  # a permutation changes no answer but for rounding


def test_barriers_are_the_largest_excess_and_that_in_the_middle(result):
    simplex, barriers = result.frame("simplex"), result.frame("barriers")
    for (method, split), rows in simplex.groupby(["method", "split"]):
        w = rows[["w0", "w1", "w2"]].to_numpy()
        ends = [rows.loc[rows[f"w{k}"] == 1, "error"].item() for k in range(3)]
        excess = rows["error"].to_numpy() - w @ ends
        found = barriers[(barriers["method"] == method) & (barriers["split"] == split)].set_index("comparison")
        assert found.loc["simplex", "error_barrier"] == pytest.approx(excess.max())
        middle = np.abs(w - 1 / 3).sum(1).argmin()
        assert found.loc["centroid", "error_barrier"] == pytest.approx(excess[middle])
        assert found.loc["simplex", "error_barrier"] >= found.loc["1-2 via 0", "error_barrier"] - 1e-12


def test_via_the_reference_itself_is_the_edge_of_the_triangle(result):
    via, barriers = result.frame("via"), result.frame("barriers")
    first = via[via["reference"] == 0].merge(
        barriers[barriers["comparison"] == "1-2 via 0"], on=["method", "split"], suffixes=("", "_edge")
    )
    assert len(first) == 2 * len(METHODS) and (first["error_barrier"] == first["error_barrier_edge"]).all()
    assert set(via["comparison"]) == {"1-2 via 0", "0-2 via 1", "0-1 via 2"}
    alone = via[via["method"] == "none"]
    assert (alone["error_barrier"] == alone["direct_error_barrier"]).all()


def test_consistent_methods_come_home_and_others_say_how_far(result):
    cycle = result.frame("cycle").set_index(["method", "split"])
    for method in ("merge_many", "cycle_consistent"):
        assert cycle.loc[(method, "test"), "home"] == 1.0 and cycle.loc[(method, "test"), "error_barrier"] == 0.0
    assert (cycle["home"] >= 0).all() and "none" not in cycle.index.get_level_values(0)
    assert result.metrics["home.weight"] == cycle.loc[("weight", "test"), "home"]
    assert 0 < result.metrics["check.max_logit_difference"] < 1e-10


def test_a_common_permutation_changes_no_barrier(store):
    """barrier(P_AC[A], P_BC[B]) = barrier(B, (P_BC⁻¹ ∘ P_AC)[A]), in float64 to rounding (reference section 1)."""
    asked = config(dtype="float64", method=("none", "weight"))
    work = Work(store, torch.device("cpu"))
    networks = asked.networks()
    states = work.final_states(networks)
    bench = Bench(asked, work)
    matched, mixtures = Matched(bench, [states[n.id] for n in networks], "weight"), Mixtures(bench)
    via = mixtures.segment(matched, ((1, matched.common[1]), (2, matched.common[2])))
    moved = compose(invert(matched.common[1]), matched.common[2])
    same = mixtures.segment(matched, ((1, matched.common[0]), (2, moved)))
    for split in via.losses:
        assert via.errors[split] == same.errors[split]
        assert np.abs(np.subtract(via.losses[split], same.losses[split])).max() < 1e-12


@pytest.mark.slow
def test_three_copies_under_planted_permutations_are_one_network_everywhere(store):
    """Nothing is trained: three orders of one network of MLP kind are put in the store as if from files."""
    from lmc.experiments.files import import_file
    from lmc.loading import to_safetensors
    from lmc.permutation import apply_permutation, random_permutation
    from lmc.seeds import generator

    learned = {"width": 16, "recipe": make_recipe(epochs=30)}
    network = config(**learned).networks()[0]
    work = Work(store, torch.device("cpu"))
    state, spec = work.final_states([network])[network.id], work.traced(network).spec
    ids = []
    for place in range(3):
        moved = apply_permutation(spec, random_permutation(spec, generator("planted", place)), state)
        ids.append(import_file(to_safetensors(moved, {}), f"copy {place}", store, "digits").id)
    methods = ("none", "weight", "merge_many", "cycle_consistent", "straight_through")
    asked = config(width=16, load=tuple(ids), labels=("a", "b", "c"), method=methods)
    found = lmc.run(asked, store=store, device="cpu")
    barriers = found.frame("barriers")
    matched = barriers[barriers["method"] != "none"]
    assert matched["loss_barrier"].abs().max() < 1e-5 and matched["error_barrier"].abs().max() <= 1 / 360
    assert barriers.loc[barriers["method"] == "none", "error_barrier"].max() > 0.1
    objectives = [found.metrics[f"objective.{m}.simplex"] for m in ("weight", "merge_many", "cycle_consistent")]
    assert max(objectives) - min(objectives) < 1e-6 * max(objectives)


def test_a_bad_value_is_one_sentence():
    with pytest.raises(InputError, match="triple needs at least 3 networks"):
        Triple(seeds=(0, 1))
    with pytest.raises(InputError, match="REPAIR is defined between two networks"):
        Triple(correction="repair")
    with pytest.raises(InputError, match="side: 0 cannot be used"):
        Triple(side=0)
    with pytest.raises(InputError, match="choose one of: none, random, weight, activation, .*, merge_many"):
        Triple(method=("magic",))
    with pytest.raises(
        InputError, match="choose one of: none, random, weight, activation, straight_through, sinkhorn, annealing\\."
    ):
        Pair(method=("merge_many",))


def test_four_seeds_are_four_triples_with_the_same_networks(store):
    asked = config(seeds=(0, 1, 2, 3), method=("none",), side=2, points=3)
    found = lmc.run(asked, store=store, device="cpu").frame("barriers")
    assert list(dict.fromkeys(found["triple"])) == ["0-1-2", "0-1-3", "0-2-3", "1-2-3"]
    assert Triple.from_json(asked.to_json()) == asked and len(found) == 4 * 6 * 2
