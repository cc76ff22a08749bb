"""What losses of pairs share: the losses of anchors, how they are reduced, and sums over some of the candidates."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from oml.errors import check
from oml.functional.losses.reduction import check_reduction
from oml.interfaces.masks import count_in_rows


class AnchorLosses(NamedTuple):
    """
    The losses of the anchors of a batch.

    `losses` (A,), 0 where an anchor has none; or (S, A) if the loss has S parts that are averaged apart. `exist` (A,),
    bool: which anchors have the candidates that the loss needs. `n_terms`, of the shape of `losses`: how many terms
    each loss sums, which is what the mean is taken over; None if it is one for each anchor that exists.
    """

    losses: Tensor
    exist: Tensor
    n_terms: Tensor | None = None


def reduce_anchors(anchor_losses: AnchorLosses, reduction: str) -> Tensor:
    """
    Give the mean loss over all terms, the sum, or the losses of the anchors (A,). Without terms the mean is 0.

    Raises:
        InvalidInputError: another reduction than "mean", "sum" or "none".

    Example:
        >>> losses = AnchorLosses(torch.tensor([3.0, 0.0, 1.0]), exist=torch.tensor([True, False, True]))
        >>> reduce_anchors(losses, "mean"), reduce_anchors(losses, "none")
        (tensor(2.), tensor([3., 0., 1.]))

    """
    check_reduction(reduction)
    losses, exist, n_terms = anchor_losses
    if reduction == "none":
        return losses if losses.ndim == 1 else losses.sum(dim=0)
    sums = losses.sum(dim=-1)
    if reduction == "mean":
        sums = sums / (exist if n_terms is None else n_terms).sum(dim=-1).clamp_min(1)
    return sums.sum()


def logsumexp_where(scores: Tensor, mask: Tensor) -> Tensor:
    """
    Give the log of the sum of the exponentials of those scores (A, C) that the mask (A, C) names: (A,).

    Of none it is the lowest finite number, and its gradient is 0. The gradient can not be differentiated again.

    Args:
        scores: (A, C).
        mask: bool (A, C).

    Example:
        >>> logsumexp_where(torch.tensor([[0.0, 0.0, 5.0]]), torch.tensor([[True, True, False]]))
        tensor([0.6931])

    """
    sums: Tensor = _LogSumExpWhere.apply(scores, mask)
    return sums


class _LogSumExpWhere(torch.autograd.Function):
    """
    By softmax, which is the gradient.

    On a processor it is ten times as fast as exponentials of numbers that are very low or give subnormal ones.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, mask: Tensor) -> Tensor:
        lowest = torch.finfo(scores.dtype).min
        filled = scores.masked_fill(~mask, lowest)
        if not scores.shape[1]:
            ctx.save_for_backward(filled, filled.sum(dim=1))
            return scores.new_full((len(scores),), lowest)
        highest = filled.amax(dim=1)
        shares = filled.softmax(dim=1)
        ctx.save_for_backward(shares, highest != lowest)
        # the largest share is 1 / sum of e^(score - highest)
        return highest - shares.amax(dim=1).log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        shares, exist = ctx.saved_tensors
        return shares * (grad * exist)[:, None], None


def mean_where(scores: Tensor, mask: Tensor) -> Tensor:
    """Give the mean of those scores (A, C) of each anchor that the mask (A, C) names: (A,); of none it is 0."""
    return scores.masked_fill(~mask, 0).sum(dim=1) / count_in_rows(mask).clamp_min(1)


def check_masks(scores: Tensor, positives: Tensor, negatives: Tensor) -> None:
    """
    Raise unless the scores (A, C) and both masks are of one shape.

    Raises:
        InvalidInputError: they are not.

    """
    check(
        scores.ndim == 2 and scores.shape == positives.shape == negatives.shape,
        f"The scores, positives and negatives must have one shape (A, C), got {tuple(scores.shape)}, "
        f"{tuple(positives.shape)} and {tuple(negatives.shape)}.",
    )
    check(
        positives.dtype == negatives.dtype == torch.bool,
        f"positives and negatives must be bool, got {positives.dtype} and {negatives.dtype}.",
    )
