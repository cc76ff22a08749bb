import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oml.errors import InvalidInputError
from oml.functional import triplets as module
from oml.functional.losses import get_reduced
from oml.functional.triplets import find_positives_and_negatives, list_triplets, sum_triplet_loss, triplet_loss
from tests.reference.triplets import list_triplets_by_loop

BATCHES = [[], [3], [1, 1], [1, 2], [1, 2, 3], [1, 1, 2], [5, 3, 5, 5, 3, 9], [0] * 15 + [1] * 4]


@pytest.fixture(params=["slots", "sorting", "small blocks", "big blocks"])
def way(request, monkeypatch) -> str:
    """Each way to walk over the triplets must give the same."""
    if request.param == "slots":
        monkeypatch.setattr(module, "CPU_SLOTS", 10**6)
    if request.param == "sorting":
        monkeypatch.setattr(module, "CPU_SLOTS", 0)
    if request.param == "small blocks":
        monkeypatch.setattr(module, "CPU_SLOTS", 10**6)
        monkeypatch.setattr(module, "CPU_BLOCK", 5)
    if request.param == "big blocks":
        monkeypatch.setattr(module, "CPU_BLOCK", module.DEVICE_BLOCK)
    return request.param


@pytest.fixture(params=["squeezed", "not squeezed"])
def squeezing(request, monkeypatch) -> None:
    """Elsewhere than on the processor the empty places stay, because counting them would mean waiting."""
    if request.param == "not squeezed":
        monkeypatch.setattr(module, "_squeeze_slots", lambda near: near)


def split(distances: Tensor, labels: list[int]) -> tuple[Tensor, Tensor]:
    positives, negatives = find_positives_and_negatives(torch.tensor(labels))
    return torch.where(positives, distances, -math.inf), torch.where(negatives, distances, math.inf)


@pytest.mark.parametrize("margin", [0.3, None])
@pytest.mark.parametrize("labels", BATCHES, ids=str)
@pytest.mark.usefixtures("way", "squeezing")
def test_sum_and_gradient_equal_loop(generator, labels: list[int], margin: float | None) -> None:
    distances = torch.rand(len(labels), len(labels), dtype=torch.float64, generator=generator, requires_grad=True)
    loss, n_active = sum_triplet_loss(*split(distances, labels), margin)
    (loss * 2).backward()
    grad, distances.grad = distances.grad, None

    terms = [triplet_loss(distances[a, p], distances[a, q], margin) for a, p, q in list_triplets_by_loop(labels)]
    expected = torch.stack(terms).sum() if terms else distances.sum() * 0
    (expected * 2).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grad, distances.grad)
    assert n_active == sum(term.item() > 0 for term in terms)


@pytest.mark.usefixtures("way")
def test_ties_and_the_kink_have_no_slope() -> None:
    near = torch.tensor([[1.0, 1.0, 0.5]], requires_grad=True)
    far = torch.tensor([[1.5, 1.5, 1.25, math.inf]], requires_grad=True)
    loss, n_active = sum_triplet_loss(near, far, margin=0.5)  # 1.0 + 0.5 - 1.5 is exactly at the kink
    loss.backward()
    assert (loss.item(), n_active.item()) == (0.5, 2)
    assert near.grad.tolist() == [[1.0, 1.0, 0.0]]
    assert far.grad.tolist() == [[0.0, 0.0, -2.0, 0.0]]


@pytest.mark.parametrize("margin", [0.3, None])
def test_gradient_by_finite_differences(generator, margin: float | None) -> None:
    near, far = (torch.rand(4, n, dtype=torch.float64, generator=generator, requires_grad=True) for n in (3, 5))
    assert torch.autograd.gradcheck(lambda a, b: sum_triplet_loss(a, b, margin)[0], (near, far))


def test_second_derivatives_are_right_or_refused(generator) -> None:
    x = torch.rand(4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: sum_triplet_loss(x[:, :2] ** 3, x[:, 2:] ** 2, 0.3)[0], (x,))
    with pytest.raises(RuntimeError, match=r"no second derivative here .* reduction='none'"):
        torch.autograd.grad(sum_triplet_loss(x[:, :2], x[:, 2:], None)[0], x, create_graph=True)


@pytest.mark.parametrize("way", ["slots", "sorting"])
def test_a_broken_distance_breaks_the_sum(monkeypatch, way: str) -> None:
    monkeypatch.setattr(module, "CPU_SLOTS", {"slots": 100, "sorting": 0}[way])
    distances = torch.rand(4, 4)
    distances[1], distances[:, 1] = math.nan, math.nan
    assert sum_triplet_loss(*split(distances, [0, 0, 1, 1]), margin=0.1)[0].isnan()


def test_many_triplets_keep_the_digits(generator) -> None:
    """40 million triplets: more than float32 can count by ones."""
    distances = torch.rand(700, 700, generator=generator) + 10
    labels = [i % 6 for i in range(700)]
    near, far = split(distances, labels)
    loss, n_active = sum_triplet_loss(near, far, margin=5.0)
    n_positives, n_negatives = (near > -math.inf).sum(1), (far < math.inf).sum(1)
    n_triplets = (n_positives * n_negatives).sum().item()
    # with so big a margin all are active, and the sum is linear in the distances
    finite_near, finite_far = near.double().clamp_min(0), torch.where(far == math.inf, 0, far).double()
    expected = (finite_near.sum(1) * n_negatives - finite_far.sum(1) * n_positives).sum() + 5.0 * n_triplets
    assert n_active.item() == n_triplets > 2**24
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_small_loss_of_large_distances_keeps_the_digits(generator) -> None:
    near, far = (100 + torch.rand(64, n, generator=generator) for n in (3, 500))
    terms = near.double()[:, :, None] + 0.5 - far.double()[:, None]
    expected = terms.clamp_min(0).sum().item()
    near[0], far[:, 7] = -math.inf, math.inf
    expected -= terms[0].clamp_min(0).sum().item() + terms[1:, :, 7].clamp_min(0).sum().item()
    assert sum_triplet_loss(near, far, margin=0.5)[0].item() == pytest.approx(expected, rel=3e-7)


def test_the_soft_margin_does_not_overflow() -> None:
    near, far = torch.tensor([[1000.0]], requires_grad=True), torch.tensor([[0.0]])
    loss, _ = sum_triplet_loss(near, far, None)
    loss.backward()
    assert (loss.item(), near.grad.item()) == (1000.0, 1.0)
    assert triplet_loss(torch.tensor([1000.0], dtype=torch.float16), torch.tensor([0.0]), None).item() == 1000.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12))
def test_listed_triplets_are_all_there_once(labels: list[int]) -> None:
    masks = find_positives_and_negatives(torch.tensor(labels))
    ids = list_triplets(*masks)
    expected = list_triplets_by_loop(labels)
    assert list(zip(*(t.tolist() for t in ids), strict=True)) == expected
    counts = torch.tensor(labels, dtype=torch.long).bincount().tolist()
    assert len(expected) == sum(n * (n - 1) * (len(labels) - n) for n in counts)
    if expected:
        chosen = torch.arange(len(expected)).flip(0)[::2]
        some = list_triplets(*masks, chosen=chosen)
        assert list(zip(*(t.tolist() for t in some), strict=True)) == [expected[i] for i in chosen.tolist()]


def test_get_reduced() -> None:
    losses = torch.tensor([1.0, 3.0])
    assert get_reduced(losses, "mean") == 2
    assert get_reduced(losses, "sum") == 4
    assert get_reduced(losses, "none") is losses
    assert get_reduced(losses[:0], "mean") == get_reduced(losses[:0], "sum") == 0
    with pytest.raises(InvalidInputError, match="one of mean, sum, none, got 'max'"):
        get_reduced(losses, "max")
