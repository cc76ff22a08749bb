"""Both samplers that balance categories: what they share, then each on its own."""

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from oml.errors import InvalidInputError
from oml.samplers import BalanceSampler, CategoryBalanceSampler, DistinctCategoryBalanceSampler

SAMPLERS = [CategoryBalanceSampler, DistinctCategoryBalanceSampler]
# labels 0..4 are animals, 5..7 plants, 10 and 11 stones; between 2 and 5 items of each
CATEGORIES = {0: "animal", 1: "animal", 2: "animal", 3: "animal", 4: "animal", 5: "plant", 6: "plant", 7: "plant"}
CATEGORIES |= {10: "stone", 11: "stone"}
LABELS = np.random.default_rng(0).permutation(np.repeat(list(CATEGORIES), [2, 3, 4, 5, 2, 3, 4, 5, 2, 3]))


def make_problem(seed: int, sizes: list[int]) -> tuple[np.ndarray, dict[int, str]]:
    """Give labels with 2 to 5 items each, and as many labels per category as said."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(100)[: sum(sizes)].tolist()
    label2category = dict(zip(names, np.repeat([f"c{i}" for i in range(len(sizes))], sizes).tolist(), strict=True))
    return rng.permutation(np.repeat(names, rng.integers(2, 6, size=len(names)))), label2category


def check_batch(batch, labels, label2category, n_categories: int, n_labels: int, n_instances: int) -> None:
    assert len(batch) == n_categories * n_labels * n_instances
    assert all(type(item) is int for item in batch)
    in_batch = Counter(labels[batch].tolist())
    per_category: dict = {}
    for label, count in in_batch.items():
        per_category.setdefault(label2category[label], []).append(label)
        assert count % n_instances == 0  # a label that repeats brings its number of items again
        if count == n_instances:
            items = [item for item in batch if labels[item] == label]
            assert len(set(items)) == min(n_instances, (labels == label).sum())
    assert len(per_category) == n_categories
    for category, found in per_category.items():
        n_known = sum(c == category for c in label2category.values())
        assert len(found) == min(n_labels, n_known)
        assert sum(in_batch[label] for label in found) == n_labels * n_instances


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 6), min_size=1, max_size=5),
    n_labels=st.integers(2, 6),
    n_instances=st.integers(2, 6),
    data=st.data(),
)
def test_each_batch_is_balanced(sizes, n_labels: int, n_instances: int, data) -> None:
    seed = data.draw(st.integers(0, 1000))
    n_categories = data.draw(st.integers(1, len(sizes)))
    labels, label2category = make_problem(seed, sizes)
    n_few = min(n_labels, *sizes) if len(sizes) > 1 else min(n_labels, sizes[0])
    n_many = min(n_labels, sum(sizes))
    samplers = [
        (CategoryBalanceSampler(labels, label2category, n_categories, n_few, n_instances, seed=seed), n_few),
        (CategoryBalanceSampler(labels, label2category, n_categories, n_many, n_instances, True, seed=seed), n_many),
        (DistinctCategoryBalanceSampler(labels, label2category, n_categories, n_few, n_instances, 9, seed), n_few),
    ]
    for sampler, n in samplers:
        batches = list(sampler)
        assert sampler.batch_size == n_categories * n * n_instances
        expected = 9 if isinstance(sampler, DistinctCategoryBalanceSampler) else math.ceil(len(label2category) / n)
        assert len(batches) == len(sampler) == expected
        for batch in batches:
            check_batch(batch, labels, label2category, n_categories, n, n_instances)


@pytest.mark.parametrize("cls", SAMPLERS)
def test_what_categories_are_called_does_not_matter(cls) -> None:
    labels, label2category = make_problem(1, [2] * 15)
    numbers = {label: int(category[1:]) for label, category in label2category.items()}
    by_name = list(cls(labels, label2category, 3, 2, 2, seed=0))
    assert by_name == list(cls(labels, numbers, 3, 2, 2, seed=0))
    # neither does the order of the table
    assert by_name == list(cls(labels, dict(reversed(label2category.items())), 3, 2, 2, seed=0))


@pytest.mark.parametrize("cls", SAMPLERS)
@pytest.mark.parametrize("container", [list, np.array, torch.tensor, pd.Series, tuple])
def test_labels_come_in_any_container(cls, container) -> None:
    expected = list(cls(LABELS.tolist(), CATEGORIES, 2, 2, 3, seed=0))
    assert list(cls(container(LABELS.tolist()), CATEGORIES, 2, 2, 3, seed=0)) == expected


@pytest.mark.parametrize("cls", SAMPLERS)
def test_defaults_and_a_loader(cls) -> None:
    sampler = cls(LABELS, CATEGORIES)
    assert sampler.batch_size == 2 * 2 * 4  # the smallest category has two labels
    loader = DataLoader(torch.arange(len(LABELS)), batch_sampler=sampler)
    assert [len(batch) for batch in loader] == [16] * len(sampler)
    one = np.repeat(np.arange(12), 2)
    assert cls(one, dict.fromkeys(range(12), "one")).batch_size == 1 * 8 * 4
    assert CategoryBalanceSampler(LABELS, CATEGORIES, resample_labels=True).batch_size == 2 * 8 * 4
    assert len(DistinctCategoryBalanceSampler(LABELS, CATEGORIES)) == 3  # 10 labels, 4 in a batch


@pytest.mark.parametrize("cls", SAMPLERS)
def test_a_seed_repeats_epochs_and_epochs_differ(cls) -> None:
    first, second = (cls(LABELS, CATEGORIES, 2, 2, 2, seed=4) for _ in range(2))
    epochs = [list(first) for _ in range(3)]
    assert epochs == [list(second) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    second.set_epoch(1)
    assert list(second) == epochs[1]
    assert list(cls(LABELS, CATEGORIES, 2, 2, 2, seed=5)) != epochs[0]


@pytest.mark.parametrize("cls", SAMPLERS)
def test_without_a_seed_the_global_generator_decides(cls) -> None:
    sampler = cls(LABELS, CATEGORIES, 2, 2, 2)
    state = np.random.get_state()
    try:
        np.random.seed(3)
        epochs = list(sampler), list(sampler)
        np.random.seed(3)
        assert list(sampler) == epochs[0] != epochs[1] == list(sampler)
    finally:
        np.random.set_state(state)


@pytest.mark.parametrize("cls", SAMPLERS)
@pytest.mark.parametrize("seed", [3, None])
@pytest.mark.parametrize("n_seen", [1, 7, 19])
def test_a_state_resumes_with_the_very_next_batch(cls, seed: int | None, n_seen: int) -> None:
    labels, label2category = make_problem(2, [6, 6, 6, 6, 16])
    arguments = {"epoch_size": 20} if cls is DistinctCategoryBalanceSampler else {}
    sampler = cls(labels, label2category, 2, 2, 2, seed=seed, **arguments)
    assert len(sampler) == 20
    list(sampler)
    iterator = iter(sampler)
    for _ in range(n_seen):
        next(iterator)
    resumed = cls(labels, label2category, 2, 2, 2, seed=seed, **arguments)
    resumed.load_state_dict(sampler.state_dict())
    resumed.set_epoch(1 if seed is not None else sampler.state_dict()["epoch"])
    assert list(resumed) == list(iterator)
    assert len(list(resumed)) == 20


@pytest.mark.parametrize(("weighted", "share"), [(True, 0.5), (False, 1 / 3)])
def test_categories_are_drawn_by_their_labels_or_equally(weighted: bool, share: float) -> None:
    sampler = CategoryBalanceSampler(LABELS, CATEGORIES, 1, 2, 2, weight_categories=weighted, seed=0)
    drawn = [CATEGORIES[LABELS[batch[0]]] for _ in range(300) for batch in sampler]
    # 1500 draws: the standard deviation of a share is below 0.013
    assert abs(drawn.count("animal") / len(drawn) - share) < 0.06
    assert abs(drawn.count("stone") / len(drawn) - (0.2 if weighted else 1 / 3)) < 0.06


def find_labels(batch: list[int], labels: np.ndarray, n_instances: int) -> list[int]:
    return labels[batch].tolist()[::n_instances]


def test_labels_are_used_up_before_they_come_again() -> None:
    labels, label2category = make_problem(3, [4, 6, 2, 8])
    sampler = DistinctCategoryBalanceSampler(labels, label2category, 1, 2, 2, epoch_size=30, seed=0)
    found = [find_labels(batch, labels, 2) for batch in sampler]
    for start in range(0, 30, 10):  # 20 labels, two at a time
        turn = [label for batch in found[start : start + 10] for label in batch]
        assert sorted(turn) == sorted(label2category)
    assert found[:10] != found[10:20]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(3, 9), min_size=2, max_size=5), st.integers(1, 5), st.integers(0, 1000))
def test_pools_equal_loop(sizes: list[int], n_categories: int, seed: int) -> None:
    """Every batch is one that the definition allows, kept with pools of unused labels."""
    n_categories = min(n_categories, len(sizes))
    labels, label2category = make_problem(seed, sizes)
    full: dict[str, set[int]] = {}
    for label, category in label2category.items():
        full.setdefault(category, set()).add(label)
    unused = {category: set(members) for category, members in full.items()}
    for batch in DistinctCategoryBalanceSampler(labels, label2category, n_categories, 3, 2, epoch_size=25, seed=seed):
        if len([1 for members in unused.values() if members]) < n_categories:
            unused = {category: set(members) for category, members in full.items()}
        found = find_labels(batch, labels, 2)
        assert len(set(found)) == len(found)
        for category in {label2category[label] for label in found}:
            taken = {label for label in found if label2category[label] == category}
            assert unused[category], "drawn although its labels are used up"
            assert len(taken & unused[category]) == min(3, len(unused[category]))
            unused[category] -= taken


@pytest.mark.parametrize("cls", SAMPLERS)
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((LABELS, CATEGORIES, 0, 2, 2), r"n_categories must be at least 1 .* of categories, which is 3, got 0"),
        ((LABELS, CATEGORIES, 4, 2, 2), r"categories, which is 3, got 4"),
        ((LABELS, CATEGORIES, 2, 1, 2), r"n_labels must be at least 2 .* of different labels, which is 10, got 1"),
        ((LABELS, CATEGORIES, 2, 11, 2), r"which is 10, got 11"),
        ((LABELS, CATEGORIES, 2, 2, 1), r"n_instances must be at least 2, got 1"),
        (
            (LABELS, CATEGORIES, 2, 4, 2),
            r"All the categories must have at least 4 unique labels, but 2 of 3 have fewer: plant \(3\), stone \(2\)\.",
        ),
        (
            (LABELS, {k: v for k, v in CATEGORIES.items() if k not in (3, 10)}, 2, 2, 2),
            r"label must have a category in label2category, but 2 of 10 have none: 3, 10\.",
        ),
        ((LABELS, CATEGORIES | {4: math.nan}, 2, 2, 2), r"but 1 of 10 have none: 4\."),
        ((LABELS, CATEGORIES | {12: "stone", 13: "stone"}, 2, 2, 2), r"2 of its 12 labels have no item: 12, 13\."),
        (([0, 0, 1], {0: "a", 1: "a"}, 1, 2, 2), r"Each label should contain at least 2 samples, .* contain one: 1\."),
        (([0, 0], {0: "a"}), r"n_labels must be at least 2 .* which is 1, got 2"),
        (([], {}), "labels must not be empty"),
    ],
)
def test_errors(cls, arguments, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        cls(*arguments)


@pytest.mark.parametrize("cls", SAMPLERS)
@pytest.mark.parametrize(
    ("sizes", "match"),
    [
        ((2.0, 2, 2), "n_categories must be a whole number, got 2.0 of the type float"),
        ((2, "2", 2), "n_labels must be a whole number, got '2' of the type str"),
        ((2, 2, True), "n_instances must be a whole number, got True of the type bool"),
    ],
)
def test_sizes_of_another_type(cls, sizes, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        cls(LABELS, CATEGORIES, *sizes)


def test_errors_of_an_epoch() -> None:
    with pytest.raises(InvalidInputError, match="epoch_size must be at least 1, got 0"):
        DistinctCategoryBalanceSampler(LABELS, CATEGORIES, epoch_size=0)
    with pytest.raises(TypeError, match=r"epoch_size must be a whole number, got 1\.5"):
        DistinctCategoryBalanceSampler(LABELS, CATEGORIES, epoch_size=1.5)


def test_a_million_items_start_at_once() -> None:
    """Nothing is kept per item but its place, and an epoch is drawn batch by batch."""
    labels = np.arange(1_000_000) % 100_000
    label2category = {label: label % 40 for label in range(100_000)}
    for sampler in (
        BalanceSampler(labels, 64, 4, seed=0),
        CategoryBalanceSampler(labels, label2category, 4, 16, 4, seed=0),
        DistinctCategoryBalanceSampler(labels, label2category, 4, 16, 4, epoch_size=10**9, seed=0),
    ):
        batch = next(iter(sampler))
        assert Counter(np.array(batch) % 100_000).most_common()[0][1] == 4
        assert len(sampler) >= 1562
