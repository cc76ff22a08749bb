"""Galleries that are no answer to a query: the very same item, items of the same sequence."""

from collections.abc import Sequence

import torch
from torch import Tensor

from oml.errors import check

TKeys = tuple[Tensor, Tensor]


class Exclusion:
    """
    Hides the galleries that share a key with the query, block by block.

    Args:
        keys: pairs of integer keys of the queries, (Q,), and of the galleries, (G,); one equal key excludes.
        n_queries: Q, to check the keys against.
        n_galleries: G, likewise.
        device: where the scores are.

    """

    def __init__(self, keys: Sequence[TKeys], n_queries: int, n_galleries: int, device: torch.device):
        for query_keys, gallery_keys in keys:
            check(
                len(query_keys) == n_queries and len(gallery_keys) == n_galleries,
                f"Each pair of keys in `exclude` needs {n_queries} keys of queries and {n_galleries} of galleries, "
                f"got {len(query_keys)} and {len(gallery_keys)}.",
            )
        self.keys = [(q.to(device), g.to(device)) for q, g in keys]

    def hide(self, scores: Tensor, queries: Tensor, start: int) -> None:
        """
        Put infinity into the scores (q, g) of excluded pairs, in place.

        Args:
            scores: of these queries with the galleries `start ... start + g`.
            queries: positions of the queries, (q,).
            start: position of the first gallery.

        """
        for query_keys, gallery_keys in self.keys:
            _hide_equal(scores, query_keys[queries], gallery_keys[start : start + scores.shape[1]])


def _hide_equal(scores: Tensor, query_keys: Tensor, gallery_keys: Tensor) -> None:
    sorted_keys, order = gallery_keys.sort()
    first = torch.searchsorted(sorted_keys, query_keys)
    n_equal = torch.searchsorted(sorted_keys, query_keys, right=True) - first
    n_pairs = int(n_equal.sum())
    if n_pairs > scores.numel() // 16:  # a list of so many pairs would be larger than a mask
        scores.masked_fill_(query_keys[:, None] == gallery_keys[None, :], torch.inf)
    elif n_pairs:
        rows, ranks = expand_counts(n_equal)
        scores[rows, order[first[rows] + ranks]] = torch.inf


def expand_counts(counts: Tensor) -> tuple[Tensor, Tensor]:
    """
    Give, for groups of these sizes laid out one after another, the group of each element and its rank in the group.

    Example:
        >>> expand_counts(torch.tensor([2, 0, 1]))
        (tensor([0, 0, 2]), tensor([0, 1, 0]))

    """
    rows = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    starts = counts.cumsum(0) - counts
    return rows, torch.arange(len(rows), device=counts.device) - starts[rows]
