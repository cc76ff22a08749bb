"""Distances between rows of features, with gradients that stay finite where the distance is 0."""

from typing import Any

import torch
from torch import Tensor

from oml.errors import check


def pairwise_dist(x1: Tensor, x2: Tensor, p: float = 2) -> Tensor:
    """
    Give the distance of each row of x1 (N, D) to each row of x2 (M, D): (N, M), in the Lp norm.

    For p = 2 the matrix comes from one matrix product, `|a - b|^2 = |a|^2 + |b|^2 - 2ab`, on features centred by the
    mean of x2 (distances do not change, rounding does). Its error is about `eps * |x|` for distant rows and grows to a
    few `sqrt(eps) * |x|` for nearly equal ones (1e-3 for unit vectors in float32): pass float64 features, or use
    `elementwise_dist`, where more is needed. The distance of a row to itself is exactly 0 when x1 and x2 are the same
    tensor. The gradient of a distance of 0 is 0. Half precision is computed, and given back, in float32, also inside
    autocast.

    Raises:
        InvalidInputError: an argument is not 2-D, or the widths differ.

    Example:
        >>> pairwise_dist(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0]]))
        tensor([[0.],
                [5.]])

    """
    check(
        x1.ndim == 2 and x2.ndim == 2,
        f"pairwise_dist takes two matrices (N, D) and (M, D), got shapes {tuple(x1.shape)} and {tuple(x2.shape)}.",
    )
    check(
        x1.shape[1] == x2.shape[1],
        f"pairwise_dist takes rows of one width, got {x1.shape[1]} (x1) and {x2.shape[1]} (x2) features.",
    )
    same = x1 is x2
    x1 = at_least_float32(x1)
    x2 = x1 if same else at_least_float32(x2)
    if p != 2:
        return torch.cdist(x1, x2, p=p)
    if x2.shape[0] == 0:
        with torch.autocast(x1.device.type, enabled=False):
            return x1 @ x2.T
    # a row with NaN or inf must spoil its own distances only
    centre = x2.detach().mean(dim=0).nan_to_num(0.0, 0.0, 0.0)
    x1_centred = x1 - centre
    distances: Tensor = _L2.apply(x1_centred, None if same else x2 - centre)
    return distances


def elementwise_dist(x1: Tensor, x2: Tensor, p: float = 2) -> Tensor:
    """
    Give the distance of each row of x1 (N, D) to the same row of x2 (N, D): (N,), in the Lp norm.

    It is computed from the differences, so near distances keep their digits. The gradient of a distance of 0 is 0. Half
    precision is computed, and given back, in float32.

    Raises:
        InvalidInputError: an argument is not 2-D, or the shapes differ.

    Example:
        >>> elementwise_dist(torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        tensor([5., 0.])

    """
    check(
        x1.ndim == 2 and x1.shape == x2.shape,
        f"elementwise_dist takes two matrices (N, D) of one shape, got {tuple(x1.shape)} and {tuple(x2.shape)}.",
    )
    distances: Tensor = torch.linalg.vector_norm(at_least_float32(x1) - at_least_float32(x2), ord=p, dim=1)
    return distances


def candidate_dist(x1: Tensor, x2: Tensor, ids: Tensor, bank: Tensor | None = None) -> Tensor:
    """
    Give the L2 distances of each row of x1 (A, D) to some rows of x2 (C, D): (A, K).

    Forward and backward take O(A * K * D), which for a few candidates is less than the backward pass of all distances.
    They are computed from the differences, so near distances keep their digits. The gradient of a distance of 0 is 0.
    Half precision is computed, and given back, in float32.

    Args:
        x1: Rows (A, D).
        x2: Rows (C, D).
        ids: Rows of x2 (A, K), int64; those from C on are rows of the bank.
        bank: More rows (M, D), which get no gradient.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> candidate_dist(x, x, ids=torch.tensor([[1, 2], [1, 0]]), bank=torch.tensor([[0.0, 1.0]]))
        tensor([[5., 1.],
                [0., 5.]])

    """
    same = x1 is x2
    others = None if same else at_least_float32(x2)
    bank = None if bank is None or len(bank) == 0 else at_least_float32(bank.detach())
    distances: Tensor = _CandidateL2.apply(at_least_float32(x1), others, ids, bank)
    return distances


def normalise(x: Tensor, p: float = 2, detach_norm: bool = False) -> Tensor:
    """
    Give the vectors of the last dimension of x divided by their Lp norms, in the dtype of x; zero vectors stay zero.

    Args:
        x: Features (..., D).
        p: The order of the norm.
        detach_norm: Take the norms as constants in the backward pass. By default the gradient is the true one.

    Example:
        >>> normalise(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])

    """
    wide = at_least_float32(x)
    norm = torch.linalg.vector_norm(wide, ord=p, dim=-1, keepdim=True)
    if detach_norm:
        norm = norm.detach()
    return (wide / torch.where(norm > 0, norm, 1)).to(x.dtype)


def at_least_float32(x: Tensor) -> Tensor:
    """Give float32 and float64 as they are, and everything else as float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


class _L2(torch.autograd.Function):
    """
    L2 distances of the rows of x1 (N, D) to the rows of x2 (M, D), or to those of x1 where x2 is None.

    The backward pass of the second case needs one product instead of two, and neither keeps anything but the distances.
    """

    @staticmethod
    def forward(ctx: Any, x1: Tensor, x2: Tensor | None) -> Tensor:
        with torch.autocast(x1.device.type, enabled=False):
            distances = x1 @ (x1 if x2 is None else x2).T
        # norms from the product itself, so that the diagonal and equal rows cancel to exactly 0
        squares1 = distances.diagonal().clone() if x2 is None else x1.square().sum(dim=1)
        squares2 = squares1 if x2 is None else x2.square().sum(dim=1)
        distances.mul_(-2).add_(squares1[:, None]).add_(squares2).clamp_min_(0).sqrt_()
        ctx.save_for_backward(x1, x2, distances)
        return distances

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x1, x2, distances = ctx.saved_tensors
        # grad / distance, and 0 where the distance is 0; on a processor arithmetic takes a third of the time of a mask
        weights = distances.sign()
        divisors = (1 - weights).add_(distances)
        weights = weights.mul_(grad).div_(divisors)
        grad1 = grad2 = None
        with torch.autocast(grad.device.type, enabled=False):
            if x2 is None:
                weights = weights.T.contiguous().add_(weights)  # five times as fast as adding columns to rows
                return torch.addmm(x1 * weights.sum(dim=1)[:, None], weights, x1, alpha=-1), None
            if ctx.needs_input_grad[0]:
                grad1 = torch.addmm(x1 * weights.sum(dim=1)[:, None], weights, x2, alpha=-1)
            if ctx.needs_input_grad[1]:
                grad2 = torch.addmm(x2 * weights.sum(dim=0)[:, None], weights.T, x1, alpha=-1)
        return grad1, grad2


class _CandidateL2(torch.autograd.Function):
    """L2 distances of the rows of x1 (A, D) to chosen rows of x2 (C, D), or of x1 where x2 is None, or of a bank."""

    @staticmethod
    def forward(ctx: Any, x1: Tensor, x2: Tensor | None, ids: Tensor, bank: Tensor | None) -> Tensor:
        differences = _subtract_rows(x1, x2, ids, bank)
        distances: Tensor = torch.linalg.vector_norm(differences, dim=2)
        ctx.save_for_backward(x1, x2, ids, bank, distances, differences)
        return distances

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x1, x2, ids, bank, distances, differences = ctx.saved_tensors
        is_apart = distances.sign()
        weights = grad * is_apart / (distances + (1 - is_apart))
        if torch.is_grad_enabled():  # to be differentiated again
            differences = _subtract_rows(x1, x2, ids, bank)
        grads = differences * weights[:, :, None]
        grad1, flat, others = grads.sum(dim=1), ids.flatten(), grads.flatten(0, 1)
        n_rows = len(x1 if x2 is None else x2)
        if bank is not None:
            others = torch.where((flat < n_rows)[:, None], others, 0)
            flat = flat.clamp_max(n_rows - 1)
        if x2 is None:
            return grad1.index_add(0, flat, others, alpha=-1), None, None, None
        return grad1, torch.zeros_like(x2).index_add(0, flat, others, alpha=-1), None, None


def _subtract_rows(x1: Tensor, x2: Tensor | None, ids: Tensor, bank: Tensor | None) -> Tensor:
    """Give the differences (A, K, D)."""
    x2, flat = x1 if x2 is None else x2, ids.flatten()
    if bank is None:
        rows = x2.index_select(0, flat)
    else:
        banked = bank.index_select(0, (flat - len(x2)).clamp_min(0))
        rows = torch.where((flat < len(x2))[:, None], x2.index_select(0, flat.clamp_max(len(x2) - 1)), banked)
    return x1[:, None] - rows.view(*ids.shape, x1.shape[1])
