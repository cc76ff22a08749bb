"""Mean reciprocal rank."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from oml.functional.metrics.hits import Hits, check_top_k


def mrr_at(hits: Hits, top_k: Sequence[int]) -> list[Tensor]:
    """
    Give 1 / rank of the first hit among the first k answers, 0 if there is none, float32 (Q,) for each k.

    With the number of answers as k this is the reciprocal rank without a cut-off (Voorhees: The TREC-8 Question
    Answering Track Report, 1999).

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> mrr_at(Hits.from_rows([torch.tensor([False, False, True])], n_gts=[1]), top_k=(2, 3))
        [tensor([0.]), tensor([0.3333])]

    """
    check_top_k(top_k)
    first = hits.is_hit.to(torch.uint8).argmax(1).cpu().numpy() if hits.is_hit.numel() else np.zeros(len(hits.lengths))
    is_found = hits.count_first((max(1, hits.is_hit.shape[1]),))[0] > 0
    return [hits.judge_empty((is_found & (first < k)) / (first + 1)) for k in top_k]


def mrr(hits: Hits) -> Tensor:
    """Give `mrr_at` over all answers, float32 (Q,)."""
    return mrr_at(hits, (max(1, hits.is_hit.shape[1]),))[0]
