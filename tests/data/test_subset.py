import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmc.data import balanced_subset


def even_shares(sizes, count):
    """One at a time to whichever class has least and is not used up."""
    shares = [0] * len(sizes)
    for _ in range(count):
        shares[min((k for k in range(len(sizes)) if shares[k] < sizes[k]), key=lambda k: shares[k])] += 1
    return sorted(shares)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 100), st.integers(0, 2**31 - 1))
def test_classes_are_as_even_as_they_can_be(sizes, count, seed):
    labels = torch.from_numpy(np.random.RandomState(1).permutation(np.repeat(np.arange(len(sizes)), sizes)))
    chosen = balanced_subset(labels, count, seed)
    assert chosen.dtype == torch.int64 and torch.equal(chosen, chosen.unique())
    assert len(chosen) == min(count, len(labels))
    found = torch.bincount(labels[chosen], minlength=len(sizes)).tolist()
    assert sorted(found) == even_shares(sizes, min(count, len(labels)))


def test_a_set_that_is_small_enough_stays_whole():
    labels = torch.tensor([0, 0, 0, 1])
    assert balanced_subset(labels, 4, 0).tolist() == balanced_subset(labels, 9, 1).tolist() == [0, 1, 2, 3]


def test_a_seed_names_the_same_subset_for_ever():
    labels = torch.arange(40) % 3
    assert balanced_subset(labels, 8, 0).tolist() == [4, 12, 15, 20, 23, 25, 27, 32]
    assert balanced_subset(labels, 8, 1).tolist() != balanced_subset(labels, 8, 0).tolist()


def test_every_image_and_every_class_has_the_same_chance():
    labels = torch.arange(12) % 3
    counts = sum(torch.bincount(balanced_subset(labels, 4, seed), minlength=12) for seed in range(600))
    assert counts.sum() == 2400
    assert counts.float() == pytest.approx(np.full(12, 200.0), abs=5 * (200 * 2 / 3) ** 0.5)
