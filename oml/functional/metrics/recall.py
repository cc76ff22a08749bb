"""Recall: the share of the relevant galleries that was found."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from oml.functional.metrics.hits import Hits, check_top_k


def recall_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give recall@k of each query for each k, float32 (Q,): hits among its first k answers, divided by n_gt.

    This is the definition of information retrieval; what papers on metric learning call recall@k is `cmc_at`.

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> recall_at(Hits.from_rows([torch.tensor([True, False, True])], n_gts=[4]), top_k=(1, 3))
        [tensor([0.2500]), tensor([0.5000])]

    """
    check_top_k(top_k)
    return [hits.judge_empty(n_found / np.maximum(hits.n_relevant, 1)) for n_found in hits.count_first(top_k)]
