"""Threads that share the machine: all is done, nothing goes on after an error, torch gets its threads back."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from lmc.matching.side_by_side import side_by_side


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_everything_is_done_with_one_thread_of_torch_each():
    seen, reports = {}, []

    def work(k, check):
        check()
        time.sleep(0.02)
        seen[k] = threading.get_ident(), torch.get_num_threads()

    side_by_side(work, 6, reports.append)
    assert sorted(seen) == list(range(6)) and {threads for _, threads in seen.values()} == {1}
    assert len({ident for ident, _ in seen.values()}) == 2
    assert reports[-1] == 6 and reports == sorted(reports)


def test_an_error_ends_the_others():
    begun = []

    def work(k, check):
        begun.append(k)
        if k == 1:
            raise ArithmeticError("no")
        for _ in range(1000):
            check()
            time.sleep(0.005)

    before = time.perf_counter()
    with pytest.raises(ArithmeticError):
        side_by_side(work, 50, lambda done: None)
    assert time.perf_counter() - before < 3 and len(begun) < 10


def test_a_report_can_stop_it():
    def work(k, check):
        for _ in range(1000):
            check()
            time.sleep(0.005)

    def report(done):
        raise KeyboardInterrupt

    before = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, 4, report)
    assert time.perf_counter() - before < 3


def test_two_callers_take_turns():
    """The number of threads is one for the whole process: whoever comes second would find it at 1."""
    first = threading.Thread(target=side_by_side, args=(lambda k, check: time.sleep(0.1), 2, lambda done: None))
    first.start()
    time.sleep(0.03)
    side_by_side(lambda k, check: None, 2, lambda done: None)
    first.join()
    assert torch.get_num_threads() == 2
