"""Thirty people at one server, without browsers."""

import re
import sys

import pytest

from lmc.store import Store
from tests.load.run import report
from tests.load.sessions import Session, has_answer, open_many, percentile

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

PEOPLE = 30
NEXT = re.compile("Yours is next")
BEFORE = re.compile(r"(\d+) runs? (?:is|are) before yours")


def errors(sessions):
    return [error for session in sessions for error in session.errors]


def tell(capsys, sessions):
    with capsys.disabled():
        sys.stdout.write(f"\n{report(sessions)}\n")


def positions(session: Session) -> list[int]:
    """The places in the queue that the page showed, one after the other; 0 is the next."""
    found = [(0 if NEXT.search(text) else BEFORE.search(text)) for text in session.said]
    return [0 if one == 0 else int(one[1]) for one in found if one is not None]


def test_percentile_is_the_nearest_rank():
    values = [float(i) for i in range(1, 31)]
    assert percentile(values, 0.95) == 29 and percentile(values, 0.5) == 15 and percentile(values, 1.0) == 30
    assert percentile([3.0], 0.95) == 3


def test_everybody_opens_the_first_page_at_once(server, capsys):
    sessions = open_many(server.url, ["pair"] * PEOPLE, has_answer)
    tell(capsys, sessions)
    assert not errors(sessions)
    assert percentile([session.first_chart for session in sessions], 0.95) < 5.0


def test_an_error_on_a_page_is_noticed(server):
    (session,) = open_many(server.url, ["nowhere"], timeout=5)
    assert "page not found" in session.errors[0]


def test_the_same_new_training_is_done_once(server, capsys):
    before = server.engine()
    sessions = open_many(server.url, ["pair?width=11&epochs=20"] * PEOPLE, has_answer, timeout=120)
    after = server.engine()
    tell(capsys, sessions)
    assert not errors(sessions)
    known = {run["id"] for run in before["runs"]}
    (run,) = [run for run in after["runs"] if run["id"] not in known]
    assert run["state"] == "done" and run["config"]["width"] == 11
    assert after["trained"] - before["trained"] == 2
    assert {tuple(sorted(text for text in session.texts if text.startswith("####"))) for session in sessions} == {
        tuple(sorted(text for text in sessions[0].texts if text.startswith("####")))
    }


def test_different_trainings_are_done_in_the_order_of_asking(server, capsys):
    before = server.engine()
    addresses = [f"pair?width=8&epochs=12&seeds={100 + i}+{200 + i}" for i in range(PEOPLE)]
    sessions = open_many(server.url, addresses, has_answer, timeout=200)
    after = server.engine()
    tell(capsys, sessions)
    assert not errors(sessions)
    known = {run["id"] for run in before["runs"]}
    asked = [run["id"] for run in reversed(after["runs"]) if run["id"] not in known]
    assert len(asked) == PEOPLE and after["trained"] - before["trained"] == 2 * PEOPLE
    waited = [places for session in sessions if (places := positions(session))]
    assert len(waited) > PEOPLE // 3 and max(map(max, waited)) >= 3  # pages open at the pace of trainings
    assert all(places == sorted(places, reverse=True) for places in waited)
    done = Store(server.store).changes("results")
    finished = sorted(asked, key=lambda id: done[id])
    late = [abs(finished.index(id) - place) for place, id in enumerate(asked)]
    assert max(late) <= 2 * after["workers"], late  # as many may pass it while it trains, and while it compares
