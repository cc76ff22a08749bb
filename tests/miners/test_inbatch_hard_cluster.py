import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.losses import TripletLossWithMiner
from oml.miners import HardClusterMiner
from tests.reference.miners import list_hard_cluster_triplets_by_loop


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(3, 5), st.integers(0, 1000), st.booleans())
def test_triplets_and_gradients_equal_loop(n_labels: int, n_instances: int, seed: int, as_tensor: bool) -> None:
    # of two items both are equally far from their mean
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(n_labels) * 3 - 4).repeat(n_instances)[
        torch.randperm(n_labels * n_instances, generator=generator)
    ]
    features = torch.randn(len(labels), 4, dtype=torch.float64, generator=generator, requires_grad=True)
    triplets = HardClusterMiner().sample(features, labels if as_tensor else labels.tolist())
    expected = list_hard_cluster_triplets_by_loop(features, labels.tolist())
    weights = torch.randn(3, n_labels, 4, dtype=torch.float64, generator=generator)
    grads = []
    for parts in (triplets, [torch.stack(part) for part in zip(*expected, strict=True)]):
        features.grad = None
        sum((part * weight).sum() for part, weight in zip(parts, weights, strict=True)).backward()
        grads.append(features.grad)
        for part, first in zip(parts, triplets, strict=True):
            torch.testing.assert_close(part, first)
    torch.testing.assert_close(*grads)


def test_documented_parts() -> None:
    mask = HardClusterMiner()._get_labels_mask([7, 3, 7])
    assert mask.tolist() == [[False, True, False], [True, False, True]]
    embeddings = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])
    found = HardClusterMiner()._count_intra_label_distances(embeddings, torch.zeros(1, 2))
    assert found.tolist() == [[0.0, 25.0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    features = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    labels = [0, 1, 2] * 4
    loss = TripletLossWithMiner(0.5, HardClusterMiner())(features, labels)
    half = features.to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = TripletLossWithMiner(0.5, HardClusterMiner())(half, labels)
    found.backward()
    assert found.dtype == torch.float32
    assert half.grad.isfinite().all()
    torch.testing.assert_close(found, loss, rtol=0.05, atol=0)  # the features have 8 bits


def test_equal_items_are_fine() -> None:
    features = torch.ones(6, 2, requires_grad=True)
    loss = TripletLossWithMiner(0.5, HardClusterMiner())(features, [0, 0, 1, 1, 2, 2])
    loss.backward()
    assert loss == 0.5
    assert torch.equal(features.grad, torch.zeros(6, 2))


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0, 0, 1, 1, 1], r"same number of items, got 2, 3\. Use BalanceSampler"),
        ([0, 0, 0], r"at least two labels with at least two items each, got 1 with 3"),
        ([0, 1, 2], r"got 3 with 1"),
        ([], "got an empty batch"),
    ],
)
def test_errors(labels: list[int], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        HardClusterMiner().sample(torch.zeros(len(labels), 2), labels)


def test_errors_of_labels() -> None:
    with pytest.raises(ValueError, match=r"features of the shape \(4, 2\) and 3 labels"):
        HardClusterMiner().sample(torch.zeros(4, 2), [0, 0, 1])
    with pytest.raises(TypeError, match="tensor or a list, got tuple"):
        HardClusterMiner().sample(torch.zeros(2, 2), (0, 0))
