"""Which queries a metric finds worst, and what is drawn of them."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oml.const import OVERALL_CATEGORIES_KEY
from oml.errors import InvalidInputError, check, unknown_name_message
from oml.functional.metrics import TMetricsDict
from oml.utils.misc import flatten_dict


def find_worst_queries(
    metric_name: str, n_queries: int, metrics: TMetricsDict, categories: Sequence[Hashable] | None
) -> list[int]:
    """
    Give the numbers of the queries with the lowest values, the worst first, equal ones by their number.

    Args:
        metric_name: As `flatten_dict` names it: `"<category>/<metric>/<parameter>"`.
        n_queries: How many to give; fewer where the category has fewer.
        metrics: Values per query by category, metric and parameter. Those of a category belong to its queries.
        categories: A category per query, or None.

    Raises:
        InvalidInputError: there is no such metric (the nearest names are given), it has no values per query, or the
            number of queries is negative.

    Example:
        >>> metrics = {"OVERALL": {"cmc": {1: torch.tensor([1.0, 0.0, 0.0])}}, "a": {"cmc": {1: torch.tensor([0.0])}}}
        >>> find_worst_queries("OVERALL/cmc/1", 2, metrics, ["b", "b", "a"])
        [1, 2]
        >>> find_worst_queries("a/cmc/1", 2, metrics, ["b", "b", "a"])
        [2]

    """
    check(n_queries >= 0, f"`n_queries` must not be negative, got {n_queries}.")
    per_query = {
        name: (category, values)
        for category, of_category in metrics.items()
        for name, values in flatten_dict({category: of_category}, ignored_keys=("pcf", "fnmr@fmr")).items()
    }
    if metric_name not in per_query:
        raise InvalidInputError(unknown_name_message("metric with values per query", metric_name, list(per_query)))
    category, values = per_query[metric_name]
    order = torch.argsort(values, stable=True)[:n_queries].tolist()
    if category == OVERALL_CATEGORIES_KEY:
        return order
    members = [i for i, value in enumerate(categories or ()) if value == category]
    return [members[i] for i in order]


def pick_metrics_to_draw(metrics: TMetricsDict, excluded: Collection[str], only_overall: bool) -> list[str]:
    """
    Give the names of the metrics that are to be drawn.

    Example:
        >>> metrics = {"OVERALL": {"cmc": {1: 0.5}, "pcf": {0.5: 0.1}}, "a": {"cmc": {1: 0.5}}}
        >>> pick_metrics_to_draw(metrics, {"pcf"}, only_overall=True)
        ['OVERALL/cmc/1']

    """
    kept = {OVERALL_CATEGORIES_KEY: metrics[OVERALL_CATEGORIES_KEY]} if only_overall else metrics
    return list(flatten_dict(kept, ignored_keys=tuple(excluded)))


def read_categories(values: Any) -> list[Hashable]:
    """Give the category of each item as a list, of a list, an array, a tensor or a column of a table."""
    return values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
