from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from oml.errors import InvalidInputError
from oml.samplers import BalanceSampler

LABELS = [5, 2, 5, 9, 2, 9, 9, 7, 7, 5, 1, 1]  # five labels


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(2, 7), min_size=2, max_size=9),
    n_labels=st.integers(2, 9),
    n_instances=st.integers(2, 9),
    seed=st.integers(0, 1000),
)
def test_each_batch_is_balanced_and_each_label_comes_once(counts, n_labels: int, n_instances: int, seed: int) -> None:
    n_labels = min(n_labels, len(counts))
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)) * 3 - 5, counts))
    sampler = BalanceSampler(labels, n_labels, n_instances, seed=seed)
    batches = list(sampler)
    assert len(batches) == len(sampler) == len(counts) // n_labels
    label_counts: Counter = Counter()
    for batch in batches:
        assert len(batch) == sampler.batch_size == n_labels * n_instances
        assert all(type(item) is int for item in batch)
        in_batch = Counter(labels[batch].tolist())
        assert len(in_batch) == n_labels
        assert set(in_batch.values()) == {n_instances}
        label_counts.update(in_batch.keys())
        for label in in_batch:
            items = [item for item in batch if labels[item] == label]
            # no repetition where there are enough items, otherwise every item is there
            assert len(set(items)) == min(n_instances, (labels == label).sum())
    assert max(label_counts.values()) == 1


def test_every_item_is_drawn_about_equally_often() -> None:
    sampler = BalanceSampler([0] * 6 + [1] * 4, 2, 2, seed=0)
    counts: Counter = Counter()
    for _ in range(600):
        counts.update(next(iter(sampler)))
    # 200 of an item of the first label, 300 of the second; the standard deviation is below 13
    assert all(abs(counts[item] - (200 if item < 6 else 300)) < 60 for item in range(10))


def test_labels_are_paired_at_random_in_each_epoch() -> None:
    sampler = BalanceSampler(np.repeat(np.arange(20), 2), 2, 2, seed=1)
    pairs = [frozenset(np.array(batch) // 2) for _ in range(5) for batch in sampler]
    assert len(set(pairs)) > 40


@pytest.mark.parametrize("container", [list, np.array, torch.tensor, pd.Series, tuple])
def test_labels_come_in_any_container(container) -> None:
    sampler = BalanceSampler(container(LABELS), 2, 3, seed=0)
    assert list(sampler) == list(BalanceSampler(LABELS, 2, 3, seed=0))


def test_defaults() -> None:
    assert BalanceSampler(LABELS).batch_size == 5 * 4
    assert BalanceSampler(np.repeat(np.arange(100), 2)).batch_size == 16 * 4


def test_a_loader_takes_it() -> None:
    loader = DataLoader(torch.arange(12), batch_sampler=BalanceSampler(LABELS, 2, 2))
    assert [len(batch) for batch in loader] == [4, 4]


def test_a_seed_repeats_epochs_and_epochs_differ() -> None:
    labels = np.repeat(np.arange(30), 4)
    first, second = (BalanceSampler(labels, 3, 2, seed=4) for _ in range(2))
    epochs = [list(first) for _ in range(3)]
    assert epochs == [list(second) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    second.set_epoch(1)
    assert list(second) == epochs[1]
    assert list(second) == epochs[2]
    assert list(BalanceSampler(labels, 3, 2, seed=5)) != epochs[0]


def test_without_a_seed_the_global_generator_decides() -> None:
    sampler = BalanceSampler(np.repeat(np.arange(30), 4), 3, 2)
    state = np.random.get_state()
    try:
        np.random.seed(3)
        epochs = list(sampler), list(sampler)
        np.random.seed(3)
        assert list(sampler) == epochs[0] != epochs[1] == list(sampler)
    finally:
        np.random.set_state(state)


@pytest.mark.parametrize("seed", [3, None])
@pytest.mark.parametrize("n_seen", [0, 1, 4, 10])
def test_a_state_resumes_with_the_very_next_batch(seed: int | None, n_seen: int) -> None:
    labels = np.repeat(np.arange(30), 4)
    sampler = BalanceSampler(labels, 3, 2, seed=seed)
    list(sampler)  # an epoch before
    iterator = iter(sampler)
    for _ in range(n_seen):
        next(iterator)
    state = sampler.state_dict()
    rest = list(iterator)
    following = list(sampler)

    resumed = BalanceSampler(labels, 3, 2, seed=seed)
    resumed.load_state_dict(state)
    if 0 < n_seen < 10:
        resumed.set_epoch(state["epoch"])  # loops say so at the start of each epoch, also of the resumed one
        assert list(resumed) == rest
        assert len(list(resumed)) == 10
    if seed is not None:
        resumed.load_state_dict(state)
        if 0 < n_seen < 10:
            list(resumed)
        # when the epoch was over, or had not begun, the next one comes
        assert list(resumed) == (following if n_seen else rest)


def test_a_state_may_count_the_batches_used_rather_than_asked_for() -> None:
    sampler = BalanceSampler(np.repeat(np.arange(30), 4), 3, 2, seed=0)
    batches = list(sampler)  # a loader with workers has asked for all of them
    sampler.load_state_dict(sampler.state_dict(n_batches=4))
    assert list(sampler) == batches[4:]


def test_an_abandoned_epoch_is_not_resumed() -> None:
    sampler = BalanceSampler(np.repeat(np.arange(30), 4), 3, 2, seed=0)
    next(iter(sampler))
    assert len(list(sampler)) == 10


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([0, 0, 1, 2, 3, 3], 2, 2), r"Each label should contain at least 2 samples, but 2 of 4 contain one: 1, 2\."),
        ((LABELS, 1, 2), r"n_labels must be above 1 and at most the number of different labels, which is 5, got 1"),
        ((LABELS, 6, 2), r"which is 5, got 6"),
        (([0, 0, 0], 2, 2), r"which is 1, got 2"),
        ((LABELS, 2, 1), r"n_instances must be above 1, .* got 1"),
        ((LABELS, 2.0, 2), r"n_labels must be a whole number, got 2.0 of the type float"),
        ((LABELS, 2, "3"), r"n_instances must be a whole number, got '3' of the type str"),
        ((LABELS, True, 2), r"n_labels must be a whole number, got True"),
        (([[0, 0], [1, 1]], 2, 2), r"one-dimensional, got the shape \(2, 2\)"),
        (([], 2, 2), r"labels must not be empty"),
        (([0.5, 0.5, 1.5, 1.5], 2, 2), r"labels must be whole numbers, got float64"),
        ((LABELS, 2, 2, -1), r"seed must be .* not negative, or None, got -1"),
    ],
)
def test_errors(arguments, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        BalanceSampler(*arguments)


def test_a_million_items_start_at_once() -> None:
    """The labels are sorted once; an epoch is a permutation of the labels, and nothing is kept per item."""
    labels = np.arange(1_000_000) % 100_000
    sampler = BalanceSampler(labels, 64, 8, seed=0)
    batch = next(iter(sampler))
    assert len(sampler) == 1562
    assert Counter(np.array(batch) % 100_000).most_common(1)[0][1] == 8
