"""Precision that does not punish a query for having few relevant galleries or few answers."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from oml.functional.metrics.hits import Hits, check_top_k


def precision_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give precision@k of each query for each k, float32 (Q,): hits among the first k', divided by min(n_gt, k').

    Here k' is the lower of k and the number of answers, so a perfect model scores 1 also where less than k are
    relevant. This is Open Metric Learning's definition; the standard one divides by k, see
    `precision_standard_at`.

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.
    """
    check_top_k(top_k)
    values = []
    for k, n_found in zip(top_k, hits.count_first(top_k), strict=True):
        n_possible = np.minimum(hits.n_relevant, np.minimum(hits.n_answers, k))
        values.append(hits.judge_empty(n_found / np.maximum(n_possible, 1)))
    return values


def calc_precision(
    gt_tops: Sequence[Tensor], n_gts: Sequence[int] | Tensor, top_k: Sequence[int], verbose: bool = False
) -> list[Tensor]:
    """
    Give precision@k of each query as `precision_at` defines it, one float tensor (Q,) for each k.

    Args:
        gt_tops: one bool tensor per query, of any length: its j-th answer is relevant.
        n_gts: number of relevant galleries of each query.
        top_k: cut-offs.
        verbose: accepted for compatibility; this takes too little time to show a progress.

    Raises:
        ValueError: `top_k` is empty or holds something else than positive integers.
        InvalidInputError: the numbers of queries differ.

    Example:
        >>> import torch
        >>> calc_precision([torch.tensor([True, False, True])], n_gts=[2], top_k=(1, 2, 3))
        [tensor([1.]), tensor([0.5000]), tensor([1.])]

    """
    return precision_at(Hits.from_rows(gt_tops, n_gts), top_k)
