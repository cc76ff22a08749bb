"""Precision@k with sigmoids by loops, from the definition."""

import torch
from torch import Tensor


def calc_surrogate_precision_by_loop(distances: Tensor, relevant: Tensor, k: int, t1: float, t2: float) -> Tensor:
    """Give the precision of each query (Q,), with a graph."""
    precisions = []
    for row, mask in zip(distances, relevant.tolist(), strict=True):
        total = row.sum() * 0
        for g, is_relevant in enumerate(mask):
            if is_relevant:
                rank = sum(torch.sigmoid((row[g] - row[a]) / t2) for a in range(len(row)))
                total = total + torch.sigmoid((k - rank) / t1)
        precisions.append(total / max(1, min(sum(mask), k)))
    return torch.stack(precisions) if precisions else distances.sum(dim=1)
