import pytest
import torch

from oml.errors import InvalidInputError
from oml.losses import (
    ArcFaceLoss,
    CrossBatchMemory,
    GatherAcrossDevices,
    MultiSimilarityLoss,
    TripletLoss,
    TripletLossPlain,
    TripletLossWithMiner,
)
from oml.losses.matryoshka import MatryoshkaLoss


def test_it_is_the_weighted_sum_of_cut_features(generator):
    features = torch.randn(12, 8, generator=generator, requires_grad=True)
    labels = torch.arange(12) // 3
    plain = TripletLossWithMiner(margin=0.5)
    expected = 2.0 * plain(features[:, :2], labels) + 0.5 * plain(features, labels)
    criterion = MatryoshkaLoss(TripletLossWithMiner(margin=0.5), dims=[2, 8], weights=[2.0, 0.5])
    loss = criterion(features, labels)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, features)[0], torch.autograd.grad(expected, features)[0], rtol=1e-5, atol=1e-7
    )


def test_all_features_are_cut_and_nothing_else(generator):
    anchor, positive, negative = torch.randn(3, 5, 6, generator=generator).unbind()
    criterion = MatryoshkaLoss(TripletLoss(margin=0.5), dims=[3])
    expected = TripletLoss(margin=0.5)(anchor[:, :3], positive[:, :3], negative[:, :3])
    assert criterion(anchor, positive=positive, negative=negative).item() == pytest.approx(expected.item())


def test_one_criterion_per_width_keeps_logs_apart(generator):
    features, labels = torch.randn(12, 8, generator=generator), torch.arange(12) // 3
    losses = [TripletLossWithMiner(margin=0.5, need_logs=True) for _ in range(2)]
    MatryoshkaLoss(losses, dims=[8, 2])(features, labels)
    logs = MatryoshkaLoss(losses, dims=[8, 2]).last_logs
    assert logs["pos_dist_8"] == losses[0].last_logs["pos_dist"]
    assert logs["pos_dist_2"] == losses[1].last_logs["pos_dist"]
    assert logs["pos_dist_8"] > logs["pos_dist_2"]


def test_classifiers_and_memories_have_one_criterion_per_width(generator):
    features, labels = torch.randn(12, 8, generator=generator), torch.arange(12) // 3
    losses = [ArcFaceLoss(dim, 4) for dim in (8, 3)]
    expected = losses[0](features, labels) + losses[1](features[:, :3], labels)
    assert MatryoshkaLoss(losses, dims=[8, 3])(features, labels) == expected
    memories = [CrossBatchMemory(MultiSimilarityLoss(), size=20) for _ in range(2)]
    MatryoshkaLoss(memories, dims=[8, 3])(features, labels)
    assert torch.equal(memories[1].memory.features, features[:, :3])
    with pytest.raises(InvalidInputError, match=r"the width 8, but the batch has 3.* give one criterion per width"):
        MatryoshkaLoss(memories[0], dims=[8, 3])(features, labels)


def test_features_that_are_not_found_are_not_left_uncut():
    criterion = MatryoshkaLoss(GatherAcrossDevices(MultiSimilarityLoss()), dims=[4, 2])
    message = "the arguments of GatherAcrossDevices are inputs. Rename them; put wrappers, such as .* around Matryosh"
    with pytest.raises(InvalidInputError, match=message):
        criterion(torch.zeros(3, 8), torch.zeros(3, dtype=torch.long))


def test_errors():
    plain = TripletLossPlain(margin=None)
    with pytest.raises(InvalidInputError, match=r"`dims` must be different widths of at least 1, got \[4, 4\]"):
        MatryoshkaLoss(plain, dims=[4, 4])
    with pytest.raises(InvalidInputError, match=r"`dims` must be different widths of at least 1, got \[\]"):
        MatryoshkaLoss(plain, dims=[])
    with pytest.raises(InvalidInputError, match=r"`weights` must be one number above 0 for each of the 2 widths, got"):
        MatryoshkaLoss(plain, dims=[4, 2], weights=[1.0])
    with pytest.raises(InvalidInputError, match="one for each of the 2 widths, got 1"):
        MatryoshkaLoss([plain], dims=[4, 2])
    with pytest.raises(InvalidInputError, match="`features` must have at least 9 features, as `dims` says, got 8"):
        MatryoshkaLoss(plain, dims=[9])(torch.zeros(3, 8))
