"""Precision@k that has a gradient."""

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.distances import at_least_float32
from oml.functional.losses.ranks import soft_ranks, take_relevant
from oml.functional.losses.reduction import check_temperatures, get_reduced
from oml.interfaces.masks import count_in_rows


def surrogate_precision(
    distances: Tensor, mask_gt: Tensor, k: int | Tensor, t1: float, t2: float, reduction: str = "mean"
) -> Tensor:
    """
    Give precision@k of queries with its two steps, "is nearer than" and "is among the first k", made into sigmoids.

    The method of "Recall@k surrogate loss with large batches and similarity mixup" (Patel et al. 2022), section 3, with
    the normaliser of precision@k as this package defines it: `rank[q, g] = sum over a of
    sigmoid((d[q, g] - d[q, a]) / t2)` and `precision[q] = sum over the relevant g of sigmoid((k - rank[q, g]) / t1) /
    min(number of relevant g, k)`. With small temperatures it is `oml.functional.metrics.calc_precision`. A query
    without relevant galleries has 0.

    Memory is O(Q * G), however many galleries are relevant; time is O(Q * G * the largest number of relevant ones), on
    devices other than a processor O(Q * G * G). The gradient can not be differentiated again.

    Args:
        distances: (Q, G).
        mask_gt: Which galleries are relevant, bool (Q, G).
        k: How many answers count; or as many numbers as queries, (Q,).
        t1: Temperature of "is among the first k".
        t2: Temperature of "is nearer than".
        reduction: "mean" over the queries, "sum" or "none": (Q,).

    Raises:
        InvalidInputError: k or a temperature is not above 0, or the shapes differ, or the reduction is unknown.

    Example:
        >>> distances, mask_gt = torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([[True, False, True]])
        >>> surrogate_precision(distances, mask_gt, k=2, t1=1e-3, t2=1e-3)
        tensor(0.5000)

    """
    if not isinstance(k, Tensor):  # showing a tensor would mean waiting for it
        check(k > 0, f"k must be above 0, got {k}.")
    check_temperatures(t1=t1, t2=t2)
    check(
        distances.ndim == 2 and distances.shape == mask_gt.shape,
        f"distances and mask_gt must have one shape (Q, G), got {tuple(distances.shape)} and {tuple(mask_gt.shape)}.",
    )
    scores, relevant = -at_least_float32(distances), mask_gt.bool()
    targets, exist = take_relevant(scores, relevant)
    n_relevant = count_in_rows(relevant)
    ks = k if isinstance(k, Tensor) else torch.full_like(n_relevant, k)
    is_among_first = torch.sigmoid((ks[:, None] - soft_ranks(targets, scores, t2)) / t1)
    n_best = torch.minimum(n_relevant, ks).clamp_min(1)
    return get_reduced(is_among_first.masked_fill(~exist, 0).sum(dim=1) / n_best, reduction)
