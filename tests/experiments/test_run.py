import time

import pytest

import lmc
from lmc import InputError, Pair, Stopped, Store, make_recipe
from lmc.training import train

TINY = make_recipe(epochs=2)


def tiny(**changes):
    return Pair(**{"width": 5, "recipe": TINY, "points": 3, "method": "none", **changes})


def forbid(*_, **__):
    raise AssertionError("it must not train")


def test_a_finished_result_is_found_again_and_nothing_is_trained(tmp_path, monkeypatch):
    first = lmc.run(tiny(), store=tmp_path)
    monkeypatch.setattr("lmc.training.train", forbid)
    start = time.perf_counter()
    second = lmc.run(tiny(), store=tmp_path)
    assert second.tables == first.tables and second.metrics == first.metrics
    assert second.seconds <= time.perf_counter() - start + 0.001
    other_matching = lmc.run(tiny(method=("weight", "activation"), points=5), store=tmp_path)
    assert other_matching.networks == first.networks


def test_only_the_missing_network_is_trained(tmp_path, monkeypatch):
    lmc.run(tiny(), store=tmp_path)
    trained = []

    def counted(model, starts, *rest, **options):
        trained.append(len(starts))
        return train(model, starts, *rest, **options)

    monkeypatch.setattr("lmc.training.train", counted)
    whole = lmc.run(tiny(seeds=(0, 1, 2)), store=tmp_path)
    assert trained == [1]
    monkeypatch.undo()
    alone = lmc.run(tiny(seeds=(0, 1, 2)), store=tmp_path / "fresh")
    assert alone.tables == whole.tables, "trained together or one by one: the same numbers"


def test_stopping_keeps_the_networks_that_were_finished(tmp_path):
    def stop_in_the_second_stack(share, text):
        if share > 0.6 * 0.8:
            raise Stopped

    config = tiny(seeds=(0, 1, 2, 3, 4, 5))
    with pytest.raises(Stopped):
        lmc.run(config, store=tmp_path, report=stop_in_the_second_stack)
    store = Store(tmp_path, shipped=None)
    kept = [store.load_checkpoint(network.id, 2) is not None for network in config.networks()]
    assert kept == [True, True, True, False, False, False]
    assert store.load_result(config.id) is None


def test_a_network_that_diverges_is_named(tmp_path):
    recipe = make_recipe(epochs=3, optimizer="sgd", lr=100.0, weight_decay=1.0)
    with pytest.raises(InputError, match="lr: 100.0 cannot be used; network 0 diverged"):
        lmc.run(tiny(width=16, recipe=recipe), store=tmp_path)


def test_only_the_networks_of_the_drawn_groups_are_trained(tmp_path):
    result = lmc.run(tiny(seeds=tuple(range(8)), groups=1), store=tmp_path)
    assert len(result.networks) == 2 == len(list((tmp_path / "networks").iterdir()))


def test_progress_only_grows_and_says_what_it_does(tmp_path):
    said = []
    lmc.run(tiny(), store=tmp_path, report=lambda share, text: said.append((share, text)))
    shares = [share for share, _ in said]
    assert shares == sorted(shares) and 0 < shares[0] and shares[-1] <= 1
    assert said[0][1] == "training, epoch 1 of 2" and "interpolating" in said[-1][1]


def test_a_network_that_is_too_large_is_refused_before_anything_is_allocated(tmp_path):
    start = time.perf_counter()
    with pytest.raises(InputError, match="width: 16384 cannot be used; the network would have 5[0-9,]+ parameters"):
        lmc.run(Pair(width=16384), store=tmp_path)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_named(tmp_path, device):
    with pytest.raises(InputError, match=f"device: {device} cannot be used"):
        lmc.run(tiny(), store=tmp_path, device=device)
