import threading
import time

import pytest

from pages.ui.turns import Turns


def visitors(turns, count, page):
    """Run `page(number)` in a turn each, in threads that come one after the other."""
    faults = []

    def visit(number):
        try:
            with turns.turn():
                page(number)
        except AssertionError as fault:
            faults.append(fault)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
        time.sleep(0.002)
    for thread in threads:
        thread.join(20)
    assert not faults and not any(thread.is_alive() for thread in threads)


def test_no_more_than_the_places_run_at_a_time():
    turns, running, most = Turns(3), set(), []

    def page(number):
        running.add(number)
        most.append(len(running))
        time.sleep(0.01)
        running.discard(number)

    visitors(turns, 12, page)
    assert max(most) == 3 and len(most) == 12


def test_everybodys_first_chart_comes_before_anybodys_rest():
    turns, events = Turns(1), []

    def page(number):
        time.sleep(0.03)  # longer than all take to come
        events.append("chart")
        turns.after_you()
        turns.after_you()  # a second chart yields no more
        events.append("rest")

    visitors(turns, 10, page)
    assert events == ["chart"] * 10 + ["rest"] * 10


def test_a_page_that_fails_gives_its_place_back():
    turns = Turns(1, patience=0.2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.turn():
            turns.after_you()
            raise ZeroDivisionError
    start = time.perf_counter()
    with turns.turn():
        pass
    assert time.perf_counter() - start < 0.1


def test_nobody_waits_for_ever():
    turns, passed = Turns(1, patience=0.1), threading.Event()
    with turns.turn():
        stuck = threading.Thread(target=visitors, args=(turns, 1, lambda _: passed.set()))
        stuck.start()
        assert passed.wait(5)
        stuck.join()


def test_outside_a_turn_nothing_is_waited_for():
    turns = Turns(1)
    held, done = threading.Event(), threading.Event()

    def hold():
        with turns.turn():
            held.set()
            done.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(5)
    start = time.perf_counter()
    turns.after_you()  # as a fragment does, which runs without its page
    assert time.perf_counter() - start < 0.1
    done.set()
    holder.join()
