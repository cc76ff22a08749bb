import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.similarities import cosine_similarities


@pytest.mark.parametrize(("n", "m"), [(0, 0), (1, 1), (4, 0), (4, 6)])
def test_value_and_gradient(generator, n: int, m: int) -> None:
    a = torch.randn(n, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    b = torch.randn(m, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    expected = torch.nn.functional.cosine_similarity(a[:, None], b, dim=2)
    torch.testing.assert_close(cosine_similarities(a, b), expected)
    within = cosine_similarities(a)
    torch.testing.assert_close(within, torch.nn.functional.cosine_similarity(a[:, None], a, dim=2))
    if n:
        assert torch.autograd.gradcheck(cosine_similarities, (a,))
        assert torch.autograd.gradcheck(cosine_similarities, (a, b))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_float32_at_least_also_under_autocast(generator, dtype: torch.dtype) -> None:
    x = torch.randn(5, 3, generator=generator).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        both = cosine_similarities(x), cosine_similarities(x, x.clone())
    for found in both:
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, cosine_similarities(x.detach().double()).float())
        assert torch.autograd.grad(found.sum(), x)[0].dtype == dtype


def test_zero_vectors_have_no_direction() -> None:
    x = torch.zeros(3, 4, requires_grad=True)
    for found in (cosine_similarities(x), cosine_similarities(x, torch.ones(2, 4))):
        assert not found.any()
        assert torch.autograd.grad(found.sum(), x)[0].isfinite().all()


def test_errors() -> None:
    with pytest.raises(InvalidInputError, match=r"of one width, got the shapes \[\(2, 3\), \(2, 4\)\]"):
        cosine_similarities(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(InvalidInputError, match=r"got the shapes \[\(3,\)\]"):
        cosine_similarities(torch.zeros(3))
