import pytest
import torch

from oml.functional.distances import candidate_dist, elementwise_dist

IDS = torch.tensor([[0, 4, 2], [5, 1, 1], [3, 6, 0]])


def make(dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x1, x2, bank = (torch.randn(n, 5, dtype=dtype, generator=generator) for n in (3, 4, 3))
    return x1.requires_grad_(), x2.requires_grad_(), bank


def test_distances_and_gradients_equal_loop() -> None:
    x1, x2, bank = make()
    known = torch.cat([x2, bank])
    expected = torch.stack([elementwise_dist(x1, known[IDS[:, k]]) for k in range(3)], dim=1)
    found = candidate_dist(x1, x2, IDS, bank)
    torch.testing.assert_close(found, expected)
    weights = torch.arange(1.0, 10, dtype=torch.float64).view(3, 3)
    for mine, other in zip(
        *(torch.autograd.grad((d * weights).sum(), (x1, x2)) for d in (found, expected)), strict=True
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("with_bank", [True, False])
def test_gradients_by_finite_differences(same: bool, with_bank: bool) -> None:
    x1, x2, bank = make()
    ids = torch.tensor([[1, 2], [0, 5 if with_bank else 2], [1, 0]])

    def calc(x1, x2):
        return candidate_dist(x1, x1 if same else x2, ids, bank if with_bank else None)

    assert torch.autograd.gradcheck(calc, (x1, x2.detach() if same else x2))
    assert torch.autograd.gradgradcheck(calc, (x1, x2.detach() if same else x2))


def test_equal_rows_and_sizes_0_and_1() -> None:
    x = torch.ones(3, 2, requires_grad=True)
    distances = candidate_dist(x, x, torch.tensor([[0], [2], [1]]))
    distances.sum().backward()
    assert torch.equal(distances, torch.zeros(3, 1))
    assert torch.equal(x.grad, torch.zeros(3, 2))
    none = torch.empty(0, 2, dtype=torch.long)
    assert candidate_dist(x[:0], x[:0], none).shape == (0, 2)
    assert candidate_dist(x, x, torch.empty(3, 0, dtype=torch.long)).shape == (3, 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    x1, x2, bank = (x.detach().to(dtype).requires_grad_() for x in make())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        distances = candidate_dist(x1, x2, IDS, bank)
    distances.sum().backward()
    assert distances.dtype == torch.float32
    assert x1.grad.dtype == x2.grad.dtype == dtype
    assert bank.grad is None
