"""Average precision over the hits that were found."""

from collections.abc import Sequence

import torch
from torch import Tensor

from oml.functional.metrics.hits import Hits, check_top_k


def map_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give MAP@k of each query for each k, float32 (Q,): the mean, over its hits among the first k, of hits so far / rank.

    The sum is divided by the hits found within the first k (0 if none), which is Open Metric Learning's definition;
    the standard one divides by min(n_gt, k) and so also counts what was missed.

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.
    """
    check_top_k(top_k)
    width = min(max(top_k), hits.is_hit.shape[1])
    if not width:
        return [hits.judge_empty(torch.zeros(len(hits.lengths), device=hits.lengths.device)) for _ in top_k]
    n_found, gains = calc_precision_gains(hits.is_hit[:, :width])
    values = []
    for k in top_k:
        last = min(k, width) - 1
        values.append(hits.judge_empty(gains[:, : last + 1].sum(1) / n_found[:, last].clamp(min=1)))
    return values


def calc_precision_gains(is_hit: Tensor) -> tuple[Tensor, Tensor]:
    """
    Give, for hits (Q, K), the number of hits so far, and at each hit that number divided by the rank, both float32 (Q,
    K).

    Example:
        >>> calc_precision_gains(torch.tensor([[False, True, True]]))
        (tensor([[0., 1., 2.]]), tensor([[0.0000, 0.5000, 0.6667]]))

    """
    n_found = is_hit.cumsum(1, dtype=torch.float32)
    ranks = torch.arange(1, is_hit.shape[1] + 1, device=is_hit.device)
    return n_found, (n_found / ranks).mul_(is_hit)


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
        >>> calc_map([torch.tensor([True, False, True, False])], n_gts=[3], top_k=(1, 4))
        [tensor([1.]), tensor([0.8333])]

    """
    return map_at(Hits.from_rows(gt_tops, n_gts), top_k)
