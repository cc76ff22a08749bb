"""Losses of distances: contrastive, and the generalised lifted structure."""

import torch
from torch import Tensor

from oml.functional.distances import at_least_float32
from oml.functional.losses.anchors import AnchorLosses, check_masks, logsumexp_where
from oml.functional.losses.ranks import take_relevant
from oml.interfaces.masks import any_in_rows, count_in_rows


def contrastive_loss(
    distances: Tensor, positives: Tensor, negatives: Tensor, positive_margin: float, negative_margin: float
) -> AnchorLosses:
    """
    Give the sums of `max(0, d_p - positive_margin)` and of `max(0, negative_margin - d_n)` of each anchor: (2, A).

    "Dimensionality reduction by learning an invariant mapping" (Hadsell et al. 2006), equation 4, with two differences:
    hinges are not squared, so that hard pairs do not outweigh all others, and there is a margin for positives, too. The
    terms are the pairs with a loss, positives and negatives counted apart: otherwise the many negatives that are far
    enough would make the few others count for nothing. An anchor needs a candidate, positive or negative. Memory is
    O(A * C). Half precision is computed in float32.

    Args:
        distances: (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        positive_margin: Positives nearer than this have no loss.
        negative_margin: Negatives farther than this have no loss.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> positives = torch.tensor([[True, False, False]])
        >>> losses = contrastive_loss(torch.tensor([[0.5, 0.75, 2.0]]), positives, ~positives, 0.0, 1.0)
        >>> losses.losses.T, losses.n_terms.T
        (tensor([[0.5000, 0.2500]]), tensor([[1, 1]]))

    """
    check_masks(distances, positives, negatives)
    distances = at_least_float32(distances)
    near, is_positive = take_relevant(distances, positives)
    too_far = (near - positive_margin).relu().masked_fill(~is_positive, 0)
    too_near = (negative_margin - distances).masked_fill_(~negatives, 0).relu_()
    return AnchorLosses(
        torch.stack([too_far.sum(dim=1), too_near.sum(dim=1)]),
        exist=any_in_rows(positives | negatives),
        n_terms=torch.stack([count_in_rows(x > 0) for x in (too_far, too_near)]),
    )


def lifted_structure_loss(distances: Tensor, positives: Tensor, negatives: Tensor, margin: float) -> AnchorLosses:
    """
    Give `max(0, log(sum over p of e^d_p) + log(sum over n of e^(margin - d_n)))` of each anchor.

    The generalised lifted structure loss, "In defense of the triplet loss" (Hermans et al. 2017), section 2. Unlike the
    loss of "Deep metric learning via lifted structured feature embedding" (Song et al. 2016) it looks at all the
    positives of an anchor at once. An anchor needs a positive and a negative. Memory is O(A * C). Half precision is
    computed in float32.

    Args:
        distances: (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        margin: By how much negatives shall be more distant than positives.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> positives = torch.tensor([[True, False]])
        >>> lifted_structure_loss(torch.tensor([[0.5, 1.0]]), positives, ~positives, margin=1.0).losses
        tensor([0.5000])

    """
    check_masks(distances, positives, negatives)
    distances = at_least_float32(distances)
    exist = any_in_rows(positives) & any_in_rows(negatives)
    losses = logsumexp_where(distances, positives) + logsumexp_where(margin - distances, negatives)
    return AnchorLosses(losses.relu().masked_fill(~exist, 0), exist)
