"""The documented metrics of retrieval results."""

from collections.abc import Sequence
from itertools import chain

from oml.functional.metrics import TMetricsDict, calc_fnmr_at_fmr_by_distances, calc_metrics_of_hits
from oml.functional.metrics.hits import check_top_k
from oml.functional.metrics.reduction import TCategories
from oml.functional.ragged import mask_lengths
from oml.retrieval import RetrievalResults


def calc_retrieval_metrics_rr(
    rr: RetrievalResults,
    query_categories: TCategories | None = None,
    cmc_top_k: Sequence[int] = (5,),
    precision_top_k: Sequence[int] = (5,),
    map_top_k: Sequence[int] = (5,),
    reduce: bool = True,
    verbose: bool = True,
) -> TMetricsDict:
    """
    Give CMC, precision and MAP as `{"cmc": {k: value}, "precision": {k: value}, "map": {k: value}}`.

    The definitions are those of `oml.functional.metrics.calc_retrieval_metrics`.

    Args:
        rr: retrieval results with ground truth.
        query_categories: a category per query (list of anything hashable, array or tensor): the result is then
            `{"OVERALL": {...}, category: {...}, ...}`.
        cmc_top_k: cut-offs of CMC; an empty tuple leaves the metric out.
        precision_top_k: likewise.
        map_top_k: likewise.
        reduce: give means, 0-d tensors; else values per query, float32 (Q,).
        verbose: accepted for compatibility; this takes too little time to show a progress.

    Raises:
        TypeError: the results have no ground truth.
        ValueError: a cut-off is not a positive integer.
        InvalidInputError: another number of categories than of queries.

    Example:
        >>> import torch
        >>> ids = [torch.tensor([4, 2]), torch.tensor([3, 0])]
        >>> rr = RetrievalResults([torch.tensor([0.1, 0.2])] * 2, ids, gt_ids=[torch.tensor([2]), torch.tensor([3])])
        >>> calc_retrieval_metrics_rr(rr, cmc_top_k=(1,), precision_top_k=(), map_top_k=())
        {'cmc': {1: tensor(0.5000)}}

    """
    top_k = (cmc_top_k, precision_top_k, map_top_k)
    for cut_offs in filter(len, top_k):
        check_top_k(cut_offs)
    hits = rr.calc_hits(n_first=max(chain(*top_k), default=0))
    return calc_metrics_of_hits(hits, query_categories, *top_k, reduce=reduce)


def calc_fnmr_at_fmr_rr(rr: RetrievalResults, fmr_vals: Sequence[float] = (0.1,)) -> TMetricsDict:
    """
    Give `{"fnmr@fmr": {rate: value}}` over all pairs of a query and one of its answers.

    The pairs that were not retrieved are unknown, so this is exact only if all galleries were.

    Args:
        rr: retrieval results with ground truth.
        fmr_vals: rates from 0 to 1; none give `{}`.

    Raises:
        TypeError: the results have no ground truth.
        ValueError: a rate outside [0, 1], or no pair that matches, or none that does not.

    """
    is_hit = rr.calc_hits().is_hit
    is_answer = mask_lengths(rr.lengths, is_hit.shape[1])
    distances = rr.distances.values
    return calc_fnmr_at_fmr_by_distances(distances[is_hit & is_answer], distances[~is_hit & is_answer], fmr_vals)
