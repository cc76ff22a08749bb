"""The same numbers as pytorch-metric-learning, where it has the same loss."""

import pytest
import torch

from oml.functional.losses import reduce_anchors, smooth_ap_loss
from oml.functional.similarities import cosine_similarities
from oml.losses import (
    CircleLoss,
    ContrastiveLoss,
    FastAPLoss,
    InfoNCE,
    LiftedStructureLoss,
    MultiSimilarityLoss,
    NTXentLoss,
    SemiHardTripletLoss,
    SmoothAPLoss,
    SupConLoss,
)

pytest.importorskip("pytorch_metric_learning")


def make_pairs() -> dict:
    from pytorch_metric_learning import distances, losses, miners

    def as_they_are():
        return distances.LpDistance(normalize_embeddings=False)

    def with_miner(loss, miner):
        return lambda features, labels: loss(features, labels, miner(features, labels))

    return {
        "contrastive": (ContrastiveLoss(0.1, 1.2), losses.ContrastiveLoss(0.1, 1.2, distance=as_they_are())),
        "semi hard": (
            SemiHardTripletLoss(0.2),
            with_miner(
                losses.TripletMarginLoss(0.2, distance=as_they_are()),
                miners.TripletMarginMiner(0.2, "semihard", distance=as_they_are()),
            ),
        ),
        "lifted": (LiftedStructureLoss(0.8), losses.GeneralizedLiftedStructureLoss(0.8, distance=as_they_are())),
        "nt-xent": (NTXentLoss(0.1), losses.NTXentLoss(0.1)),
        "sup con": (SupConLoss(0.1), losses.SupConLoss(0.1)),
        "multi-similarity": (MultiSimilarityLoss(epsilon=None), losses.MultiSimilarityLoss()),
        "multi-similarity, mined": (
            MultiSimilarityLoss(epsilon=0.2),
            with_miner(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner(0.2)),
        ),
        "circle": (CircleLoss(), losses.CircleLoss()),
        "fast ap": (FastAPLoss(), losses.FastAPLoss()),
    }


@pytest.mark.parametrize("name", make_pairs())
@pytest.mark.parametrize("n_instances", [2, 5])
def test_loss_and_gradient(generator, name: str, n_instances: int) -> None:
    ours, theirs = make_pairs()[name]
    labels = torch.arange(6).repeat_interleave(n_instances)[torch.randperm(6 * n_instances, generator=generator)]
    features = torch.randn(len(labels), 8, dtype=torch.float64, generator=generator)
    features = (features / features.norm(dim=1, keepdim=True) + 0.1 * labels[:, None]).requires_grad_()
    loss, expected = ours(features, labels), theirs(features, labels)
    # theirs adds a small number inside of a logarithm (NT-Xent), or to a count (SupCon)
    torch.testing.assert_close(loss, expected.to(loss.dtype), rtol=1e-5, atol=1e-6)
    grad, expected_grad = (torch.autograd.grad(x, features)[0] for x in (loss, expected))
    torch.testing.assert_close(grad, expected_grad, rtol=1e-4, atol=1e-6)
    assert grad.abs().max() > 1e-3


def test_smooth_ap_where_theirs_is_right(generator) -> None:
    """Theirs takes an item for its own positive, and mixes up the sizes of its groups unless they are equal."""
    from pytorch_metric_learning import losses

    labels = torch.arange(4).repeat_interleave(4)
    features = torch.randn(16, 8, generator=generator, requires_grad=True)
    same = labels[:, None] == labels
    loss = reduce_anchors(smooth_ap_loss(cosine_similarities(features), same, ~same, temperature=0.05), "mean")
    expected = losses.SmoothAPLoss(temperature=0.05)(features, labels)
    torch.testing.assert_close(loss, expected)
    grads = [torch.autograd.grad(x, features)[0] for x in (loss, expected)]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-6)
    assert SmoothAPLoss(0.05)(features, labels) > loss, "oneself is the easiest one to find"


def test_info_nce(generator) -> None:
    from pytorch_metric_learning import losses

    a, b = torch.randn(2, 7, 5, dtype=torch.float64, generator=generator)
    expected = losses.SelfSupervisedLoss(losses.NTXentLoss(0.2), symmetric=False)(a, b)
    torch.testing.assert_close(InfoNCE(0.2, symmetric=False)(a, b), expected, rtol=1e-6, atol=1e-7)
