"""Values per query to means, for all queries and for those of each category."""

import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oml.const import OVERALL_CATEGORIES_KEY
from oml.errors import check

TMetricsDict = dict[Any, Any]
TCategories = Sequence[Hashable] | np.ndarray | Tensor


def reduce_metrics(metrics_to_reduce: TMetricsDict) -> TMetricsDict:
    """
    Give the same nested dictionary with means, 0-d, in place of tensors and arrays; numbers stay.

    Example:
        >>> reduce_metrics({"cmc": {1: torch.tensor([1.0, 0.0])}, "pcf": 0.2})
        {'cmc': {1: tensor(0.5000)}, 'pcf': 0.2}

    """
    return _map_leaves(metrics_to_reduce, lambda x: x.mean() if isinstance(x, Tensor | np.ndarray) else x)


def take_unreduced_metrics_by_mask(metrics: TMetricsDict, mask: Tensor | np.ndarray) -> TMetricsDict:
    """
    Give the same nested dictionary with the values of some queries only.

    Args:
        metrics: tensors (Q,) in nested dictionaries; those of one element belong to no query and stay.
        mask: bool (Q,).

    Example:
        >>> take_unreduced_metrics_by_mask({"cmc": {1: torch.tensor([1.0, 0.0])}}, torch.tensor([True, False]))
        {'cmc': {1: tensor([1.])}}

    """
    mask = torch.as_tensor(mask)
    return _map_leaves(metrics, lambda x: x if x.numel() == 1 else x[mask.to(x.device)])


def split_items(metrics: TMetricsDict, groups: Mapping[Hashable, Tensor]) -> dict[Hashable, TMetricsDict]:
    """
    Give for each group the same nested dictionary with the values of its items only.

    Args:
        metrics: tensors (n_items,) in nested dictionaries.
        groups: the positions of the items of each group.

    Example:
        >>> groups = {"cat": torch.tensor([0, 2]), "dog": torch.tensor([1])}
        >>> split_items({"cmc": {1: torch.tensor([1.0, 0.5, 0.0])}}, groups)
        {'cat': {'cmc': {1: tensor([1., 0.])}}, 'dog': {'cmc': {1: tensor([0.5000])}}}

    """
    if not groups:
        return {}
    order = torch.cat(list(groups.values()))
    metrics = _map_leaves(metrics, lambda x: x[order.to(x.device)])  # once; the groups are slices of it
    parts, start = {}, 0
    for name, ids in groups.items():
        place = slice(start, start + len(ids))
        parts[name] = _map_leaves(metrics, operator.itemgetter(place))
        start = place.stop
    return parts


def split_by_category(categories: TCategories, n_items: int) -> dict[Hashable, Tensor]:
    """
    Give the positions of the items of each category, ascending; categories in the order in which they first occur.

    Args:
        categories: one per item: a list of anything hashable, an array or a tensor.
        n_items: how many there must be.

    Raises:
        InvalidInputError: another number of categories, or one is named as the mean over all of them.

    Example:
        >>> split_by_category(["cat", "dog", "cat"], 3)
        {'cat': tensor([0, 2]), 'dog': tensor([1])}

    """
    values = categories.tolist() if isinstance(categories, Tensor | np.ndarray) else list(categories)
    check(len(values) == n_items, f"There must be one category per item: got {len(values)} for {n_items} items.")
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    # numpy sorts short integers several times faster
    dtype = np.min_scalar_type(len(numbers))
    codes = np.fromiter(map(numbers.__getitem__, values), dtype, len(values))
    check(
        OVERALL_CATEGORIES_KEY not in numbers,
        f"A category must not be called {OVERALL_CATEGORIES_KEY!r}: the metrics of all items have this name.",
    )
    positions = torch.from_numpy(np.argsort(codes, kind="stable"))
    counts = np.bincount(codes, minlength=len(numbers)).tolist()
    return dict(zip(numbers, positions.split(counts), strict=True)) if numbers else {}


def _map_leaves(tree: TMetricsDict, function: Callable[[Any], Any]) -> TMetricsDict:
    return {k: _map_leaves(v, function) if isinstance(v, dict) else function(v) for k, v in tree.items()}
