import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.losses import ranks as module
from oml.functional.losses import surrogate_precision
from oml.functional.losses.ranks import soft_ranks, take_relevant
from oml.functional.metrics import calc_precision
from tests.reference.surrogate_precision import calc_surrogate_precision_by_loop

SHAPES = [(0, 0), (1, 0), (1, 1), (1, 7), (5, 9)]


@pytest.fixture(params=["one block", "small blocks"], autouse=True)
def _blocks(request, monkeypatch) -> None:
    monkeypatch.setattr(module, "CPU_BLOCK", 2**16 if request.param == "one block" else 6)


def make(shape: tuple[int, int], generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    distances = torch.rand(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    return distances, torch.rand(shape, generator=generator) < 0.4


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("places", ["taken", "all"])
def test_value_and_gradient_equal_loop(generator, monkeypatch, shape: tuple[int, int], k: int, places: str) -> None:
    if places == "all":  # what devices other than a processor do
        monkeypatch.setattr("oml.functional.losses.precision.take_relevant", lambda *masks: masks)
    distances, relevant = make(shape, generator)
    precisions = surrogate_precision(distances, relevant, k, 0.7, 0.2, reduction="none")
    precisions.square().sum().backward()
    grad, distances.grad = distances.grad, None
    expected = calc_surrogate_precision_by_loop(distances, relevant, k, 0.7, 0.2)
    expected.square().sum().backward()
    torch.testing.assert_close(precisions, expected)
    torch.testing.assert_close(grad, distances.grad)


def test_gradient_by_finite_differences(generator) -> None:
    distances, relevant = make((4, 6), generator)
    assert torch.autograd.gradcheck(lambda d: surrogate_precision(d, relevant, 2, 1.0, 0.1), (distances,))
    targets = torch.rand(4, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t, s: soft_ranks(t, s, 0.3), (targets, distances))


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_with_small_temperatures_it_is_the_metric(generator, k: int) -> None:
    distances, relevant = make((30, 12), generator)
    relevant[:, 0] = True  # the metric has no value for a query without anything relevant
    expected = calc_precision(
        [row[order] for row, order in zip(relevant, distances.argsort(dim=1), strict=True)],
        relevant.sum(dim=1).tolist(),
        top_k=(k,),
    )[0]
    precisions = surrogate_precision(distances, relevant, k, 1e-4, 1e-6, reduction="none")
    torch.testing.assert_close(precisions.detach().float(), expected, atol=1e-4, rtol=0)  # a distance apart of 1e-5
    assert surrogate_precision(distances, relevant, k, 1e-4, 1e-6).item() == pytest.approx(expected.mean().item(), 1e-3)
    assert surrogate_precision(distances, relevant, k, 1e-4, 1e-6, "sum").item() == pytest.approx(
        expected.sum().item(), 1e-3
    )


def test_ties_halve_a_rank() -> None:
    ranks = soft_ranks(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0, 2.0, -torch.inf]]), 1e-3)
    assert ranks.tolist() == [[2.0, 0.5]]


def test_half_precision_is_computed_in_float32(generator) -> None:
    distances = torch.rand(4, 6, generator=generator).half().requires_grad_()
    relevant = torch.rand(4, 6, generator=generator) < 0.5
    precision = surrogate_precision(distances, relevant, 2, 1.0, 0.01)
    precision.backward()
    assert precision.dtype == torch.float32
    assert precision.item() == surrogate_precision(distances.detach().float(), relevant, 2, 1.0, 0.01).item()
    assert distances.grad.isfinite().all()


def test_as_many_numbers_as_queries(generator) -> None:
    distances, relevant = make((3, 6), generator)
    each = [surrogate_precision(distances[[q]], relevant[[q]], q + 1, 1.0, 0.1) for q in range(3)]
    found = surrogate_precision(distances, relevant, torch.arange(1, 4), 1.0, 0.1, reduction="none")
    torch.testing.assert_close(found, torch.stack(each))


def test_relevant_scores_are_taken() -> None:
    scores = torch.tensor([[5.0, 3.0, 1.0], [7.0, 8.0, 9.0]])
    taken, exist = take_relevant(scores, torch.tensor([[True, False, True], [False, False, False]]))
    assert sorted(taken[0].tolist()) == [1.0, 5.0]
    assert exist.tolist() == [[True, True], [False, False]]


def test_errors() -> None:
    distances, relevant = torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(InvalidInputError, match="k must be above 0, got 0"):
        surrogate_precision(distances, relevant, 0, 1.0, 1.0)
    with pytest.raises(InvalidInputError, match="t2 must be above 0, got -1"):
        surrogate_precision(distances, relevant, 1, 1.0, -1)
    with pytest.raises(InvalidInputError, match=r"one shape \(Q, G\), got \(2, 3\) and \(2, 2\)"):
        surrogate_precision(distances, relevant[:, :2], 1, 1.0, 1.0)
    with pytest.raises(InvalidInputError, match="one of mean, sum, none, got 'max'"):
        surrogate_precision(distances, relevant, 1, 1.0, 1.0, "max")
