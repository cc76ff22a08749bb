"""Which galleries are relevant to a query: those of its label, less the excluded ones; or those that are listed."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from oml.functional.ragged import Ragged
from oml.functional.search_exclusion import TKeys, expand_counts

_BLOCK = 2**22  # answers compared at once
_LARGEST_CODE = 2**62  # numbers made of two keys must stay below it


def count_relevant(labels_query: Tensor, labels_gallery: Tensor, exclude: Sequence[TKeys] = ()) -> Tensor:
    """
    Give the number of galleries that have the label of each query and are not excluded, (Q,).

    Counts only, so the memory is linear in Q + G. Excluded are the galleries equal to the query in at least one key: by
    inclusion and exclusion over the keys.

    Args:
        labels_query: (Q,), integers.
        labels_gallery: (G,), integers.
        exclude: pairs of keys (Q,) and (G,), as in `search`.

    Example:
        >>> labels = torch.tensor([7, 7, 8])
        >>> count_relevant(labels, labels), count_relevant(labels, labels, exclude=[(torch.arange(3), torch.arange(3))])
        (tensor([2, 2, 1]), tensor([1, 1, 0]))

    """
    n_relevant = torch.zeros_like(labels_query, dtype=torch.int64)
    for size in range(len(exclude) + 1):
        for chosen in combinations(exclude, size):
            n_relevant += (-1) ** size * _count_equal([(labels_query, labels_gallery), *chosen])
    return n_relevant


def list_relevant(labels_query: Tensor, labels_gallery: Tensor, exclude: Sequence[TKeys] = ()) -> Ragged:
    """
    Give the ids of the relevant galleries of each query, ascending, one query after another.

    Takes the arguments of `count_relevant`. The memory is that of the lists.
    """
    sorted_labels, order = labels_gallery.sort(stable=True)
    first = torch.searchsorted(sorted_labels, labels_query)
    rows, ranks = expand_counts(torch.searchsorted(sorted_labels, labels_query, right=True) - first)
    ids = order[first[rows] + ranks]
    for query_keys, gallery_keys in exclude:
        kept = query_keys[rows] != gallery_keys[ids]
        rows, ids = rows[kept], ids[kept]
    counts = torch.bincount(rows, minlength=len(labels_query))
    return Ragged(ids, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))


def list_sharing(labels_query: Ragged, labels_gallery: Ragged, exclude: Sequence[TKeys] = ()) -> Ragged:
    """
    Give the ids of the galleries that share a label with each query, ascending, one query after another.

    The memory is that of the lists, with a gallery counted once for each label that it shares.

    Args:
        labels_query: the labels of each query, integers from 0 on; a query without labels has no relevant galleries.
        labels_gallery: the labels of each gallery.
        exclude: pairs of keys (Q,) and (G,), as in `search`.

    Example:
        >>> labels = Ragged(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 2, 3, 4]))
        >>> list_sharing(labels, labels).values.tolist()
        [0, 1, 0, 1, 2]

    """
    queries, _ = expand_counts(labels_query.lengths)
    galleries, _ = expand_counts(labels_gallery.lengths)
    of_label = list_relevant(labels_query.values, labels_gallery.values)  # positions among the galleries' labels
    places, _ = expand_counts(of_label.lengths)
    rows, ids = queries[places], galleries[of_label.values]
    n_galleries = max(len(labels_gallery.lengths), 1)
    pairs = torch.unique(rows * n_galleries + ids)
    rows, ids = pairs // n_galleries, pairs % n_galleries
    for query_keys, gallery_keys in exclude:
        kept = query_keys[rows] != gallery_keys[ids]
        rows, ids = rows[kept], ids[kept]
    counts = torch.bincount(rows, minlength=len(labels_query.lengths))
    return Ragged(ids, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))


def is_relevant(ids: Tensor, labels_query: Tensor, labels_gallery: Tensor, exclude: Sequence[TKeys] = ()) -> Tensor:
    """
    Tell which answers are relevant, (Q, K).

    Args:
        ids: gallery ids of the answers (Q, K); negative ones are absent answers, never relevant.
        labels_query: (Q,), integers.
        labels_gallery: (G,), integers.
        exclude: pairs of keys (Q,) and (G,), as in `search`.

    """
    hits = torch.zeros_like(ids, dtype=torch.bool)
    step = max(1, _BLOCK // max(1, ids.shape[1]))
    for start in range(0, len(ids) if len(labels_gallery) else 0, step):
        part = slice(start, start + step)
        answers = ids[part]
        if bool((answers < 0).any()):
            hits[part] = (labels_gallery[answers.clamp(min=0)] == labels_query[part, None]) & (answers >= 0)
        else:
            hits[part] = labels_gallery[answers] == labels_query[part, None]
        rows, columns = hits[part].nonzero().unbind(1)
        for query_keys, gallery_keys in exclude:  # hits are few: the keys of the rest need not be compared
            is_same = query_keys[part][rows] == gallery_keys[ids[part][rows, columns]]
            hits[part][rows[is_same], columns[is_same]] = False
    return hits


def is_listed(ids: Tensor, relevant: Ragged) -> Tensor:
    """
    Tell which answers (Q, K) are in the list of relevant galleries of their query, (Q, K).

    Example:
        >>> is_listed(torch.tensor([[4, 2], [4, -1]]), Ragged(torch.tensor([2, 9]), torch.tensor([0, 2, 2])))
        tensor([[False,  True],
                [False, False]])

    """
    if not len(relevant.values) or not ids.numel():
        return torch.zeros_like(ids, dtype=torch.bool)
    n_ids = int(torch.maximum(ids.max(), relevant.values.max())) + 1
    rows, _ = expand_counts(relevant.lengths)
    pairs = (rows * n_ids + relevant.values).sort().values
    hits = torch.zeros_like(ids, dtype=torch.bool)
    step = max(1, _BLOCK // ids.shape[1])
    for start in range(0, len(ids), step):
        part = ids[start : start + step]
        wanted = torch.arange(start, start + len(part), device=ids.device)[:, None] * n_ids + part
        found = pairs[torch.searchsorted(pairs, wanted).clamp(max=len(pairs) - 1)]
        hits[start : start + step] = (found == wanted) & (part >= 0)
    return hits


def _count_equal(columns: Sequence[TKeys]) -> Tensor:
    """Give how many galleries agree with each query in all these columns, (Q,)."""
    n_queries = len(columns[0][0])
    joined = [torch.cat([query_keys, gallery_keys]).long() for query_keys, gallery_keys in columns]
    if not len(joined[0]):
        return joined[0]
    codes = joined[0] - joined[0].min()
    for keys in joined[1:]:
        keys = keys - keys.min()
        if int(codes.max() + 1) * int(keys.max() + 1) >= _LARGEST_CODE:
            codes, keys = (torch.unique(x, return_inverse=True)[1] for x in (codes, keys))
        codes = codes * (keys.max() + 1) + keys
    if int(codes.max()) < 4 * len(codes):
        return torch.bincount(codes[n_queries:], minlength=int(codes.max()) + 1)[codes[:n_queries]]
    wanted, known = codes[:n_queries], codes[n_queries:].sort().values
    first = torch.searchsorted(known, wanted)
    return torch.searchsorted(known, wanted, right=True) - first
