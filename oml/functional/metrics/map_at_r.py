"""MAP@R: average precision over as many answers as there are relevant galleries."""

import numpy as np
from torch import Tensor

from oml.functional.metrics.hit_bytes import sum_precisions
from oml.functional.metrics.hits import Hits


def map_at_r(hits: Hits) -> Tensor:
    """
    Give MAP@R of each query, float32 (Q,): the sum, over its hits among the first R, of hits so far / rank, divided by
    R.

    R is the number of relevant galleries of the query (Musgrave, Belongie, Lim: A Metric Learning Reality Check, ECCV
    2020, section 3.2). Answers that were not kept count as misses: keep at least the largest R.

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> map_at_r(Hits.from_rows([torch.tensor([True, False, True])], n_gts=[2]))
        tensor([0.5000])

    """
    first = hits.keep_first_r()
    _, total = sum_precisions(first.codes, (max(1, first.is_hit.shape[1]),))[0]
    return hits.judge_empty(total / np.maximum(hits.n_relevant, 1))
