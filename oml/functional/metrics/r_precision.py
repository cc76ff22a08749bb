"""R-precision: the share of the first R answers that are relevant."""

import numpy as np
from torch import Tensor

from oml.functional.metrics.hits import Hits


def r_precision(hits: Hits) -> Tensor:
    """
    Give hits among the first R answers, divided by R, of each query, float32 (Q,).

    R is the number of relevant galleries of the query; precision and recall are equal there. Answers that were not kept
    count as misses: keep at least the largest R.

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> import torch
        >>> r_precision(Hits.from_rows([torch.tensor([True, False, True])], n_gts=[2]))
        tensor([0.5000])

    """
    first = hits.keep_first_r()
    n_found = first.count_first((max(1, first.is_hit.shape[1]),))[0]
    return hits.judge_empty(n_found / np.maximum(hits.n_relevant, 1))
