"""Any set of metrics by their names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from oml.const import OVERALL_CATEGORIES_KEY
from oml.errors import check
from oml.functional.metrics.reduction import TCategories, split_by_category
from oml.functional.metrics.retrieval import group_metrics
from oml.metrics.confidence import N_BOOT, TSeed, estimate_means, number_labels
from oml.metrics.depth import get_depth, warn_if_too_few_answers
from oml.metrics.names import calc_named_metrics, parse_metric
from oml.retrieval import RetrievalResults

_DEFAULT = ("cmc@1", "map@5", "map@r")


def evaluate(
    rr: RetrievalResults,
    metrics: Sequence[str] = _DEFAULT,
    query_categories: TCategories | None = None,
    reduce: bool = True,
    ci: bool = False,
    query_labels: TCategories | None = None,
    n_boot: int = N_BOOT,
    seed: TSeed = 0,
) -> dict[Any, Any]:
    """
    Give the metrics of these names as `{name: value}`, in the given order.

    Names: `cmc@k` (or `hit_rate@k`), `precision@k` and `map@k` (as `calc_retrieval_metrics_rr` defines them),
    `precision@k:standard`, `map@k:standard`, `map@k:trec`, `recall@k`, `ndcg@k`, `mrr@k`, each with any positive
    integer as k; `mrr`, `map@r`, `r_precision`, `minp`. The page docs/metrics.md has their formulas.

    Warns where a metric looks beyond the answers that were kept and there may be something to find.

    Args:
        rr: retrieval results with ground truth.
        metrics: names.
        query_categories: a category per query (list of anything hashable, array or tensor): the result is then
            `{"OVERALL": {name: value}, category: {name: value}, ...}`.
        reduce: give means as floats; else values per query, float32 (Q,).
        ci: give each mean as an `Estimate`, with its 95 % bootstrap intervals over queries and over labels.
        query_labels: the label of each query, for the intervals over labels; by default those that the ground truth
            was made from, if it was.
        n_boot: number of draws for the intervals.
        seed: of the draws: an integer, or a numpy generator.

    Raises:
        InvalidInputError: an unknown name (the nearest ones are given), a bad cut-off, another number of categories or
            labels than of queries, intervals of values per query.
        TypeError: the results have no ground truth.

    Example:
        >>> import torch
        >>> ids = [torch.tensor([4, 2]), torch.tensor([3, 0])]
        >>> rr = RetrievalResults([torch.tensor([0.1, 0.2])] * 2, ids, gt_ids=[torch.tensor([2]), torch.tensor([3])])
        >>> evaluate(rr, ["cmc@1", "map@r"])
        {'cmc@1': 0.5, 'map@r': 0.5}
        >>> evaluate(rr, ["cmc@1"], ci=True)["cmc@1"].over_queries
        Interval(low=0.0, high=1.0)

    """
    check(reduce or not ci, "`ci=True` gives intervals of means: leave `reduce` at True.")
    values = calc_per_query(rr, metrics)
    if not ci:
        found = group_metrics(values, query_categories, len(rr.lengths), reduce)
        return _to_floats(found) if reduce else found
    labels, rng = number_labels(rr, query_labels), np.random.default_rng(seed)
    overall = estimate_means(values, labels, n_boot, rng)
    if query_categories is None:
        return overall
    of_categories = {
        category: estimate_means(
            {name: of_all[ids.to(of_all.device)] for name, of_all in values.items()},
            None if labels is None else labels[ids.numpy()],
            n_boot,
            rng,
        )
        for category, ids in split_by_category(query_categories, len(rr.lengths)).items()
    }
    return {OVERALL_CATEGORIES_KEY: overall} | of_categories


def calc_per_query(rr: RetrievalResults, metrics: Sequence[str]) -> dict[str, Tensor]:
    """Give the values of each query, float32 (Q,), of the metrics of these names; raises and warns as `evaluate`."""
    check(not isinstance(metrics, str), f"`metrics` must be a list of names, got the text {metrics!r}.")
    asked = {text: parse_metric(text) for text in metrics}
    check(bool(asked), "`metrics` must hold at least one name, got none.")
    if rr.ground_truth is None:
        raise TypeError(
            f"{', '.join(asked)} need ground truth, but these results have none (`gt_ids` is None). Make them from a "
            "labelled dataset, or give `gt_ids` to RetrievalResults."
        )
    hits = rr.calc_hits(get_depth(asked))
    warn_if_too_few_answers(asked, hits, rr.retrieved_ids.values.shape[1])
    return dict(zip(asked, calc_named_metrics(hits, list(asked.values())), strict=True))


def _to_floats(metrics: dict[Any, Any]) -> dict[Any, Any]:
    return {k: _to_floats(v) if isinstance(v, dict) else float(v) for k, v in metrics.items()}
