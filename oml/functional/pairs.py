"""Distances of listed pairs of vectors, in blocks."""

import torch
from torch import Tensor

_BLOCK = 2**21  # numbers held at once


def calc_square_distances(queries: Tensor, rows: Tensor, galleries: Tensor, candidate_rows: Tensor) -> Tensor:
    """
    Give the squared L2 distances of queries and their candidates, (n, K), from the differences: equal vectors give 0.

    Args:
        queries: float (Q, D); float16 and bfloat16 are computed in float32.
        rows: rows of the queries, (n,).
        galleries: float (G, D).
        candidate_rows: rows of the galleries, (n, K); negative ones are absent and get infinity.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> calc_square_distances(x, torch.tensor([0]), x, torch.tensor([[1, 0, -1]]))
        tensor([[25.,  0., inf]])

    """
    n_rows, width = candidate_rows.shape
    dtype = torch.float64 if torch.float64 in (queries.dtype, galleries.dtype) else torch.float32
    squares = torch.full(candidate_rows.shape, torch.inf, dtype=dtype, device=queries.device)
    if not len(galleries) or not width:
        return squares
    step = max(1, _BLOCK // max(1, width * queries.shape[1]))
    for start in range(0, n_rows, step):
        part = candidate_rows[start : start + step]
        differences = galleries[part.clamp(min=0)].to(dtype)
        differences -= queries[rows[start : start + step], None].to(dtype)
        squares[start : start + step] = differences.square_().sum(2).masked_fill_(part < 0, torch.inf)
    return squares
