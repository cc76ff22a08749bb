import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.miners import AllTripletsMiner, get_available_triplets
from oml.miners.inbatch_all_tri import get_available_triplets_naive
from tests.reference.triplets import list_triplets_by_loop

LABELS = [4, 2, 4, 4, 2, 9, 9]


def as_tuples(ids) -> list[tuple[int, int, int]]:
    return list(zip(*(torch.as_tensor(i).tolist() for i in ids), strict=True))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=10), st.booleans())
def test_all_triplets_are_given_once(labels: list[int], as_tensor: bool) -> None:
    expected = list_triplets_by_loop(labels)
    given_labels = torch.tensor(labels, dtype=torch.long) if as_tensor else labels
    assert sorted(as_tuples(get_available_triplets(given_labels))) == expected
    assert sorted(as_tuples(get_available_triplets_naive(given_labels))) == expected
    assert as_tuples(AllTripletsMiner().sample_ids(torch.zeros(len(labels), 2), given_labels)) == expected


@pytest.mark.parametrize("limit", [1, 5, 10**6, sys.maxsize])
def test_a_limit_takes_some_of_them_without_repetition(limit: int) -> None:
    everything = set(list_triplets_by_loop(LABELS))
    for ids in (
        get_available_triplets(LABELS, limit),
        get_available_triplets_naive(LABELS, limit),
        AllTripletsMiner(limit).sample_ids(torch.zeros(7, 2), LABELS),
        AllTripletsMiner(limit)._sample(torch.zeros(7, 2), labels=LABELS),
    ):
        triplets = as_tuples(ids)
        assert len(triplets) == len(set(triplets)) == min(limit, len(everything))
        assert set(triplets) <= everything


def test_every_triplet_is_as_likely_under_a_limit() -> None:
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(list_triplets_by_loop([0, 0, 1, 1]), 0)
    for _ in range(800):
        counts[as_tuples(get_available_triplets([0, 0, 1, 1], 1, generator=rng))[0]] += 1
    assert len(counts) == 8
    assert min(counts.values()) > 60  # 100 expected, standard deviation 9.4


def test_the_order_is_random_and_repeats_with_the_seed(monkeypatch) -> None:
    first, again = (as_tuples(get_available_triplets(LABELS, generator=np.random.default_rng(3))) for _ in range(2))
    assert first == again != list_triplets_by_loop(LABELS)
    state = np.random.get_state()
    try:
        np.random.seed(5)
        with_global = as_tuples(get_available_triplets(LABELS))
        np.random.seed(5)
        assert as_tuples(get_available_triplets(LABELS)) == with_global
        assert as_tuples(get_available_triplets(LABELS)) != with_global
    finally:
        np.random.set_state(state)


def test_sample_gives_features_with_gradients() -> None:
    features = torch.randn(7, 3, requires_grad=True)
    anchor, positive, negative = AllTripletsMiner().sample(features, torch.tensor(LABELS))
    assert anchor.shape == positive.shape == negative.shape == (len(list_triplets_by_loop(LABELS)), 3)
    anchor.sum().backward()
    assert torch.equal(features.grad[:, 0], torch.tensor([8.0, 5.0, 8.0, 8.0, 5.0, 5.0, 5.0]))


def test_candidates_are_given_unless_the_number_is_limited() -> None:
    candidates = AllTripletsMiner().sample_candidates(torch.zeros(7, 7), torch.tensor(LABELS))
    assert candidates.count_triplets() == len(list_triplets_by_loop(LABELS))
    assert AllTripletsMiner(10).sample_candidates(torch.zeros(7, 7), torch.tensor(LABELS)) is None


def test_a_huge_list_is_not_made_for_a_few_triplets() -> None:
    labels = torch.arange(2000) % 4  # 1.5 * 10^9 triplets
    ids = get_available_triplets(labels, 100)
    assert all((labels[ids[0]] == labels[ids[1]]).tolist())
    assert not any((labels[ids[0]] == labels[ids[2]]).tolist())


def test_errors() -> None:
    with pytest.raises(InvalidInputError, match="max_output_triplets must be a positive number of triplets, got 0"):
        AllTripletsMiner(max_output_triplets=0)
    with pytest.raises(InvalidInputError, match=r"max_out_triplets must be a positive .* got -1"):
        get_available_triplets([0, 0, 1], -1)
    with pytest.raises(AssertionError, match="these occur once: 9"):
        AllTripletsMiner().sample(torch.zeros(3, 2), [1, 1, 9])
    with pytest.raises(AssertionError, match=r"at least two different labels .* got 1"):
        AllTripletsMiner().sample(torch.zeros(2, 2), [1, 1])
    with pytest.raises(TypeError, match="must be a tensor or a list, got tuple"):
        AllTripletsMiner().sample(torch.zeros(2, 2), (1, 1))
