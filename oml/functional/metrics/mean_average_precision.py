"""Average precision over the hits that were found."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from oml.functional.metrics.hit_bytes import sum_precisions
from oml.functional.metrics.hits import Hits, check_top_k


def map_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give MAP@k of each query for each k, float32 (Q,): the mean, over its hits among the first k, of hits so far / rank.

    The sum is divided by the hits found within the first k (0 if none), which is the definition of Open Metric Learning
    and torchmetrics; `map_standard_at` divides by min(n_gt, k) and so also counts what was missed.

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.
    """
    check_top_k(top_k)
    return [hits.judge_empty(total / np.maximum(n_found, 1)) for n_found, total in sum_precisions(hits.codes, top_k)]


def calc_map(
    gt_tops: Sequence[Tensor], n_gts: Sequence[int] | Tensor, top_k: Sequence[int], verbose: bool = False
) -> list[Tensor]:
    """
    Give MAP@k of each query as `map_at` defines it, one float tensor (Q,) for each k.

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
        >>> calc_map([torch.tensor([True, False, True, False])], n_gts=[3], top_k=(1, 4))
        [tensor([1.]), tensor([0.8333])]

    """
    return map_at(Hits.from_rows(gt_tops, n_gts), top_k)
