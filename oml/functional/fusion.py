"""Several lists of answers to the same queries made one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.search_exact import NO_ID, sort_answers


def fuse_reciprocal_ranks(lists: Sequence[Tensor], k: float = 60.0) -> tuple[Tensor, Tensor]:
    """
    Give distances (Q, W) and ids (Q, W) of the fused answers, padded with infinity and -1.

    The score of an item is the sum of 1 / (k + rank) over the lists that have it, ranks from 1 (Cormack, Clarke,
    Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009). The
    distance is 1 - score / best possible score: 0 for an item that is first in all lists, below 1 for all others. Equal
    scores are ordered by the lower id.

    Args:
        lists: ids of the answers, best first, each (Q, K) with its own K; negative ids are absent.
        k: larger values give the first ranks less weight over the later ones.

    Raises:
        InvalidInputError: no lists, different numbers of queries, k is negative.

    Example:
        >>> fuse_reciprocal_ranks([torch.tensor([[5, 3]]), torch.tensor([[3, 9]])], k=1)
        (tensor([[0.1667, 0.5000, 0.6667]]), tensor([[3, 5, 9]]))

    """
    check(len(lists) > 0, "`lists` must hold the answers of at least one search.")
    sizes = [len(ids) for ids in lists]
    check(len(set(sizes)) == 1, f"All results must have the same queries, got {sizes} queries.")
    check(k >= 0, f"`k` must not be negative, got {k}.")
    scores = [_score_ranks(ids, k) for ids in lists]
    ids, order = torch.cat(list(lists), dim=1).sort(dim=1)
    score = torch.cat(scores, dim=1).gather(1, order)
    # the scores of one item are added at the place of its first occurrence
    is_first = torch.ones_like(ids, dtype=torch.bool)
    is_first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    places = is_first.cumsum(1) - 1
    sums = torch.zeros_like(score).scatter_add_(1, places, score)
    unique_ids = torch.full_like(ids, NO_ID).scatter_(1, places, ids).clamp_(min=NO_ID)
    distances = (1 - sums * (k + 1) / len(lists)).clamp_(min=0).float()
    width = int((unique_ids >= 0).sum(1).max()) if ids.numel() else 0
    distances, unique_ids = sort_answers(distances, unique_ids)
    return distances[:, :width].contiguous(), unique_ids[:, :width].contiguous()


def _score_ranks(ids: Tensor, k: float) -> Tensor:
    ranks = torch.arange(1, ids.shape[1] + 1, dtype=torch.float64, device=ids.device)
    return (1 / (k + ranks)).expand(ids.shape).masked_fill(ids < 0, 0)
