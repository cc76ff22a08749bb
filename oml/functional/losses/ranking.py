"""Metrics of rankings that have a gradient: average precision, two ways, and recall@k."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from oml.functional.distances import at_least_float32
from oml.functional.losses.anchors import AnchorLosses, check_masks
from oml.functional.losses.ranks import soft_ranks, take_relevant
from oml.interfaces.masks import any_in_rows, count_in_rows


def smooth_ap_loss(similarities: Tensor, positives: Tensor, negatives: Tensor, temperature: float) -> AnchorLosses:
    """
    Give 1 - average precision of each anchor, with sigmoids in place of the steps of its ranks.

    "Smooth-AP: smoothing the path towards large-scale image retrieval" (Brown et al. 2020), section 3: the mean over
    the positives of `(1 + sum over other positives of s) / (1 + sum over all others of s)`, where s is the sigmoid of
    the difference of similarities over the temperature. An anchor needs a positive and a negative. Memory is
    O(A * C); time is O(A * C * P), P being the most positives of an anchor, on devices other than a processor
    O(A * C * C). The gradient can not be differentiated again. Half precision is computed in float32.

    Args:
        similarities: (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        temperature: Above 0; the lower, the nearer to the metric, and the fewer similarities get a gradient.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> positives = torch.tensor([[True, False, True]])
        >>> smooth_ap_loss(torch.tensor([[0.9, 0.5, 0.1]]), positives, ~positives, temperature=0.01).losses  # 1 - 5/6
        tensor([0.1667])

    """
    check_masks(similarities, positives, negatives)
    scores = at_least_float32(similarities)
    targets, is_positive = take_relevant(scores, positives)
    among_positives = soft_ranks(targets, targets.masked_fill(~is_positive, -math.inf), temperature)
    among_all = soft_ranks(targets, scores.masked_fill(~(positives | negatives), -math.inf), temperature)
    # a target counts itself as 1/2, and has the rank 1
    precisions = ((among_positives + 0.5) / (among_all + 0.5)).masked_fill(~is_positive, 0)
    exist = any_in_rows(positives) & any_in_rows(negatives)
    average = precisions.sum(dim=1) / count_in_rows(positives).clamp_min(1)
    return AnchorLosses((1 - average).masked_fill(~exist, 0), exist)


def recall_at_k_loss(
    similarities: Tensor,
    positives: Tensor,
    negatives: Tensor,
    ks: Sequence[int],
    rank_temperature: float,
    count_temperature: float,
) -> AnchorLosses:
    """
    Give 1 - recall@k of each anchor, averaged over several k, with sigmoids in place of the steps.

    "Recall@k surrogate loss with large batches and similarity mixup" (Patel et al. 2022), section 3, without the mixup:
    `sum over positives of sigmoid((k + 1/2 - rank) / count_temperature) / min(k, number of positives)`, with
    `rank = 1 + sum over all others of sigmoid(difference of similarities / rank_temperature)`. The step is half a rank
    after k, where the paper has it at k, so that small temperatures give the metric; and as no more than k positives
    can be among the first k, a perfect ranking has the recall 1 at every k. An anchor needs a positive and a negative.
    Time and memory are those of `smooth_ap_loss`. The gradient can not be differentiated again. Half precision is
    computed in float32.

    Args:
        similarities: (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        ks: How many answers count; at least one number.
        rank_temperature: Of "is more similar than", above 0.
        count_temperature: Of "is among the first k", above 0.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> positives = torch.tensor([[True, False, True]])
        >>> recall_at_k_loss(torch.tensor([[0.9, 0.5, 0.1]]), positives, ~positives, (1, 2), 0.01, 0.01).losses
        tensor([0.2500])

    """
    check_masks(similarities, positives, negatives)
    scores = at_least_float32(similarities)
    targets, is_positive = take_relevant(scores, positives)
    # a target counts itself as 1/2, so this is the rank less 1/2
    ranks = soft_ranks(targets, scores.masked_fill(~(positives | negatives), -math.inf), rank_temperature)
    n_positives = count_in_rows(positives)
    recalls = []
    for k in ks:
        is_among_first = torch.sigmoid((k - ranks) / count_temperature).masked_fill(~is_positive, 0)
        recalls.append(is_among_first.sum(dim=1) / n_positives.clamp(1, k))
    exist = any_in_rows(positives) & any_in_rows(negatives)
    return AnchorLosses((1 - torch.stack(recalls).mean(dim=0)).masked_fill(~exist, 0), exist)


def fast_ap_loss(similarities: Tensor, positives: Tensor, negatives: Tensor, n_bins: int) -> AnchorLosses:
    """
    Give 1 - average precision of each anchor, from histograms of its distances.

    "Deep metric learning to rank" (Cakir et al. 2019), section 3: squared distances of unit vectors, 0 to 4, are shared
    out linearly to the two nearest of `n_bins + 1` bins; the precision at a bin is taken from the cumulative histograms
    of positives and of all. An anchor needs a positive and a negative. Time and memory are O(A * (C + bins)): distances
    are added to two bins each, instead of compared with all of them. Half precision is computed in float32.

    Args:
        similarities: Cosines (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        n_bins: Number of intervals between bins.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> positives = torch.tensor([[True, False, True]])
        >>> fast_ap_loss(torch.tensor([[1.0, 0.5, 0.0]]), positives, ~positives, n_bins=4).losses  # 1 - 5/6
        tensor([0.1667])

    """
    check_masks(similarities, positives, negatives)
    similarities = at_least_float32(similarities)
    n_anchors = len(similarities)
    places = (2 - 2 * similarities).clamp(0, 4) * (n_bins / 4)
    lower = places.detach().long().clamp(0, n_bins - 1)
    to_upper = places - lower
    # the bins of positives, those of negatives after them, and one for what is neither
    starts = torch.where(positives, 0, n_bins + 1).masked_fill(~(positives | negatives), 2 * (n_bins + 1))
    lower = (lower + starts).clamp_max(2 * (n_bins + 1))
    upper = (lower + 1).clamp_max(2 * (n_bins + 1))
    histograms = similarities.new_zeros(n_anchors, 2 * (n_bins + 1) + 1)
    histograms = histograms.scatter_add(1, lower, 1 - to_upper).scatter_add(1, upper, to_upper)
    of_positives, of_negatives = histograms[:, : n_bins + 1], histograms[:, n_bins + 1 : -1]

    so_far = of_positives.cumsum(dim=1)
    all_so_far = (of_positives + of_negatives).cumsum(dim=1)
    is_empty = all_so_far == 0
    average = (of_positives * so_far / all_so_far.masked_fill(is_empty, 1)).sum(dim=1)
    average = average / count_in_rows(positives).clamp_min(1)
    exist = any_in_rows(positives) & any_in_rows(negatives)
    return AnchorLosses((1 - average).masked_fill(~exist, 0), exist)
