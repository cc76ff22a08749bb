"""mINP: how far down one must look to find everything."""

import numpy as np
import torch
from torch import Tensor

from oml.functional.metrics.hits import Hits


def minp(hits: Hits) -> Tensor:
    """
    Give the number of relevant galleries divided by the rank of the last one, of each query, float32 (Q,).

    A query with a relevant gallery that is not among its answers scores 0: keep enough answers to find all (Ye, Shen,
    Lin, Xiang, Shao, Hoi: Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI 2021, equation 3).

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> minp(Hits.from_rows([torch.tensor([True, False, False, True])], n_gts=[2]))
        tensor([0.5000])

    """
    width = hits.is_hit.shape[1]
    if not hits.is_hit.numel():
        return hits.judge_empty(np.zeros(len(hits.lengths)))
    last_rank = width - hits.is_hit.flip(1).to(torch.uint8).argmax(1).cpu().numpy()
    is_complete = hits.count_first((width,))[0] == hits.n_relevant
    return hits.judge_empty(is_complete * hits.n_relevant / last_rank)
