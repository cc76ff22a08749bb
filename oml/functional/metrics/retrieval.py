"""The documented metrics of retrieval, for all queries at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from oml.const import OVERALL_CATEGORIES_KEY
from oml.errors import check
from oml.functional.metrics.cmc import cmc_at
from oml.functional.metrics.hits import Hits
from oml.functional.metrics.mean_average_precision import map_at
from oml.functional.metrics.precision import precision_at
from oml.functional.metrics.reduction import (
    TCategories,
    TMetricsDict,
    reduce_metrics,
    split_by_category,
    split_items,
)
from oml.functional.ragged import concat_rows, pad_rows
from oml.functional.relevance import is_listed


def calc_retrieval_metrics(
    retrieved_ids: Sequence[Tensor],
    gt_ids: Sequence[Tensor],
    query_categories: TCategories | None = None,
    cmc_top_k: Sequence[int] = (5,),
    precision_top_k: Sequence[int] = (5,),
    map_top_k: Sequence[int] = (5,),
    reduce: bool = True,
    verbose: bool = True,
) -> TMetricsDict:
    """
    Give CMC, precision and MAP as `{"cmc": {k: value}, "precision": {k: value}, "map": {k: value}}`.

    Args:
        retrieved_ids: ids of the answers of each query, nearest first.
        gt_ids: ids of the relevant galleries of each query.
        query_categories: a category per query (list of anything hashable, array or tensor): the result is then
            `{"OVERALL": {...}, category: {...}, ...}`.
        cmc_top_k: cut-offs of CMC; an empty tuple leaves the metric out.
        precision_top_k: likewise.
        map_top_k: likewise.
        reduce: give means, 0-d tensors; else values per query, float32 (Q,).
        verbose: accepted for compatibility; this takes too little time to show a progress.

    Raises:
        InvalidInputError: the numbers of queries differ.
        ValueError: a cut-off is not a positive integer.

    Example:
        >>> ids = [torch.tensor([4, 2]), torch.tensor([3, 0])]
        >>> gts = [torch.tensor([2]), torch.tensor([3])]
        >>> calc_retrieval_metrics(ids, gts, cmc_top_k=(1,), precision_top_k=(), map_top_k=(2,))
        {'cmc': {1: tensor(0.5000)}, 'map': {2: tensor(0.7500)}}

    """
    check(
        len(retrieved_ids) == len(gt_ids),
        f"`retrieved_ids` and `gt_ids` must have one tensor per query, got {len(retrieved_ids)} and {len(gt_ids)}.",
    )
    answers, relevant = (
        concat_rows(retrieved_ids, "retrieved_ids", torch.int64),
        concat_rows(gt_ids, "gt_ids", torch.int64),
    )
    ids = pad_rows(answers, fill=-1)
    hits = Hits(is_listed(ids, relevant), answers.lengths, relevant.lengths)
    return calc_metrics_of_hits(hits, query_categories, cmc_top_k, precision_top_k, map_top_k, reduce)


def calc_metrics_of_hits(
    hits: Hits,
    query_categories: TCategories | None = None,
    cmc_top_k: Sequence[int] = (5,),
    precision_top_k: Sequence[int] = (5,),
    map_top_k: Sequence[int] = (5,),
    reduce: bool = True,
) -> TMetricsDict:
    """Do what `calc_retrieval_metrics` does where it is known which answers are relevant."""
    asked = {"cmc": (cmc_at, cmc_top_k), "precision": (precision_at, precision_top_k), "map": (map_at, map_top_k)}
    metrics: TMetricsDict = {
        name: dict(zip(top_k, function(hits, top_k), strict=True)) for name, (function, top_k) in asked.items() if top_k
    }
    return group_metrics(metrics, query_categories, len(hits.lengths), reduce)


def group_metrics(
    metrics: TMetricsDict, categories: TCategories | None, n_items: int, reduce: bool = True
) -> TMetricsDict:
    """
    Give metrics of all items and of each category, as means if asked for.

    Args:
        metrics: values per item, (n_items,), in nested dictionaries.
        categories: one per item; without them the metrics are not grouped.
        n_items: number of items.
        reduce: give means.

    """
    finish = reduce_metrics if reduce else (lambda x: x)
    if categories is None:
        return finish(metrics)
    parts = split_items(metrics, split_by_category(categories, n_items))
    return {OVERALL_CATEGORIES_KEY: finish(metrics)} | {category: finish(part) for category, part in parts.items()}
