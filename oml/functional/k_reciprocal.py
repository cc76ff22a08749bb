"""
k-reciprocal re-ranking from lists of nearest neighbours: two items are near if they have the same neighbours.

Source: Zhong, Zheng, Cao, Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.
"""

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.pairs import calc_square_distances
from oml.functional.ragged import Ragged
from oml.functional.search import search
from oml.functional.search_exclusion import expand_counts

_BLOCK = 2**22  # numbers held at once


def calc_k_reciprocal_distances(
    embeddings: Tensor,
    query_rows: Tensor,
    candidate_rows: Tensor,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    max_memory: int | None = None,
) -> Tensor:
    """
    Give the distances `(1 - lambda) * Jaccard + lambda * squared L2` of queries and their candidates, (Q, K).

    The Jaccard distance compares the weighted sets of k-reciprocal neighbours of two items (sections 3.2-3.5 of the
    paper). Neighbours are looked for among all items, an item itself being the first of its own. All that is made are
    lists of the `k1` nearest and sparse sets out of them: no matrix of all pairs.

    The authors' program differs from their text, which is followed here: it divides the squared distances by their
    largest value and the weights by their sum, and wants overlaps above two thirds instead of two thirds or more. The
    weight of a neighbour is exp(-squared distance), so embeddings should be normalised, or of about that size.

    Args:
        embeddings: float (N, D), of queries and galleries together, each item once.
        query_rows: rows of the queries, (Q,).
        candidate_rows: for each query, rows of the items to compare it with, (Q, K); negative ones are absent and
            get infinity.
        k1: length of the lists of neighbours that are compared.
        k2: the sets of so many nearest items, the item itself included, are averaged; 1 leaves them as they are.
        lambda_value: from 0 (Jaccard only) to 1 (the given distances only).
        max_memory: bytes for the search, as `search` takes them.

    Raises:
        InvalidInputError: k1 < 1, k2 < 1 or k2 > k1 + 1, lambda outside [0, 1], NaN or infinite embeddings.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [1.1], [1.2], [-0.5]])
        >>> found = calc_k_reciprocal_distances(x, torch.tensor([0]), torch.tensor([[1, 4]]), k1=2, k2=1)
        >>> bool(found[0, 1] < found[0, 0])
        True

    """
    check(k1 >= 1, f"`k1` must be at least 1, got {k1}.")
    check(1 <= k2 <= k1 + 1, f"`k2` must be from 1 to k1 + 1 = {k1 + 1}, got {k2}.")
    check(0 <= lambda_value <= 1, f"`lambda_value` must be from 0 to 1, got {lambda_value}.")
    check(embeddings.ndim == 2, f"`embeddings` must have the shape (N, D), got {tuple(embeddings.shape)}.")
    neighbours = _find_neighbours(embeddings, k1, max_memory)
    sets = _encode(embeddings, neighbours, k1)
    if k2 > 1:
        sets = _average_sets(sets, neighbours[:, :k2])
    distances = calc_square_distances(embeddings, query_rows, embeddings, candidate_rows)
    jaccard = _calc_jaccard_distances(sets, query_rows, candidate_rows).to(distances)
    is_absent = candidate_rows < 0
    return (
        ((1 - lambda_value) * jaccard)
        .add_(distances.masked_fill_(is_absent, 0), alpha=lambda_value)
        .masked_fill_(is_absent, torch.inf)
    )


def _find_neighbours(embeddings: Tensor, k: int, max_memory: int | None) -> Tensor:
    """Give each item and its k nearest others, (N, min(k + 1, N))."""
    items = torch.arange(len(embeddings), device=embeddings.device)
    if len(embeddings) < 2:
        return items[:, None]
    k = min(k, len(embeddings) - 1)
    found = search(embeddings, embeddings, k, exclude=[(items, items)], max_memory=max_memory)
    return torch.cat([items[:, None], found.ids], dim=1)


def _encode(embeddings: Tensor, neighbours: Tensor, k1: int) -> tuple[Ragged, Tensor]:
    """Give the expanded sets of k-reciprocal neighbours, ascending, and the weights of their members (eqs. 3-7)."""
    n_items = len(neighbours)
    half = (k1 + 1) // 2
    is_member = _mark_reciprocal(neighbours)
    is_half_member = _mark_reciprocal(neighbours[:, : half + 1])
    half_sizes = is_half_member.sum(1)
    codes = []
    step = max(1, _BLOCK // max(1, neighbours.shape[1] ** 2 * is_half_member.shape[1]))
    for start in range(0, n_items, step):
        base, is_base = neighbours[start : start + step], is_member[start : start + step]
        grown = neighbours[:, : half + 1][base]  # (b, k1 + 1, half + 1)
        is_grown = is_half_member[base] & is_base[:, :, None]
        # absent members of the base are -1, which no item is
        members = base.masked_fill(~is_base, -1)
        n_common = ((grown[:, :, :, None] == members[:, None, None, :]).any(3) & is_grown).sum(2)
        is_grown &= (3 * n_common >= 2 * half_sizes[base])[:, :, None]
        rows = torch.arange(start, start + len(base), device=base.device)
        codes.append((rows[:, None] * n_items + base)[is_base])
        codes.append((rows[:, None, None] * n_items + grown)[is_grown])
    pairs = torch.unique(torch.cat(codes)) if codes else neighbours.new_zeros(0)
    rows, members = pairs // max(1, n_items), pairs % max(1, n_items)
    weights = torch.exp(-calc_square_distances(embeddings, rows, embeddings, members[:, None])[:, 0])
    return _group(rows, members, n_items), weights


def _mark_reciprocal(neighbours: Tensor) -> Tensor:
    """Tell which neighbours of an item have it among their own, (N, k)."""
    n_items, k = neighbours.shape
    is_reciprocal = torch.empty(n_items, k, dtype=torch.bool, device=neighbours.device)
    step = max(1, _BLOCK // max(1, k * k))
    for start in range(0, n_items, step):
        block = neighbours[start : start + step]
        items = torch.arange(start, start + len(block), device=block.device)
        is_reciprocal[start : start + step] = (neighbours[block] == items[:, None, None]).any(2)
    return is_reciprocal


def _average_sets(sets: tuple[Ragged, Tensor], nearest: Tensor) -> tuple[Ragged, Tensor]:
    """Give the mean set of the nearest items of each one (eq. 11)."""
    members, weights = sets
    n_items, k = nearest.shape
    parts = []
    step = max(1, _BLOCK // max(1, k * (1 + int(members.lengths.max())))) if n_items else 1
    for start in range(0, n_items, step):
        chosen = nearest[start : start + step].reshape(-1)
        groups, ranks = expand_counts(members.lengths[chosen])
        places = members.offsets[chosen][groups] + ranks
        codes, inverse = torch.unique((start + groups // k) * n_items + members.values[places], return_inverse=True)
        sums = weights.new_zeros(len(codes)).index_add_(0, inverse, weights[places])
        parts.append((codes, sums / k))
    if not parts:
        return sets
    codes, means = (torch.cat(column) for column in zip(*parts, strict=True))
    return _group(codes // n_items, codes % n_items, n_items), means


def _calc_jaccard_distances(sets: tuple[Ragged, Tensor], query_rows: Tensor, candidate_rows: Tensor) -> Tensor:
    """Give 1 - sum of minima / sum of maxima of the weights of two sets (eq. 10), (Q, K)."""
    members, weights = sets
    n_items, width = len(members.lengths), candidate_rows.shape[1]
    rows, _ = expand_counts(members.lengths)
    totals = weights.new_zeros(n_items).index_add_(0, rows, weights)
    distances = weights.new_ones(candidate_rows.shape)
    longest = int(members.lengths.max()) if n_items else 0
    step = max(1, _BLOCK // max(1, n_items, width * longest))
    for start in range(0, len(query_rows) if n_items else 0, step):
        queries, candidates = query_rows[start : start + step], candidate_rows[start : start + step].clamp(min=0)
        groups, ranks = expand_counts(members.lengths[queries])
        places = members.offsets[queries][groups] + ranks
        of_queries = weights.new_zeros(len(queries), n_items)
        of_queries[groups, members.values[places]] = weights[places]
        pairs, ranks = expand_counts(members.lengths[candidates.reshape(-1)])
        places = members.offsets[candidates.reshape(-1)][pairs] + ranks
        lesser = torch.minimum(of_queries[pairs // width, members.values[places]], weights[places])
        common = weights.new_zeros(candidates.numel()).index_add_(0, pairs, lesser).view_as(candidates)
        distances[start : start + step] -= common / (totals[queries][:, None] + totals[candidates] - common)
    return distances


def _group(rows: Tensor, values: Tensor, n_rows: int) -> Ragged:
    """Give values of ascending rows as lists."""
    counts = torch.bincount(rows, minlength=n_rows)
    return Ragged(values, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))
