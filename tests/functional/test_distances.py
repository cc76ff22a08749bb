import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oml.errors import InvalidInputError
from oml.functional.distances import elementwise_dist, normalise, pairwise_dist


def pairwise_by_loop(x1: Tensor, x2: Tensor, p: float) -> Tensor:
    rows = [[sum(abs(float(a) - float(b)) ** p for a, b in zip(r1, r2, strict=True)) for r2 in x2] for r1 in x1]
    return torch.tensor(rows, dtype=torch.float64).reshape(len(x1), len(x2)) ** (1 / p)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (1, 1), (4, 7), (40, 30)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_pairwise_dist_equals_loop(generator, n: int, m: int, p: float, dtype: torch.dtype) -> None:
    x1 = torch.randn(n, 5, generator=generator).to(dtype)
    x2 = torch.randn(m, 10, generator=generator).to(dtype)[:, ::2]  # not contiguous
    distances = pairwise_dist(x1, x2, p)
    assert distances.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    # half precision is widened first, so that only float32 rounding remains
    torch.testing.assert_close(distances.double(), pairwise_by_loop(x1, x2, p), atol=1e-5, rtol=1e-5)


def test_none_are_as_wide_inside_autocast() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        distances = pairwise_dist(x, x[:0])
    assert (distances.dtype, distances.shape, distances.requires_grad) == (torch.float32, (2, 0), True)


def test_rows_that_are_equal_are_at_distance_zero(generator) -> None:
    x = normalise(torch.randn(64, 384, generator=generator))
    x[32:] = x[:32]
    distances = pairwise_dist(x, x)
    assert torch.equal(distances.diagonal(), torch.zeros(64))
    # equal rows may differ in the last bit of the product: sqrt(eps) remains
    assert distances.diagonal(32).max() < 1e-3


def test_a_common_offset_does_not_eat_the_digits(generator) -> None:
    x = torch.randn(50, 16, generator=generator)
    expected = pairwise_dist(x.double(), x.double())
    shifted = x + 100.0
    torch.testing.assert_close(pairwise_dist(shifted, shifted).double(), expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("same", [True, False])
def test_gradients_by_finite_differences(generator, same: bool) -> None:
    x1 = torch.randn(6, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    x2 = torch.randn(5, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    upper = torch.ones(6, 6, dtype=torch.bool).triu(1)  # on the diagonal there is no derivative
    if same:
        assert torch.autograd.gradcheck(lambda x: pairwise_dist(x, x)[upper], (x1,))
        assert torch.autograd.gradgradcheck(lambda x: pairwise_dist(x, x)[upper], (x1,))
    else:
        assert torch.autograd.gradcheck(pairwise_dist, (x1, x2))
        assert torch.autograd.gradgradcheck(pairwise_dist, (x1, x2))
        assert torch.autograd.gradcheck(pairwise_dist, (x1, x2.detach()))
        assert torch.autograd.gradcheck(pairwise_dist, (x1.detach(), x2))


@pytest.mark.parametrize("p", [1, 2, 3])
def test_gradients_at_distance_zero_are_zero(p: float) -> None:
    x = torch.ones(4, 3, requires_grad=True)
    (
        pairwise_dist(x, x, p).sum() + pairwise_dist(x, x.clone(), p).sum() + elementwise_dist(x, x.clone(), p).sum()
    ).backward()
    assert torch.equal(x.grad, torch.zeros(4, 3))


def test_a_broken_row_spoils_only_its_own_distances(generator) -> None:
    x = torch.randn(5, 3, generator=generator)
    x[2] = math.nan
    is_nan = pairwise_dist(x, x).isnan()
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[2], expected[:, 2] = True, True
    assert torch.equal(is_nan, expected)


def test_autocast_computes_in_float32(generator) -> None:
    x = torch.randn(8, 32, generator=generator, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        distances = pairwise_dist(x, x)
        distances.sum().backward()
    assert torch.equal(distances, pairwise_dist(x, x))
    inside, x.grad = x.grad, None
    pairwise_dist(x, x).sum().backward()
    assert torch.equal(inside, x.grad)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 6))
def test_pairwise_dist_is_a_metric(seed: int, n: int, d: int) -> None:
    x = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    distances = pairwise_dist(x, x)
    torch.testing.assert_close(distances, distances.T)
    assert (distances[:, :, None] <= distances[:, None, :] + distances.T[None] + 1e-6).all()
    torch.testing.assert_close(distances[0], elementwise_dist(x[:1].expand(n, d), x), atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_elementwise_dist_equals_loop(generator, n: int, p: float) -> None:
    x1, x2 = torch.randn(2, n, 4, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(elementwise_dist(x1, x2, p), pairwise_by_loop(x1, x2, p).diagonal())


def test_elementwise_dist_keeps_the_digits_of_near_rows() -> None:
    x = torch.full((1, 8), 1000.0)
    assert elementwise_dist(x, x + 2**-10).item() == pytest.approx(2**-10 * math.sqrt(8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_normalise_gives_unit_rows_and_keeps_zeros(generator, dtype: torch.dtype) -> None:
    x = torch.randn(3, 4, 5, generator=generator).to(dtype)
    x[1, 1] = 0
    norms = torch.linalg.vector_norm(normalise(x).float(), dim=-1)
    expected = torch.ones(3, 4)
    expected[1, 1] = 0
    assert normalise(x).dtype == dtype
    torch.testing.assert_close(norms, expected, atol=1e-3 if dtype == torch.float16 else 1e-6, rtol=0)


def test_normalise_gradient_is_the_true_one_or_with_a_constant_norm() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: normalise(v[:1]), (x,))
    normalise(x, detach_norm=True).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[0.2, 0.2], [1.0, 1.0]], dtype=torch.float64))


def test_errors_show_the_shapes() -> None:
    with pytest.raises(InvalidInputError, match=r"two matrices .* got shapes \(3,\) and \(3, 2\)"):
        pairwise_dist(torch.ones(3), torch.ones(3, 2))
    with pytest.raises(InvalidInputError, match=r"one width, got 4 \(x1\) and 2 \(x2\)"):
        pairwise_dist(torch.ones(3, 4), torch.ones(3, 2))
    with pytest.raises(InvalidInputError, match=r"of one shape, got \(3, 4\) and \(2, 4\)"):
        elementwise_dist(torch.ones(3, 4), torch.ones(2, 4))
