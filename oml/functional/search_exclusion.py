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
        # stable: the galleries of a key stay in the order of their ids
        self.sorted = [g.sort(stable=True) for _, g in self.keys]

    def hide(self, scores: Tensor, queries: Tensor, start: int, value: float = torch.inf) -> None:
        """
        Put the value into the scores (q, g) of excluded pairs, in place.

        Args:
            scores: of these queries with the galleries `start ... start + g`.
            queries: positions of the queries, (q,).
            start: position of the first gallery.
            value: what to put.

        """
        for query_keys, gallery_keys in self.keys:
            is_same = query_keys[queries][:, None] == gallery_keys[start : start + scores.shape[1]]
            scores.masked_fill_(is_same, value)

    def list_pairs(self, queries: Tensor, max_pairs: int) -> "ExcludedPairs | None":
        """Give what is excluded for these queries, or None if that is more than `max_pairs` pairs."""
        rows, ids = [], []
        for (query_keys, _), (sorted_keys, order) in zip(self.keys, self.sorted, strict=True):
            wanted = query_keys[queries]
            first = torch.searchsorted(sorted_keys, wanted)
            n_equal = torch.searchsorted(sorted_keys, wanted, right=True) - first
            max_pairs -= int(n_equal.sum())
            if max_pairs < 0:
                return None
            new_rows, ranks = expand_counts(n_equal)
            rows.append(new_rows)
            ids.append(order[first[new_rows] + ranks])
        return ExcludedPairs(torch.cat(rows), torch.cat(ids)) if rows else ExcludedPairs(queries[:0], queries[:0])

    def count(self, queries: Tensor) -> Tensor:
        """Give how many galleries are excluded for these queries, one of several keys counted several times, (q,)."""
        counts = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
        for (query_keys, _), (sorted_keys, _) in zip(self.keys, self.sorted, strict=True):
            wanted = query_keys[queries]
            counts += torch.searchsorted(sorted_keys, wanted, right=True) - torch.searchsorted(sorted_keys, wanted)
        return counts

    def mark(self, ids: Tensor, queries: Tensor) -> Tensor:
        """Tell which of the answers (q, k) of these queries, (q,), are excluded; negative ids are not."""
        marks = torch.zeros_like(ids, dtype=torch.bool)
        for query_keys, gallery_keys in self.keys:
            marks |= gallery_keys[ids.clamp(min=0)] == query_keys[queries][:, None]
        return marks & (ids >= 0)


class ExcludedPairs:
    """The excluded pairs of a block of queries: row of the query, id of the gallery, in the order of the ids."""

    def __init__(self, rows: Tensor, ids: Tensor):
        self.ids, order = ids.sort()
        self.rows = rows[order]

    def hide(self, scores: Tensor, start: int, value: float) -> None:
        """Put the value into the scores (q, g) of the excluded pairs, in place, the first gallery being `start`."""
        ends = self.ids.new_tensor([start, start + scores.shape[1]])
        first, last = torch.searchsorted(self.ids, ends).tolist()
        if last > first:
            scores[self.rows[first:last], self.ids[first:last] - start] = value


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
