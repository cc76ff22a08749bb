"""Precision as information retrieval defines it."""

from collections.abc import Sequence

from torch import Tensor

from oml.functional.metrics.hits import Hits, check_top_k


def precision_standard_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give hits among the first k answers, divided by k, of each query for each k, float32 (Q,).

    Unlike `precision_at` this stays below 1 for a query with less than k relevant galleries, or less than k answers
    (Manning, Raghavan, Schütze: Introduction to Information Retrieval, 2008, section 8.4).

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> precision_standard_at(Hits.from_rows([torch.tensor([True, False, True])], n_gts=[2]), top_k=(2, 4))
        [tensor([0.5000]), tensor([0.5000])]

    """
    check_top_k(top_k)
    return [hits.judge_empty(n / k) for k, n in zip(top_k, hits.count_first(top_k), strict=True)]
