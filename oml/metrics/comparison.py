"""Is one model better than another, or is it luck?"""

from typing import NamedTuple

import numpy as np

from oml.errors import check, show_some
from oml.functional.metrics.confidence import calc_sign_flip_p_value
from oml.functional.metrics.reduction import TCategories
from oml.metrics.confidence import N_BOOT, Interval, TSeed, calc_intervals, number_labels, sum_over_labels
from oml.metrics.evaluation import calc_per_query
from oml.retrieval import RetrievalResults

N_PERMUTATIONS = 9999


class Comparison(NamedTuple):
    """
    Two results for the same queries, compared.

    Attributes:
        metric: its name.
        mean_a: of the first results.
        mean_b: of the second ones.
        difference: `mean_a - mean_b`.
        over_queries: 95 % interval of the difference for other queries of the same labels.
        over_labels: likewise for other labels, None where the labels are unknown.
        p_value: of the queries' differences, were the two results equally good.
        p_value_labels: the same with all queries of a label as one, None where the labels are unknown. The one to
            quote: queries of a label resemble one another, and `p_value` takes them for independent.

    """

    metric: str
    mean_a: float
    mean_b: float
    difference: float
    over_queries: Interval
    over_labels: Interval | None
    p_value: float
    p_value_labels: float | None


def compare(
    rr_a: RetrievalResults,
    rr_b: RetrievalResults,
    metric: str,
    query_labels: TCategories | None = None,
    n_boot: int = N_BOOT,
    n_permutations: int = N_PERMUTATIONS,
    seed: TSeed = 0,
) -> Comparison:
    """
    Compare two results for the same queries, query by query: the difference of the means, how sure it is, a p-value.

    Args:
        rr_a: retrieval results with ground truth.
        rr_b: results for the same queries in the same order, such as those of another model.
        metric: a name, as in `evaluate`.
        query_labels: the label of each query; by default those that the ground truth of `rr_a` was made from, if it
            was.
        n_boot: number of draws for the intervals.
        n_permutations: number of assignments of signs for the p-values.
        seed: of the draws: an integer, or a numpy generator.

    Raises:
        InvalidInputError: the queries differ in number, or in the labels that the ground truth was made from; an
            unknown name (the nearest ones are given); no queries; another number of labels than of queries.
        TypeError: results have no ground truth.

    Example:
        >>> import torch
        >>> ids, gts = [torch.tensor([4, 2])] * 8, [torch.tensor([2])] * 8
        >>> rr_a = RetrievalResults([torch.tensor([0.1, 0.2])] * 8, [row.flip(0) for row in ids], gt_ids=gts)
        >>> rr_b = RetrievalResults([torch.tensor([0.1, 0.2])] * 8, ids, gt_ids=gts)
        >>> found = compare(rr_a, rr_b, "cmc@1")
        >>> found.difference, found.p_value  # 2 of the 2 ** 8 assignments of signs are as far from 0
        (1.0, 0.0078125)

    """
    check(isinstance(metric, str), f"`metric` must be the name of one metric, got {metric!r}.")
    check(n_permutations >= 1, f"`n_permutations` must be at least 1, got {n_permutations}.")
    _check_same_queries(rr_a, rr_b)
    labels = number_labels(rr_a, query_labels)
    of_a, of_b = (calc_per_query(rr, [metric])[metric].double().cpu().numpy() for rr in (rr_a, rr_b))
    differences = (of_a - of_b)[:, None]
    rng = np.random.default_rng(seed)
    over_queries, over_labels = calc_intervals(differences, labels, n_boot, rng)
    p_value = calc_sign_flip_p_value(differences[:, 0], n_permutations, rng)
    p_value_labels = None
    if labels is not None:
        p_value_labels = calc_sign_flip_p_value(sum_over_labels(differences, labels)[0][:, 0], n_permutations, rng)
    means = float(of_a.mean()), float(of_b.mean())
    return Comparison(
        metric, *means, float(differences.mean()), over_queries[0], over_labels[0], p_value, p_value_labels
    )


def _check_same_queries(rr_a: RetrievalResults, rr_b: RetrievalResults) -> None:
    n_a, n_b = len(rr_a.lengths), len(rr_b.lengths)
    check(n_a == n_b, f"`rr_a` and `rr_b` must have answers to the same queries, got {n_a} and {n_b} queries.")
    check(n_a > 0, "`rr_a` and `rr_b` must have answers to at least one query, got none.")
    labels_a, labels_b = number_labels(rr_a, None), number_labels(rr_b, None)
    if labels_a is not None and labels_b is not None:
        differ = np.flatnonzero(labels_a != labels_b).tolist()
        check(
            not differ,
            "`rr_a` and `rr_b` must have answers to the same queries in the same order, but the labels differ at "
            f"positions {show_some(differ)}.",
        )
