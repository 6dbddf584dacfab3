"""A run that is made of others: the width experiment and its triples."""

import pytest

import lmc
from lmc import Store, Triple, Width, make_recipe
from tests.engine.waiting import begun, wait, wait_until

pytestmark = pytest.mark.slow


def widths(**changes):
    common = {
        "widths": (4, 6, 8),
        "recipe": make_recipe(epochs=2),
        "points": 3,
        "side": 2,
        "method": ("none", "weight"),
    }
    return Width(**{**common, **changes})


def trained(engine):
    return engine.overview()["trained"]


def test_it_gives_what_one_process_gives_and_keeps_every_triple(engine, tmp_path):
    asked = widths()
    engine.submit(asked, "me")
    wait(engine, asked.id, "done")
    here = lmc.run(asked, store=Store(tmp_path, shipped=None), device="cpu")
    there = engine.result(asked.id)
    assert there.tables == here.tables and there.metrics == here.metrics and there.networks == here.networks
    assert all(engine.result(child.id) is not None for child in asked.children())
    assert [run["id"] for run in engine.runs()] == [asked.id], "its triples are not listed beside it"


def test_what_the_store_has_is_not_computed_again(engine):
    child = widths(widths=(5,)).children()[0]
    wait(engine, engine.submit(child), "done")
    before = trained(engine)
    asked = widths(widths=(5, 7))
    wait(engine, engine.submit(asked), "done")
    assert trained(engine) == before + 3, "only width 7"
    table = engine.result(asked.id).frame("widths")
    alone = engine.result(child.id).frame("barriers")
    assert table[table["width"] == 5]["error_barrier"].tolist() == alone["error_barrier"].tolist()


def test_points_come_one_by_one_the_narrowest_first(engine):
    asked = widths(widths=(3, 10, 11, 12), recipe=make_recipe(epochs=20))
    engine.submit(asked)
    seen = []
    while engine.status(asked.id).active:
        tables = engine.partial(asked.id).tables
        found = list(dict.fromkeys(tables["widths"]["width"])) if tables else []
        if found not in seen:
            seen.append(found)
    wait(engine, asked.id, "done")
    partly = [found for found in seen if found and len(found) < 4]
    assert partly and partly[0][0] == 3 and all(found == sorted(found) for found in seen)


def test_cancel_stops_its_triples_but_not_one_that_somebody_else_asked_for(engine):
    asked = widths(recipe=make_recipe(epochs=4000), widths=(4, 6))
    mine, other = asked.children()
    engine.submit(asked, "me")
    engine.submit(mine, "you")
    begun(engine, asked.id)
    assert engine.cancel(asked.id, "me")
    wait_until(lambda: engine.status(other.id).state == "stopped")
    assert engine.status(asked.id).state == "stopped" and engine.status(mine.id, "you").active
    assert engine.cancel(mine.id, "you")
    assert not any(isinstance(engine.result(one.id), lmc.Result) for one in (asked, mine, other))


def test_a_failed_triple_fails_the_whole_in_one_sentence(engine):
    asked = widths(recipe=make_recipe(epochs=3, optimizer="sgd", lr=100.0, weight_decay=1.0))
    engine.submit(asked)
    status = wait(engine, asked.id, "failed")
    assert "diverged under it; a smaller rate would be right" in status.error
    assert isinstance(asked.children()[0], Triple)
