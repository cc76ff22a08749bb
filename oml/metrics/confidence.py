"""How sure the mean of a metric is: intervals over queries and over labels."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from oml.errors import check
from oml.functional.metrics.confidence import calc_bootstrap_interval
from oml.functional.metrics.reduction import TCategories
from oml.retrieval import RetrievalResults

N_BOOT = 1000
TSeed = int | np.random.Generator


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


class Estimate(NamedTuple):
    """
    The mean of a metric over queries, and how sure it is.

    Attributes:
        mean: over the queries.
        over_queries: for other queries of the same labels.
        over_labels: for other labels, None where the labels are unknown. The wider one, and the one to quote where a
            model has to work with classes it has never seen.

    """

    mean: float
    over_queries: Interval
    over_labels: Interval | None


def number_labels(rr: RetrievalResults, query_labels: TCategories | None) -> np.ndarray | None:
    """
    Give the label of each query as a number from 0, (Q,), or None where they are unknown.

    Args:
        rr: retrieval results; they know the labels if their ground truth was made from them.
        query_labels: one per query, in place of those.

    Raises:
        InvalidInputError: another number of labels than of queries.

    """
    if query_labels is None:
        known = getattr(rr.ground_truth, "labels_query", None)
        return None if known is None else np.unique(known.cpu().numpy(), return_inverse=True)[1]
    values = query_labels.tolist() if isinstance(query_labels, Tensor | np.ndarray) else list(query_labels)
    n_queries = len(rr.lengths)
    check(len(values) == n_queries, f"`query_labels` must have one label per query, got {len(values)} for {n_queries}.")
    numbers = {label: i for i, label in enumerate(dict.fromkeys(values))}
    return np.array([numbers[label] for label in values], dtype=np.int64)


def sum_over_labels(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the sums of the values (Q, M) over the queries of each label, (L, M), and how many these are, (L,)."""
    _, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    columns = [np.bincount(numbers, weights=column, minlength=len(sizes)) for column in values.T]
    return np.stack(columns, axis=1), sizes


def calc_intervals(
    values: np.ndarray, labels: np.ndarray | None, n_boot: int, rng: np.random.Generator
) -> tuple[list[Interval], list[Interval] | list[None]]:
    """Give intervals of the means of the columns of values (Q, M): over queries, and over labels (Q,) if given."""
    check(n_boot >= 1, f"`n_boot` must be at least 1, got {n_boot}.")
    over_queries = _to_intervals(calc_bootstrap_interval(values, np.ones(len(values)), n_boot, rng))
    if labels is None:
        return over_queries, [None] * len(over_queries)
    return over_queries, _to_intervals(calc_bootstrap_interval(*sum_over_labels(values, labels), n_boot, rng))


def estimate_means(
    metrics: dict[str, Tensor], labels: np.ndarray | None, n_boot: int, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Give the means of values per query, (Q,) each, with intervals over queries, and over labels (Q,) if given."""
    values = torch.stack(list(metrics.values()), dim=1).double().cpu().numpy()
    rows = zip(metrics, *calc_intervals(values, labels, n_boot, rng), strict=True)
    return {name: Estimate(float(metrics[name].mean()), queries, by_label) for name, queries, by_label in rows}


def _to_intervals(ends: np.ndarray) -> list[Interval]:
    return [Interval(float(low), float(high)) for low, high in ends.T]
