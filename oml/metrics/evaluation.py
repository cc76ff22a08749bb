"""Any set of metrics by their names."""

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from oml.errors import check
from oml.functional.metrics.reduction import TCategories
from oml.functional.metrics.retrieval import group_metrics
from oml.metrics.names import NamedMetric, parse_metric
from oml.retrieval import RetrievalResults

_DEFAULT = ("cmc@1", "map@5", "map@r")


def evaluate(
    rr: RetrievalResults,
    metrics: Sequence[str] = _DEFAULT,
    query_categories: TCategories | None = None,
    reduce: bool = True,
) -> dict[Any, Any]:
    """
    Give the metrics of these names as `{name: value}`, in the given order.

    Names: `cmc@k`, `precision@k`, `map@k` (as `calc_retrieval_metrics_rr` defines them), `recall@k`, `map@r`, each
        with any positive
    integer as k.

    Args:
        rr: retrieval results with ground truth.
        metrics: names.
        query_categories: a category per query (list of anything hashable, array or tensor): the result is then
            `{"OVERALL": {name: value}, category: {name: value}, ...}`.
        reduce: give means as floats; else values per query, float32 (Q,).

    Raises:
        InvalidInputError: an unknown name (the nearest ones are given), a bad cut-off, another number of categories
            than of queries.
        TypeError: the results have no ground truth.

    Example:
        >>> import torch
        >>> ids = [torch.tensor([4, 2]), torch.tensor([3, 0])]
        >>> rr = RetrievalResults([torch.tensor([0.1, 0.2])] * 2, ids, gt_ids=[torch.tensor([2]), torch.tensor([3])])
        >>> evaluate(rr, ["cmc@1", "map@r"])
        {'cmc@1': 0.5, 'map@r': 0.5}

    """
    check(not isinstance(metrics, str), f"`metrics` must be a list of names, got the text {metrics!r}.")
    asked = {text: parse_metric(text) for text in metrics}
    hits = rr.calc_hits(_get_depth(list(asked.values())))
    if "map@r" in asked:
        _warn_if_too_few_answers(hits.n_gts, rr.retrieved_ids.values.shape[1])
    values = {text: metric.calc(hits) for text, metric in asked.items()}
    found = group_metrics(values, query_categories, len(hits.lengths), reduce)
    return _to_floats(found) if reduce else found


def _get_depth(metrics: Sequence[NamedMetric]) -> int | None:
    """Give the number of answers that must be looked at, None for all."""
    depths = [metric.k for metric in metrics]
    return None if None in depths else max((k for k in depths if k is not None), default=0)


def _warn_if_too_few_answers(n_gts: Tensor, n_kept: int) -> None:
    n_needed = int(n_gts.max()) if len(n_gts) else 0
    if n_needed > n_kept:
        warnings.warn(
            f"map@r looks at as many answers as there are relevant galleries, up to {n_needed} here, but only "
            f"{n_kept} were kept: the rest counts as misses. "
            f"Search with n_items={n_needed} or more for the exact value.",
            UserWarning,
            stacklevel=3,
        )


def _to_floats(metrics: dict[Any, Any]) -> dict[Any, Any]:
    return {k: _to_floats(v) if isinstance(v, dict) else float(v) for k, v in metrics.items()}
