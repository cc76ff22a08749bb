import copy

import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.losses.anchors import reduce_anchors
from oml.losses import ContrastiveLoss, MultiSimilarityLoss, NTXentLoss, SupConLoss, TripletLossWithMiner
from oml.losses.cross_batch_memory import CrossBatchMemory


def make_batches(n, generator, sizes=(6,)):
    for i in range(n):
        size = sizes[i % len(sizes)]
        yield torch.randn(size, 8, generator=generator), torch.randint(0, 3, (size,), generator=generator)


@pytest.mark.parametrize("loss", [ContrastiveLoss(), MultiSimilarityLoss(), NTXentLoss(), SupConLoss()])
def test_candidates_are_the_batch_and_the_last_items(loss, generator):
    criterion = CrossBatchMemory(loss, size=10)
    past, past_labels = torch.empty(0, 8), torch.empty(0, dtype=torch.int64)
    for features, labels in make_batches(5, generator, sizes=(6, 3, 13)):
        features.requires_grad_()
        found = criterion(features, labels)
        # the same by two masks of the batch and the past, nobody being his own
        same = labels[:, None] == torch.cat([labels, past_labels])
        others = torch.ones_like(same)
        others[:, : len(labels)].fill_diagonal_(False)
        scores = loss.calc_scores(features, torch.cat([features, past]))
        expected = reduce_anchors(loss.calc_losses(scores, same & others, ~same & others), "mean")
        torch.testing.assert_close(found, expected)
        found.backward()
        assert features.grad.abs().sum() > 0
        past = torch.cat([past, features.detach()])[-10:]
        past_labels = torch.cat([past_labels, labels])[-10:]
        assert torch.equal(criterion.memory.features, past)
        assert torch.equal(criterion.memory.labels, past_labels)
        assert not criterion.memory.features.requires_grad


def test_remembered_items_are_found():
    """One item of each label in the batch and in the memory: the only positive is the one remembered, at distance 2."""
    criterion = CrossBatchMemory(ContrastiveLoss(), size=2)
    criterion(torch.tensor([[0.0], [50.0]]), [0, 1])
    criterion(torch.tensor([[2.0], [52.0]]), [0, 1])
    assert criterion.last_logs["pos_dist"] == 2
    assert criterion.last_logs["neg_dist"] == (50 + 50 + 50 - 2 + 50 + 2) / 4


def test_training_goes_on_exactly(generator):
    criterion = CrossBatchMemory(MultiSimilarityLoss(), size=9)
    batches = list(make_batches(6, generator, sizes=(6, 4)))
    for batch in batches[:3]:
        criterion(*batch)
    state = copy.deepcopy(criterion.state_dict())
    expected = [criterion(*batch).item() for batch in batches[3:]]
    restored = CrossBatchMemory(MultiSimilarityLoss(), size=9)
    restored.load_state_dict(state)
    assert [restored(*batch).item() for batch in batches[3:]] == expected
    with pytest.raises(InvalidInputError, match=r"This memory keeps 5 items \(size\), the one to be restored 9"):
        CrossBatchMemory(MultiSimilarityLoss(), size=5).load_state_dict(state)
    with pytest.raises(InvalidInputError, match="width 8, but the batch has 7"):
        restored(torch.zeros(2, 7), [0, 1])


def test_it_waits_for_its_start_and_rests_in_evaluation(generator):
    plain, criterion = MultiSimilarityLoss(), CrossBatchMemory(MultiSimilarityLoss(), size=50, start=2)
    batches = list(make_batches(4, generator))
    are_plain = [criterion(*batch).item() == plain(*batch).item() for batch in batches]
    assert are_plain == [True, True, False, False]
    criterion.eval()
    assert criterion(*batches[0]) == criterion(*batches[0])
    assert len(criterion.memory) == 24
    assert criterion.last_logs["memory"] == 24


def test_errors():
    with pytest.raises(TypeError, match=r"`loss` must be a PairLoss, .* got TripletLossWithMiner"):
        CrossBatchMemory(TripletLossWithMiner(margin=None), size=4)
    with pytest.raises(InvalidInputError, match="`size` must be a whole number of at least 1, got 0"):
        CrossBatchMemory(MultiSimilarityLoss(), size=0)
    with pytest.raises(InvalidInputError, match="`start` must not be negative, got -1"):
        CrossBatchMemory(MultiSimilarityLoss(), size=4, start=-1)


def test_the_memory_needs_no_gradient(generator, monkeypatch):
    """Only the batch has one, so a step multiplies no matrix for the gradient of the memory."""
    loss, seen = ContrastiveLoss(), []
    calc_scores = loss.calc_scores
    monkeypatch.setattr(loss, "calc_scores", lambda x, refs: (seen.append(refs), calc_scores(x, refs))[1])
    criterion = CrossBatchMemory(loss, size=10)
    for features, labels in make_batches(2, generator):
        criterion(features.requires_grad_(), labels).backward()
    assert seen[:2] == [None, None]
    assert seen[2].shape == (6, 8)
    assert not seen[2].requires_grad
