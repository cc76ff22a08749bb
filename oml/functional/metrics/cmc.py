"""CMC, the cumulative matching characteristic."""

from collections.abc import Sequence

from torch import Tensor

from oml.functional.metrics.hits import Hits, check_top_k


def cmc_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give CMC@k of each query for each k, float32 (Q,): 1 if a relevant gallery is among its first k answers, else 0.

    A query without answers scores 1 if nothing is relevant to it, else 0. This is also called hit rate, success, and
    top-k or rank-k accuracy; papers on metric learning call it recall@k.
    """
    check_top_k(top_k)
    return [hits.judge_empty(n_found > 0) for n_found in hits.count_first(top_k)]


def calc_cmc(
    gt_tops: Sequence[Tensor], n_gts: Sequence[int] | Tensor, top_k: Sequence[int], verbose: bool = False
) -> list[Tensor]:
    """
    Give CMC@k of each query, one float tensor (Q,) for each k.

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
        >>> calc_cmc([torch.tensor([False, True]), torch.tensor([False])], n_gts=[1, 1], top_k=(1, 2))
        [tensor([0., 0.]), tensor([1., 0.])]

    """
    return cmc_at(Hits.from_rows(gt_tops, n_gts), top_k)
