"""Average precision at k over all relevant galleries."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from oml.functional.metrics.hit_bytes import sum_precisions
from oml.functional.metrics.hits import Hits, check_top_k


def map_trec_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give the sum, over the hits among the first k answers, of hits so far / rank, divided by n_gt, float32 (Q,) for each
    k.

    This is `map_cut` of trec_eval; a query with more than k relevant galleries cannot reach 1.

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> map_trec_at(Hits.from_rows([torch.tensor([True, False, True])], n_gts=[4]), top_k=(1, 3))
        [tensor([0.2500]), tensor([0.4167])]

    """
    check_top_k(top_k)
    return [hits.judge_empty(total / np.maximum(hits.n_relevant, 1)) for _, total in sum_precisions(hits.codes, top_k)]
