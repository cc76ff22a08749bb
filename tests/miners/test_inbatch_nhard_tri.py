import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.distances import pairwise_dist
from oml.losses import TripletLossWithMiner
from oml.miners import AllTripletsMiner, HardTripletsMiner, NHardTripletsMiner
from tests.reference.miners import list_n_hard_triplets_by_loop
from tests.reference.triplets import calc_triplet_loss_by_loop, list_triplets_by_loop

LABELS = [4, 2, 4, 4, 2, 9, 9, 4, 9]
RANKS = [1, 3, 100, (1, 1), (2, 3), [2, 100], (3, 3)]


def as_tuples(ids) -> list[tuple[int, int, int]]:
    return list(zip(*(torch.as_tensor(i).tolist() for i in ids), strict=True))


def as_pair(ranks) -> tuple[int, int]:
    return (1, ranks) if isinstance(ranks, int) else tuple(ranks)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12), st.sampled_from(RANKS), st.sampled_from(RANKS), st.integers(0, 1000))
def test_triplets_equal_loop(labels: list[int], n_positive, n_negative, seed: int) -> None:
    features = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    distances = pairwise_dist(features, features)
    miner = NHardTripletsMiner(n_positive, n_negative)
    expected = list_n_hard_triplets_by_loop(distances, labels, as_pair(n_positive), as_pair(n_negative))
    assert sorted(as_tuples(miner.sample_ids(features, labels))) == sorted(expected)
    tensor = torch.tensor(labels, dtype=torch.long)
    found = miner.sample_ids(torch.zeros_like(features), tensor, distances)
    assert sorted(as_tuples(found)) == sorted(expected)
    assert miner.sample_candidates(distances, tensor).count_triplets() == len(expected)
    if expected:
        assert sorted(as_tuples(miner._sample(features, labels=labels))) == sorted(expected)
        assert [t[0] for t in as_tuples(found)] == [t[0] for t in expected]  # anchors in order
    if as_pair(n_positive)[1] < len(labels) and as_pair(n_negative)[1] < len(labels):
        assert as_tuples(found) == expected  # and the hardest first


def test_one_of_each_is_the_hard_miner_and_many_are_all() -> None:
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    hard = as_tuples(HardTripletsMiner().sample_ids(features, LABELS))
    assert as_tuples(NHardTripletsMiner().sample_ids(features, LABELS)) == hard
    everything = as_tuples(AllTripletsMiner().sample_ids(features, LABELS))
    assert set(as_tuples(NHardTripletsMiner(10**6, 10**6).sample_ids(features, LABELS))) == set(everything)
    assert set(everything) == set(list_triplets_by_loop(LABELS))


@pytest.mark.parametrize("as_tensor", [True, False])
def test_ignored_items_are_no_anchors(as_tensor: bool) -> None:
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    mask = [True, False, False, True, False, True, False, False, False]
    ids = NHardTripletsMiner(2, 3)._sample(features, LABELS, torch.tensor(mask) if as_tensor else mask)
    assert all(isinstance(i, list) for i in ids)
    assert set(ids[0]) == {i for i in range(9) if not mask[i]}
    full = list_n_hard_triplets_by_loop(pairwise_dist(features, features), LABELS, (1, 2), (1, 3))
    assert as_tuples(ids) == [t for t in full if not mask[t[0]]]


def test_documented_attributes() -> None:
    miner = NHardTripletsMiner((2, 5), 3)
    assert (miner.positive_slice, miner.negative_slice) == (slice(1, 5), slice(0, 3))
    assert repr(miner) == "NHardTripletsMiner(n_positive=(2, 5), n_negative=(1, 3))"


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("margin", [0.5, None])
@pytest.mark.parametrize(
    ("ranks", "n_items"),
    [((1, 1), 9), ((2, 3), 9), (((2, 3), (2, 4)), 9), ((20, 20), 9), ((1, 1), 200), (((2, 3), (2, 2)), 200)],
)
def test_loss_gradient_and_logs_equal_loop(generator, ranks, margin, reduction: str, n_items: int) -> None:
    features = torch.randn(n_items, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    labels = LABELS if n_items == 9 else [i // 4 for i in range(200)]
    criterion = TripletLossWithMiner(margin, NHardTripletsMiner(*ranks), reduction, need_logs=True)
    loss = criterion(features, torch.tensor(labels))
    loss.sum().backward()
    grad, features.grad = features.grad, None
    triplets = list_n_hard_triplets_by_loop(
        torch.cdist(features.detach(), features.detach()), labels, *(as_pair(r) for r in ranks)
    )
    losses, logs = calc_triplet_loss_by_loop(features, triplets, margin)
    expected = {"mean": losses.mean, "sum": losses.sum, "none": losses.sum}[reduction]()
    expected.backward()
    torch.testing.assert_close(loss.sum(), expected)
    torch.testing.assert_close(grad, features.grad)
    assert criterion.last_logs == pytest.approx(logs)


def test_ranks_that_no_item_has() -> None:
    features = torch.randn(9, 4, requires_grad=True)
    message = r"n_positive begins at the rank 4, but no item of this batch has more than 3 positives"
    with pytest.raises(ValueError, match=message):
        NHardTripletsMiner((4, 5), 1).sample(features, LABELS)
    with pytest.raises(InvalidInputError, match=r"n_negative begins at the rank 8, .* more than 7 negatives"):
        NHardTripletsMiner(1, (8, 9))._sample(features, LABELS)
    with pytest.warns(UserWarning, match="A batch has no triplet"):
        loss = TripletLossWithMiner(0.5, NHardTripletsMiner((4, 5), 1))(features, LABELS)
    loss.backward()
    assert loss == 0
    assert torch.equal(features.grad, torch.zeros(9, 4))


@pytest.mark.parametrize(
    ("ranks", "error", "match"),
    [
        (0, InvalidInputError, "n_positive must be at least 1, got 0"),
        ((0, 2), InvalidInputError, r"n_positive must be a pair of ranks, counted from 1 .* got \(0, 2\)"),
        ((3, 2), AssertionError, r"the first not above the last, got \(3, 2\)"),
        (1.0, TypeError, r"n_positive must be a whole number, or a pair of ranks like \(2, 5\), got 1\.0"),
        ((1, 2, 3), TypeError, r"got \(1, 2, 3\)"),
        ((1, "2"), TypeError, "pair of ranks"),
        (True, TypeError, "got True"),
        (slice(1), TypeError, "got slice"),
    ],
)
def test_errors(ranks, error, match: str) -> None:
    with pytest.raises(error, match=match):
        NHardTripletsMiner(ranks)
    with pytest.raises(error, match=match.replace("n_positive", "n_negative")):
        NHardTripletsMiner(1, ranks)
