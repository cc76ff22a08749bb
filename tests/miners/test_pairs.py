import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.distances import pairwise_dist
from oml.miners import PairsMiner
from tests.reference.miners import find_pairs_by_loop
from tests.reference.triplets import list_hard_triplets_by_loop, list_triplets_by_loop


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=10), st.integers(0, 1000), st.booleans(), st.booleans())
def test_pairs_equal_loop(labels: list[int], seed: int, hard_mining: bool, as_tensor: bool) -> None:
    features = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    distances = pairwise_dist(features, features)
    triplets = list_hard_triplets_by_loop(distances, labels) if hard_mining else list_triplets_by_loop(labels)
    same, other = find_pairs_by_loop(triplets)
    given_labels = torch.tensor(labels, dtype=torch.long) if as_tensor else labels
    first, second, is_negative = PairsMiner(hard_mining).sample(features, given_labels)
    assert (first.dtype, second.dtype, is_negative.dtype) == (torch.int64, torch.int64, torch.bool)
    assert is_negative.tolist() == [False] * len(same) + [True] * len(other)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert set(pairs[: len(same)]) == same
    assert set(pairs[len(same) :]) == other


def test_it_indexes_what_a_pairwise_model_takes() -> None:
    features, labels = torch.randn(6, 2), [0, 0, 1, 1, 2, 2]
    first, second, is_negative = PairsMiner(hard_mining=False).sample(features, labels)
    assert features[first].shape == features[second].shape == (15, 2)
    assert is_negative.float().sum() == 12


def test_errors() -> None:
    with pytest.raises(InvalidInputError, match=r"features of the shape \(4, 2\) and 3 labels"):
        PairsMiner().sample(torch.zeros(4, 2), [0, 0, 1])
