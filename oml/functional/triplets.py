"""
Triplets of a batch without lists of triplets.

Each positive of an anchor together with each of its negatives is a triplet, so the distances to the positives (A, P)
and to the negatives (A, Q) say everything. The loss is summed by walking over the positives of all anchors at once, or,
for the hinge with many positives, by sorting the negatives: memory is O(A * (P + Q)), however many triplets there are.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from oml.functional.distances import candidate_dist
from oml.interfaces.masks import count_in_rows
from oml.interfaces.miners import TripletCandidates, TripletDistances

# beyond so many positives per anchor sorting is faster (measured for batches of 256 to 1024 on a processor)
CPU_SLOTS = 96
DEVICE_SLOTS = 12
# so many items make the backward pass of all distances as long as that of one candidate (measured at B = 64 to 1024)
ITEMS_PER_CANDIDATE = 64
# elements handled at once: few enough for the cache of a processor, many enough to fill an accelerator
CPU_BLOCK = 2**18
DEVICE_BLOCK = 2**24


def triplet_loss(positive_distances: Tensor, negative_distances: Tensor, margin: float | None) -> Tensor:
    """
    Give the loss of each triplet, (T,), from its two distances, (T,) each.

    It is `max(0, margin + d_ap - d_an)`, FaceNet (Schroff et al. 2015), equation 3, with distances not squared; or
    the soft margin `log(1 + exp(d_ap - d_an))` of "In defense of the triplet loss" (Hermans et al. 2017), section 2,
    if the margin is None. The soft one is computed without overflow.

    Example:
        >>> triplet_loss(torch.tensor([1.0, 1.0]), torch.tensor([0.5, 3.0]), margin=0.25)
        tensor([0.7500, 0.0000])

    """
    difference = positive_distances - negative_distances
    return softplus(difference) if margin is None else torch.relu(margin + difference)


def find_positives_and_negatives(labels: Tensor) -> tuple[Tensor, Tensor]:
    """
    Give which items have the same label, without the item itself, and which another one: two masks (B, B).

    Example:
        >>> positives, negatives = find_positives_and_negatives(torch.tensor([7, 7, 9]))
        >>> positives.int().tolist(), negatives.int().tolist()
        ([[0, 1, 0], [1, 0, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 1], [1, 1, 0]])

    """
    same = labels[:, None] == labels
    negatives = ~same
    same.fill_diagonal_(False)
    return same, negatives


def list_triplets(positives: Tensor, negatives: Tensor, chosen: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """
    Give the triplets of two masks (A, C) as positions of anchors, positives and negatives, (T,) each, int64.

    They are ordered by anchor, positive, negative. On a device other than the processor this waits for the device: the
    number of triplets is not known before.

    Args:
        positives: Mask (A, C).
        negatives: Mask (A, C).
        chosen: Positions (T,) in the list of all the triplets, if only some are wanted. The list itself is not made.

    Example:
        >>> positives, negatives = find_positives_and_negatives(torch.tensor([7, 7, 9]))
        >>> list_triplets(positives, negatives)
        (tensor([0, 1]), tensor([1, 0]), tensor([2, 2]))

    """
    pair_anchors, pair_positives = positives.nonzero(as_tuple=True)
    candidates = negatives.nonzero(as_tuple=True)[1]
    n_negatives = count_in_rows(negatives)
    starts = n_negatives.cumsum(dim=0) - n_negatives  # where the negatives of an anchor start among the candidates
    repeats = n_negatives[pair_anchors]
    ends = repeats.cumsum(dim=0)
    if chosen is None:
        pairs = torch.repeat_interleave(repeats)
        chosen = torch.arange(pairs.numel(), device=positives.device)
    else:
        pairs = torch.searchsorted(ends, chosen.contiguous(), right=True)
    anchors = pair_anchors[pairs]
    ranks = chosen - (ends - repeats)[pairs]
    return anchors, pair_positives[pairs], candidates[starts[anchors] + ranks]


def sum_triplet_loss(near: Tensor, far: Tensor, margin: float | None) -> tuple[Tensor, Tensor]:
    """
    Give the sum of `triplet_loss` over each positive of an anchor with each of its negatives, and how many are above 0.

    Time is O(A * P * Q), for the hinge at most O(A * (P + Q) * log Q). The gradient is computed in the forward pass;
    that of the soft margin can not be differentiated again. At the kink of the hinge it is 0. Without triplets both
    sums are 0. Both are tensors without dimensions. On a device other than the processor nothing waits for the device.

    Args:
        near: Distances to positives (A, P), float32 or float64, -inf where an anchor has fewer.
        far: Distances to negatives (A, Q), inf where an anchor has fewer.
        margin: The margin of the hinge, or None for the soft margin.

    Raises:
        RuntimeError: the gradient of the soft margin is asked for with `create_graph=True`.

    Example:
        >>> near, far = torch.tensor([[2.0], [2.0]]), torch.tensor([[1.0, 3.0], [2.25, math.inf]])
        >>> sum_triplet_loss(near, far, margin=0.5)
        (tensor(1.7500), tensor(2))

    """
    if near.shape[1] == far.shape[1] == 1:
        losses = triplet_loss(near, far, margin)  # 0 where there is an empty place
        return losses.sum(), losses.count_nonzero()
    near = _squeeze_slots(near)
    loss, n_active = _SumOverTriplets.apply(near, far, margin)
    return loss, n_active


def read_distances(
    features: Tensor, distances: Tensor, candidates: TripletCandidates, bank: Tensor | None = None
) -> TripletDistances:
    """
    Give the distances of the anchors to their candidates, with gradients.

    A few candidates are compared again with their anchors: the backward pass of that is cheaper than that of all the
    distances. Of many the distances are taken out of those to all items.

    Args:
        features: Features (B, D).
        distances: L2 distances of all the anchors to all the items (B, C), with a graph.
        candidates: Positions of the items: in the batch, from B on in the bank.
        bank: Features of a bank (C - B, D).

    """
    positives, negatives = candidates
    if positives.ids is not None and negatives.ids is not None:
        n_positives, n_negatives = positives.ids.shape[1], negatives.ids.shape[1]
        if n_positives + n_negatives <= max(2, distances.shape[1] // ITEMS_PER_CANDIDATE):
            read = candidate_dist(features, features, torch.cat([positives.ids, negatives.ids], dim=1), bank)
            near, far = read.split([n_positives, n_negatives], dim=1)
            return TripletDistances(
                torch.where(positives.exist, near, -math.inf), torch.where(negatives.exist, far, math.inf)
            )
    return TripletDistances(positives.take(distances, missing=-math.inf), negatives.take(distances, missing=math.inf))


def has_few_slots(near: Tensor) -> bool:
    """Whether comparing each positive of the anchors (A, P) with all the negatives is faster than sorting these."""
    return near.shape[1] <= (CPU_SLOTS if near.device.type == "cpu" else DEVICE_SLOTS)


def split_anchors(far: Tensor) -> list[slice]:
    """
    Give parts of the anchors whose distances to negatives (A, Q) are to be handled at once.

    Example:
        >>> split_anchors(torch.zeros(3, 4))
        [slice(0, 3, None)]

    """
    n_anchors, n_negatives = far.shape
    n_rows = max(1, _get_block_size(far) // max(1, n_negatives))
    return [slice(first, min(first + n_rows, n_anchors)) for first in range(0, n_anchors, n_rows)]


def _squeeze_slots(near: Tensor) -> Tensor:
    """Drop the empty places, where counting them costs nothing."""
    if near.device.type != "cpu" or near.numel() == 0:
        return near
    n_slots = int(count_in_rows(near > -math.inf).max())
    # sorting visits all the places anyway
    return near.topk(n_slots, dim=1).values if n_slots < near.shape[1] else near


class _SumOverTriplets(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, near: Tensor, far: Tensor, margin: float | None) -> tuple[Tensor, Tensor]:
        if margin is None:
            loss, n_active, grad_near, grad_far = _sum_soft(near, far)
        elif has_few_slots(near):
            loss, n_active, grad_near, grad_far = _sum_hinge_by_slots(near + margin, far)
        else:
            loss, n_active, grad_near, grad_far = _sum_hinge_by_sorting((near + margin).contiguous(), far)
        ctx.save_for_backward(grad_near, grad_far)
        ctx.is_curved = margin is None
        ctx.mark_non_differentiable(n_active)
        return loss, n_active

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None]:
        if ctx.is_curved and torch.is_grad_enabled():
            raise RuntimeError(
                "The sum of the soft margin over triplets has no second derivative here (create_graph=True). "
                "Use a loss with reduction='none' and sum it, or a margin."
            )
        grad_near, grad_far = ctx.saved_tensors
        return grad_near * grad_loss, grad_far * grad_loss, None


def _sum_soft(near: Tensor, far: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compare some positives of some anchors with all their negatives, and go on to the next ones."""
    grad_near, grad_far = torch.zeros_like(near), torch.zeros_like(far)
    loss, n_active = near.new_zeros(()), near.new_zeros((), dtype=torch.long)
    for rows in split_anchors(far):
        n_columns = max(1, _get_block_size(far) // max(1, far[rows].numel()))
        for column in range(0, near.shape[1], n_columns):
            columns = slice(column, column + n_columns)
            # an empty place gives -inf: it adds nothing to the sum and nothing to a slope
            difference = near[rows, columns, None] - far[rows, None, :]
            losses = softplus(difference)
            loss += losses.sum()
            n_active += losses.count_nonzero()
            slopes = difference.sigmoid_()
            torch.sum(slopes, dim=2, out=grad_near[rows, columns])
            grad_far[rows] -= slopes.sum(dim=1)
    return loss, n_active, grad_near, grad_far


def _sum_hinge_by_slots(limits: Tensor, far: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """
    Compare the first positive of every anchor with its negatives, then the second one, and so on.

    With how many others each one is active is both the gradient and what the sum needs: it is that of limits times
    these numbers, less that of negatives times these numbers.
    """
    numbers = torch.finfo(far.dtype)
    limits = limits.clamp_min(numbers.min)  # of an empty place: finite, so that no times it is 0
    # the two sums are taken from the largest limit on, or their difference would lose the digits of a small loss
    centres = limits.amax(dim=1, keepdim=True) if limits.shape[1] else limits.sum(dim=1, keepdim=True)
    grad_near = torch.zeros_like(limits)
    grad_far = torch.zeros_like(far, memory_format=torch.contiguous_format)
    loss = far.new_zeros(())
    for rows in split_anchors(far):
        negatives, slopes = far[rows].contiguous(), grad_far[rows]
        is_active = torch.empty_like(slopes)
        for slot in range(limits.shape[1]):
            torch.gt(limits[rows, slot, None], negatives, out=is_active)
            torch.sum(is_active, dim=1, out=grad_near[rows, slot])
            slopes -= is_active
        loss += torch.sub(negatives, centres[rows], out=is_active).clamp_max_(numbers.max).mul_(slopes).sum()
    loss += ((limits - centres) * grad_near).sum()
    return loss, grad_near.long().sum(), grad_near, grad_far


def _get_block_size(far: Tensor) -> int:
    return CPU_BLOCK if far.device.type == "cpu" else DEVICE_BLOCK


def _sum_hinge_by_sorting(limits: Tensor, far: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """With the negatives sorted, a positive is active with the first n of them: the sum is n * limit - their sum."""
    sorted_far, order = far.contiguous().sort(dim=1)
    n_nearer = torch.searchsorted(sorted_far, limits)
    sums = pad(sorted_far.masked_fill(sorted_far == math.inf, 0).cumsum(dim=1), (1, 0))
    has_positive = limits != -math.inf
    losses = torch.where(has_positive, n_nearer * limits - sums.gather(1, n_nearer), 0)

    # the negative of rank r is active with the positives that have more than r nearer negatives
    histogram = torch.zeros_like(sums).scatter_add_(1, n_nearer, has_positive.to(sums.dtype))
    slopes = has_positive.sum(dim=1, keepdim=True) - histogram.cumsum(dim=1)[:, :-1]
    grad_far = torch.zeros_like(far).scatter_(1, order, -slopes)
    return losses.sum(), n_nearer.sum(), n_nearer.to(limits.dtype), grad_far
