"""Average precision at k over as many hits as there could be."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from oml.functional.metrics.hit_bytes import sum_precisions
from oml.functional.metrics.hits import Hits, check_top_k


def map_standard_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give the sum, over the hits among the first k answers, of hits so far / rank, divided by min(n_gt, k), float32 (Q,)
    for each k.

    A perfect answer scores 1, and what was missed counts, unlike in `map_at`. This is the mAP@100 of the Google
    Landmarks data set (Weyand, Araujo, Cao, Sim: Google Landmarks Dataset v2, CVPR 2020).

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> map_standard_at(Hits.from_rows([torch.tensor([True, False, True])], n_gts=[4]), top_k=(1, 3))
        [tensor([1.]), tensor([0.5556])]

    """
    check_top_k(top_k)
    sums = zip(top_k, sum_precisions(hits.codes, top_k), strict=True)
    return [hits.judge_empty(total / np.clip(hits.n_relevant, 1, k)) for k, (_, total) in sums]
