"""Normalised discounted cumulative gain."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from oml.functional.metrics.hit_bytes import sum_weights
from oml.functional.metrics.hits import Hits, check_top_k


def ndcg_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give the sum, over the hits among the first k answers, of 1 / log2(rank + 1), divided by the highest possible one,
    float32 (Q,) for each k.

    The highest one has hits at the first min(n_gt, k) ranks (Järvelin, Kekäläinen: Cumulated gain-based evaluation of
    IR techniques, TOIS 2002, with the discount in use since; relevance is 0 or 1).

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> ndcg_at(Hits.from_rows([torch.tensor([True, False, True])], n_gts=[2]), top_k=(1, 3))
        [tensor([1.]), tensor([0.9197])]

    """
    check_top_k(top_k)
    n_possible = min(max(top_k), int(hits.n_relevant.max(initial=0)))
    weights = 1 / np.log2(np.arange(2, max(n_possible, 8 * len(hits.codes)) + 2))
    highest = np.append(1, weights.cumsum())  # by the number of relevant galleries; no division by 0
    sums = zip(top_k, sum_weights(hits.codes, weights, top_k), strict=True)
    return [hits.judge_empty(total / highest[np.minimum(hits.n_relevant, k)]) for k, total in sums]
