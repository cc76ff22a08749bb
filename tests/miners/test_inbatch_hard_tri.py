import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.distances import pairwise_dist
from oml.miners import HardTripletsMiner
from tests.reference.triplets import list_hard_triplets_by_loop


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12), st.integers(0, 1000))
def test_triplets_equal_loop(labels: list[int], seed: int) -> None:
    features = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    distances = pairwise_dist(features, features)
    expected = list_hard_triplets_by_loop(distances, labels)
    tensor = torch.tensor(labels, dtype=torch.long)
    miner = HardTripletsMiner()
    for ids in (
        miner._sample(features, labels=labels),
        miner._sample_from_distmat(distances, labels),
        miner.sample_ids(features, labels),
        miner.sample_ids(torch.zeros_like(features), tensor, distances),
    ):
        assert list(zip(*(torch.as_tensor(i).tolist() for i in ids), strict=True)) == expected
    assert miner.sample_candidates(distances, tensor).count_triplets() == len(expected)


def test_documented_lists() -> None:
    ids = HardTripletsMiner()._sample_from_distmat(torch.zeros(4, 4), [0, 0, 1, 1])
    assert all(isinstance(i, list) for i in ids)
    assert ids[0] == [0, 1, 2, 3]


def test_an_item_is_never_its_own_positive() -> None:
    features = torch.zeros(6, 4)  # all distances are 0
    ids_a, ids_p, ids_n = HardTripletsMiner().sample_ids(features, [0, 0, 0, 1, 1, 1])
    assert ids_a.tolist() == [0, 1, 2, 3, 4, 5]
    assert (ids_a != ids_p).all()
    assert ((ids_a < 3) == (ids_p < 3)).all()
    assert ((ids_a < 3) != (ids_n < 3)).all()


def test_items_without_a_positive_or_negative_are_no_anchors() -> None:
    features = torch.randn(3, 2)
    assert HardTripletsMiner().sample_ids(features, [0, 0, 1])[0].tolist() == [0, 1]
    assert HardTripletsMiner().sample_ids(features, [0, 0, 0])[0].tolist() == []
    assert HardTripletsMiner().sample_ids(features, [0, 1, 2])[0].tolist() == []


def test_distances_are_detached_and_features_are_not() -> None:
    features = torch.randn(4, 2, requires_grad=True)
    anchor, positive, negative = HardTripletsMiner().sample(features, torch.tensor([0, 0, 1, 1]))
    assert torch.equal(anchor, features)
    (positive + negative).sum().backward()
    assert features.grad.sum() == 16


@pytest.mark.parametrize("labels", [[0, 0, 1], torch.tensor([0, 0, 1])])
def test_errors_name_both_numbers(labels) -> None:
    with pytest.raises(InvalidInputError, match=r"features of the shape \(4, 2\) and 3 labels"):
        HardTripletsMiner().sample_ids(torch.zeros(4, 2), labels)
