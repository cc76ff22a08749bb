"""MAP@R: average precision over as many answers as there are relevant galleries."""

import torch
from torch import Tensor

from oml.functional.metrics.hits import Hits
from oml.functional.metrics.mean_average_precision import calc_precision_gains


def map_at_r(hits: Hits) -> Tensor:
    """
    Give MAP@R of each query, float32 (Q,): the sum, over its hits among the first R, of hits so far / rank, divided by
    R.

    R is the number of relevant galleries of the query (Musgrave, Belongie, Lim: A Metric Learning Reality Check, ECCV
    2020, section 3.2). Answers that were not kept count as misses: keep at least the largest R.

    A query without answers scores 1 if nothing is relevant to it, else 0. One with answers and nothing relevant scores
    0.

    Example:
        >>> map_at_r(Hits.from_rows([torch.tensor([True, False, True])], n_gts=[2]))
        tensor([0.5000])

    """
    is_hit = hits.is_hit[:, : int(hits.n_gts.max()) if len(hits.n_gts) else 0]
    _, gains = calc_precision_gains(is_hit)
    ranks = torch.arange(1, is_hit.shape[1] + 1, device=is_hit.device)
    total = gains.mul_(ranks <= hits.n_gts[:, None]).sum(1)
    return hits.judge_empty(total / hits.n_gts.clamp(min=1))
