"""Methods that descend a loss, as experiments run them: their settings, their reports, and that they can be stopped."""

import pytest
import torch

import lmc
from lmc import Many, Pair, Stopped, Trajectory, Triple, make_recipe
from lmc.experiments.bench import Bench, find
from lmc.experiments.group import Matched
from lmc.experiments.work import Work
from lmc.matching import simulated_annealing, sinkhorn, straight_through, straight_through_many
from lmc.permutation import compose, invert

SLOW = ("straight_through", "sinkhorn")
OWN = {"width": 8, "recipe": make_recipe(epochs=3), "points": 5}


def equal(p, q):
    return p.keys() == q.keys() and all(torch.equal(p[g], q[g]) for g in p)


def prepared(config, store):
    work = Work(store, torch.device("cpu"))
    networks = config.networks()
    states = work.final_states(networks)
    return Bench(config, work), [states[network.id] for network in networks]


def test_every_setting_arrives(shared_store):
    config = Pair(**OWN, match_steps=21, anneal_steps=150, match_seed=3, restarts=2, sinkhorn_loss="random")
    bench, (a, b) = prepared(config, shared_store)
    task = bench.task(a, b)
    assert len(task.labels) == len(task.inputs) == 1437
    expected = {
        "straight_through": straight_through(task, seed=3, restarts=2, steps=21),
        "sinkhorn": sinkhorn(task, loss="random", seed=3, steps=21),
        "annealing": simulated_annealing(task, seed=3, steps=150),
    }
    for method, match in expected.items():
        found = find(task, method, config)
        assert equal(found.permutation, match.permutation) and found.history == match.history
        assert len(found.history) == (22 if method != "annealing" else 3)


def test_a_pair_has_rows_of_the_methods_and_tells_of_its_steps(shared_store):
    heard = []
    config = Pair(**OWN, method=SLOW, match_steps=4)
    result = lmc.run(config, store=shared_store, device="cpu", report=lambda *said: heard.append(said))
    assert set(result.frame("barriers")["method"]) == {"none", *SLOW}
    for method in SLOW:
        said = [(share, text) for share, text in heard if f"pair 0-1, {method}: step" in text]
        assert [text.split(":")[1].split(",")[0] for _, text in said] == [f" step {k} of 4" for k in (1, 2, 3, 4)]
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)


@pytest.mark.parametrize("config", [Pair, Triple, Many, Trajectory])
@pytest.mark.parametrize("method", SLOW)
def test_it_stops_within_the_matching(shared_store, config, method):
    own = {**OWN, "seeds": (0, 1, 2) if config in (Triple, Many) else (0, 1)}

    def stop(share, text):
        if "step 2 of" in text:
            raise Stopped

    with pytest.raises(Stopped):
        lmc.run(config(**own, method=(method,), match_steps=7), store=shared_store, device="cpu", report=stop)


def test_three_are_matched_at_once_and_two_as_a_pair(shared_store):
    config = Triple(**OWN, match_steps=15)
    bench, states = prepared(config, shared_store)
    heard = []
    matched = Matched(bench, states, "straight_through", lambda share, text: heard.append((share, text)))
    expected = straight_through_many(bench.many_task(states), steps=15).permutations
    assert all(map(equal, matched.common, expected))
    assert equal(matched.alone(1, 2), straight_through(bench.task(states[1], states[2]), steps=15).permutation)
    assert equal(matched.to(1, 2), compose(invert(expected[1]), expected[2]))
    shares, texts = zip(*heard, strict=True)
    assert list(shares) == sorted(shares) and sum(text.startswith("step") for text in texts) == 30


def test_sinkhorn_matches_each_to_the_first(shared_store):
    config = Triple(**OWN, match_steps=15)
    bench, states = prepared(config, shared_store)
    matched = Matched(bench, states, "sinkhorn")
    for j in (1, 2):
        assert equal(matched.common[j], sinkhorn(bench.task(states[0], states[j]), steps=15).permutation)
