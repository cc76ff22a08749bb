"""Losses of similarities by logarithms of sums of exponentials: NT-Xent, SupCon, Multi-similarity, Circle."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from oml.functional.distances import at_least_float32
from oml.functional.losses.anchors import AnchorLosses, check_masks, logsumexp_where, mean_where
from oml.functional.losses.ranks import take_relevant
from oml.interfaces.masks import any_in_rows, count_in_rows


def nt_xent_loss(similarities: Tensor, positives: Tensor, negatives: Tensor, temperature: float) -> AnchorLosses:
    """
    Give the sum over the positives of each anchor of `-log(e^(s_p / t) / (e^(s_p / t) + sum over n of e^(s_n / t)))`.

    NT-Xent, "A simple framework for contrastive learning of visual representations" (Chen et al. 2020), equation 1,
    with any number of positives per anchor, each against the negatives only. It is computed as
    `softplus(logsumexp(s_n / t) - s_p / t)`. An anchor needs a positive and a negative; its terms are its positives.
    Memory is O(A * C). Half precision is computed in float32.

    Args:
        similarities: (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        temperature: Above 0.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> similarities = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
        >>> positives = torch.tensor([[True, True, False, False]])
        >>> nt_xent_loss(similarities, positives, ~positives, temperature=1.0).losses  # 2 * log(3)
        tensor([2.1972])

    """
    check_masks(similarities, positives, negatives)
    logits = at_least_float32(similarities) / temperature
    against = logsumexp_where(logits, negatives)
    targets, is_positive = take_relevant(logits, positives)
    losses = softplus(against[:, None] - targets).masked_fill(~is_positive, 0).sum(dim=1)
    n_terms = count_in_rows(positives) * any_in_rows(negatives)
    return AnchorLosses(losses, n_terms > 0, n_terms)


def sup_con_loss(similarities: Tensor, positives: Tensor, negatives: Tensor, temperature: float) -> AnchorLosses:
    """
    Give the mean over the positives of each anchor of `-log(e^(s_p / t) / sum over all c of e^(s_c / t))`.

    "Supervised contrastive learning" (Khosla et al. 2020), equation 2 (the mean outside of the logarithm), without the
    factor of the two temperatures in the authors' code. The sum is over positives and negatives. An anchor needs a
    positive. Memory is O(A * C). Half precision is computed in float32.

    Args:
        similarities: (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        temperature: Above 0.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> similarities = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
        >>> positives = torch.tensor([[True, True, False, False]])
        >>> sup_con_loss(similarities, positives, ~positives, temperature=1.0).losses  # log(4)
        tensor([1.3863])

    """
    check_masks(similarities, positives, negatives)
    logits = at_least_float32(similarities) / temperature
    exist = any_in_rows(positives)
    losses = logsumexp_where(logits, positives | negatives) - mean_where(logits, positives)
    return AnchorLosses(losses.masked_fill(~exist, 0), exist)


def multi_similarity_loss(
    similarities: Tensor,
    positives: Tensor,
    negatives: Tensor,
    alpha: float,
    beta: float,
    base: float,
    epsilon: float | None = None,
) -> AnchorLosses:
    """
    Give `log(1 + sum over p of e^(-alpha (s_p - base))) / alpha + log(1 + sum over n of e^(beta (s_n - base))) / beta`.

    "Multi-similarity loss with general pair weighting for deep metric learning" (Wang et al. 2019), section 3. With
    `epsilon` the pairs are mined before, as there: those positives are kept that are less similar than the most similar
    negative plus epsilon, and those negatives that are more similar than the least similar positive minus epsilon. An
    anchor needs a candidate, positive or negative; with mining one of each, yet also without it counts in the mean.
    Memory is O(A * C). Half precision is computed in float32.

    Args:
        similarities: (A, C).
        positives: bool (A, C).
        negatives: bool (A, C).
        alpha: Weight of positives in the exponent, above 0.
        beta: Weight of negatives in the exponent, above 0.
        base: The similarity that positives should exceed and negatives should not.
        epsilon: Margin of the mining, or None to take all pairs.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> similarities = torch.tensor([[0.5, 0.5]])
        >>> positives = torch.tensor([[True, False]])
        >>> multi_similarity_loss(similarities, positives, ~positives, 2.0, 50.0, 0.5).losses  # log(2) (1/2 + 1/50)
        tensor([0.3604])

    """
    check_masks(similarities, positives, negatives)
    similarities = at_least_float32(similarities)
    has_positive, has_negative = any_in_rows(positives), any_in_rows(negatives)
    if epsilon is not None and similarities.numel():
        known = similarities.detach()
        least_similar = known.masked_fill(~positives, torch.inf).amin(dim=1, keepdim=True)
        most_similar = known.masked_fill(~negatives, -torch.inf).amax(dim=1, keepdim=True)
        # worded so that what is not a number stays
        positives = positives & ~(known >= most_similar + epsilon)
        negatives = negatives & ~(known <= least_similar - epsilon)
    of_positives = softplus(logsumexp_where(-alpha * similarities, positives) + alpha * base) / alpha
    of_negatives = softplus(logsumexp_where(beta * similarities, negatives) - beta * base) / beta
    counts = has_positive | has_negative
    return AnchorLosses(of_positives + of_negatives, counts if epsilon is None else has_positive & has_negative, counts)


def circle_loss(
    similarities: Tensor, positives: Tensor, negatives: Tensor, margin: float, scale: float
) -> AnchorLosses:
    """
    Give `log(1 + sum over n of e^(g a_n (s_n - m)) * sum over p of e^(-g a_p (s_p - 1 + m)))`.

    "Circle loss: a unified perspective of pair similarity optimization" (Sun et al. 2020), equation 6 with the one
    margin m of its section 3, g the scale; the weights `a_p = max(0, 1 + m - s_p)` and `a_n = max(0, s_n + m)`,
    equation 5, are constants for the gradient. An anchor needs a positive and a negative. Memory is O(A * C). Half
    precision is computed in float32.

    Args:
        similarities: (A, C), cosines.
        positives: bool (A, C).
        negatives: bool (A, C).
        margin: The relaxation m.
        scale: The factor g in the exponents, above 0.

    Raises:
        InvalidInputError: the shapes differ, or the masks are not bool.

    Example:
        >>> positives = torch.tensor([[True, False]])
        >>> circle_loss(torch.tensor([[0.75, 0.25]]), positives, ~positives, margin=0.25, scale=80.0).losses  # log(2)
        tensor([0.6931])

    """
    check_masks(similarities, positives, negatives)
    similarities = at_least_float32(similarities)
    known = similarities.detach()
    positive_logits = -scale * (1 + margin - known).relu() * (similarities - (1 - margin))
    negative_logits = scale * (known + margin).relu() * (similarities - margin)
    exist = any_in_rows(positives) & any_in_rows(negatives)
    losses = softplus(logsumexp_where(positive_logits, positives) + logsumexp_where(negative_logits, negatives))
    return AnchorLosses(losses.masked_fill(~exist, 0), exist)
