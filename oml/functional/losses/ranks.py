"""Ranks that have a gradient: how many candidates are nearer to the anchor than a relevant one."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from oml.interfaces.masks import count_in_rows

# elements handled at once: few enough for the cache of a processor, many enough to fill an accelerator
CPU_BLOCK = 2**18
DEVICE_BLOCK = 2**24


def soft_ranks(targets: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """
    Give how many scores of an anchor are above each of its targets: (A, P), by sums of sigmoids.

    `rank[a, p] = sum over c of sigmoid((scores[a, c] - targets[a, p]) / temperature)`. A score that equals its target,
    such as the target itself, adds 1/2. The sigmoids (A, P, C) are made block by block, once for the values and again
    for the gradient, so memory is O(A * (P + C)). The gradient can not be differentiated again.

    Args:
        targets: (A, P).
        scores: (A, C); -inf where an anchor has no candidate.
        temperature: The lower it is, the nearer to the true rank; and the fewer scores get a gradient.

    Example:
        >>> soft_ranks(torch.tensor([[5.0, 1.0]]), torch.tensor([[5.0, 3.0, 1.0]]), temperature=0.01)
        tensor([[0.5000, 2.5000]])

    """
    ranks: Tensor = _SoftRanks.apply(targets, scores, temperature)
    return ranks


def take_relevant(scores: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    """
    Give the scores (A, P) of the relevant candidates, in any order, and which of the P places are taken.

    On a processor P is the largest number of relevant candidates that an anchor has. Elsewhere it is C: finding out
    would mean waiting for the device.

    Args:
        scores: (A, C).
        relevant: bool (A, C).

    Example:
        >>> take_relevant(torch.tensor([[5.0, 3.0, 1.0]]), torch.tensor([[False, True, False]]))
        (tensor([[3.]]), tensor([[True]]))

    """
    if scores.device.type != "cpu" or not scores.numel():
        return scores, relevant
    n_places = int(count_in_rows(relevant).max())
    if n_places == scores.shape[1]:
        return scores, relevant
    exist, ids = relevant.to(torch.uint8).topk(n_places, dim=1)
    return scores.gather(1, ids), exist.bool()


class _SoftRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, targets: Tensor, scores: Tensor, temperature: float) -> Tensor:
        targets, scores = targets / temperature, scores / temperature
        ranks = torch.empty_like(targets)
        for rows, columns in _list_blocks(targets, scores):
            differences = scores[rows, None, :] - targets[rows, columns, None]
            ranks[rows, columns] = differences.sigmoid_().sum(dim=2)
        ctx.save_for_backward(targets, scores)
        ctx.temperature = temperature
        return ranks

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        targets, scores = ctx.saved_tensors
        grad = grad / ctx.temperature
        grad_targets, grad_scores = torch.empty_like(targets), torch.zeros_like(scores)
        for rows, columns in _list_blocks(targets, scores):
            near = (scores[rows, None, :] - targets[rows, columns, None]).sigmoid_()
            slopes = near.addcmul_(near, near, value=-1)  # s * (1 - s)
            grad_targets[rows, columns] = slopes.sum(dim=2)
            with torch.autocast(grad.device.type, enabled=False):
                grad_scores[rows] += torch.bmm(grad[rows, None, columns], slopes)[:, 0]
        return grad_targets.mul_(grad).neg_(), grad_scores, None


def _list_blocks(targets: Tensor, scores: Tensor) -> list[tuple[slice, slice]]:
    """Give the rows and columns of the targets to be compared with all the scores at once."""
    (n_anchors, n_targets), n_scores = targets.shape, scores.shape[1]
    block = CPU_BLOCK if targets.device.type == "cpu" else DEVICE_BLOCK
    n_columns = max(1, min(n_targets, math.ceil(block / max(1, n_scores))))
    n_rows = max(1, block // max(1, n_columns * n_scores))
    return [
        (slice(row, row + n_rows), slice(column, column + n_columns))
        for row in range(0, n_anchors, n_rows)
        for column in range(0, n_targets, n_columns)
    ]
