"""Triplet loss of semi-hard triplets, without lists of triplets."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from oml.errors import check
from oml.functional.distances import at_least_float32
from oml.functional.losses.anchors import AnchorLosses, check_masks
from oml.functional.losses.ranks import take_relevant
from oml.functional.triplets import has_few_slots, split_anchors
from oml.interfaces.masks import any_in_rows


def semi_hard_triplet_loss(distances: Tensor, positives: Tensor, negatives: Tensor, margin: float) -> AnchorLosses:
    """
    Give the sum of `margin + d_p - d_n` over the semi-hard triplets of each anchor, `d_p < d_n < d_p + margin`.

    "FaceNet" (Schroff et al. 2015), section 3.2, equation 4, with distances not squared and with all the semi-hard
    negatives of a positive rather than one of them. Those that are nearer than the positive are left out: they pull a
    model that has just begun to learn towards one point. The terms are the semi-hard triplets; an anchor needs a
    positive and a negative.

    Few positives of an anchor are compared with all its negatives, for many these are sorted once: time is at most
    O(A * C * log C), memory O(A * C). The gradient is computed in the forward pass and can not be differentiated again.
    Half precision is computed in float32.

    Args:
        distances: (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        margin: Above 0.

    Raises:
        InvalidInputError: the margin is not above 0, the shapes differ, or the masks are not bool.

    Example:
        >>> positives = torch.tensor([[True, False, False, False]])
        >>> semi_hard_triplet_loss(torch.tensor([[1.0, 0.5, 1.25, 9.0]]), positives, ~positives, margin=0.5).losses
        tensor([0.2500])

    """
    check_masks(distances, positives, negatives)
    check(margin > 0, f"margin must be above 0, got {margin}.")
    distances = at_least_float32(distances)
    near, is_positive = take_relevant(distances, positives)
    near = near.masked_fill(~is_positive, -math.inf)
    far = distances.masked_fill(~negatives, math.inf)
    losses, n_terms = _SumOverSemiHard.apply(near, far, margin)
    return AnchorLosses(losses, any_in_rows(positives) & any_in_rows(negatives), n_terms)


class _SumOverSemiHard(torch.autograd.Function):
    """Takes distances to positives (A, P) and negatives (A, Q), -inf and inf where there are fewer."""

    @staticmethod
    def forward(ctx: Any, near: Tensor, far: Tensor, margin: float) -> tuple[Tensor, Tensor]:
        calc_sums = _sum_by_slots if has_few_slots(near) else _sum_by_sorting
        losses, counts, grad_far = calc_sums(near, far, margin)
        ctx.save_for_backward(counts, grad_far)
        n_terms = counts.long().sum(dim=1)
        ctx.mark_non_differentiable(n_terms)
        return losses, n_terms

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_near, grad_far = ctx.saved_tensors
        return grad_near * grad[:, None], grad_far * grad[:, None], None


def _sum_by_slots(near: Tensor, far: Tensor, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    """
    Compare the first positive of every anchor with its negatives, then the second one, and so on.

    Gives the losses (A,), how many semi-hard negatives each positive has (A, P), and the gradient of the negatives.
    """
    numbers = torch.finfo(far.dtype)
    limits = (near + margin).clamp_min(numbers.min)  # of an empty place: finite, so that no times it is 0
    # sums are taken from the largest limit on, or their difference would lose the digits of a small loss
    centres = limits.amax(dim=1, keepdim=True) if limits.shape[1] else limits.sum(dim=1, keepdim=True)
    counts = torch.zeros_like(limits)
    grad_far = torch.zeros_like(far, memory_format=torch.contiguous_format)
    losses = near.new_empty(len(far))
    for rows in split_anchors(far):
        negatives, slopes = far[rows], grad_far[rows]
        is_taken, is_within = torch.empty_like(slopes), torch.empty_like(slopes)
        for slot in range(limits.shape[1]):
            torch.gt(negatives, near[rows, slot, None], out=is_taken)
            is_taken *= torch.lt(negatives, limits[rows, slot, None], out=is_within)
            torch.sum(is_taken, dim=1, out=counts[rows, slot])
            slopes -= is_taken
        losses[rows] = (
            torch.sub(negatives, centres[rows], out=is_within).clamp_max_(numbers.max).mul_(slopes).sum(dim=1)
        )
    losses += ((limits - centres) * counts).sum(dim=1)
    return losses, counts, grad_far


def _sum_by_sorting(near: Tensor, far: Tensor, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    """With the negatives sorted, those of a positive are a range: their number times the limit less their sum."""
    sorted_far, order = far.contiguous().sort(dim=1)
    near = near.contiguous()
    # from the first one that is farther than the positive to the last one within the margin
    starts = torch.searchsorted(sorted_far, near, right=True)
    ends = torch.maximum(torch.searchsorted(sorted_far, near + margin), starts)
    counts = ends - starts
    # in float64, or the difference of two long sums would lose the digits of a short one
    sums = pad(sorted_far.masked_fill(sorted_far == math.inf, 0).cumsum(dim=1, dtype=torch.float64), (1, 0))
    limits = (near + margin).masked_fill(counts == 0, 0)
    losses = counts * limits.double() - (sums.gather(1, ends) - sums.gather(1, starts))

    steps = torch.zeros_like(sums, dtype=near.dtype)
    ones = torch.ones_like(near)
    steps.scatter_add_(1, starts, ones).scatter_add_(1, ends, -ones)
    grad_far = torch.zeros_like(far).scatter_(1, order, -steps.cumsum(dim=1)[:, :-1])
    # sorting would hide what is not a number
    is_spoiled = near.isnan().any(dim=1) | far.isnan().any(dim=1)
    return losses.sum(dim=1).to(near.dtype).masked_fill(is_spoiled, math.nan), counts.to(near.dtype), grad_far
