"""Distances from the vectors themselves, and the search that lets nothing else decide."""

import torch
from torch import Tensor

from oml.functional.search_exclusion import Exclusion, expand_counts
from oml.functional.search_plan import Plan
from oml.functional.search_product import calc_score_error, calc_scores
from oml.functional.search_rows import Rows

NO_ID = -1  # fills the place of an answer that is not there
_LAST_ID = torch.iinfo(torch.int64).max


def calc_pair_distances(queries: Tensor, galleries: Rows, rows: Tensor, gallery_ids: Tensor, chunk: int) -> Tensor:
    """
    Give the L2 distances of pairs, (n,), from differences summed in float64 and then rounded to the dtype of the
    queries.

    Identical vectors give exactly 0, and a pair gives the same number whatever other pairs it comes with.

    Args:
        queries: (q, D).
        galleries: the galleries to take rows from.
        rows: the query of each pair, (n,).
        gallery_ids: the gallery of each pair, (n,).
        chunk: how many numbers to hold at once.

    """
    distances = torch.empty(len(rows), dtype=queries.dtype, device=queries.device)
    step = max(1, chunk // max(1, queries.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = galleries.take(gallery_ids[part]).double()
        difference -= queries.index_select(0, rows[part])
        distances[part] = torch.linalg.vector_norm(difference, dim=1)
    return distances


def sort_answers(distances: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each row of (Q, K) by distance, equal ones by the lower id; places marked by `NO_ID` come last."""
    is_absent = ids == NO_ID
    ids, order = ids.masked_fill(is_absent, _LAST_ID).sort(dim=1)
    distances, by_distance = distances.masked_fill(is_absent, torch.inf).gather(1, order).sort(dim=1, stable=True)
    ids = ids.gather(1, by_distance)
    return distances, ids.masked_fill_(ids == _LAST_ID, NO_ID)


def search_exactly(
    queries: Tensor, query_ids: Tensor, galleries: Rows, k: int, exclusion: Exclusion, plan: Plan
) -> tuple[Tensor, Tensor]:
    """
    Give the distances and ids of the k nearest galleries of each query, both (q, k), missing ones as infinity and
    `NO_ID`.

    A product in float64 only proposes; whatever may be among the answers is compared by `calc_pair_distances`.
    Galleries are visited in the order of their ids, so a later one has to be strictly nearer: masses of equal
    distances cost little.

    Args:
        queries: (q, D).
        query_ids: positions of these queries in the keys of the exclusion, (q,).
        galleries: where to search.
        k: answers wanted.
        exclusion: what is no answer.
        plan: sizes of blocks.

    """
    n_queries, dim = queries.shape
    best = queries.new_full((n_queries, k), torch.inf), query_ids.new_full((n_queries, k), NO_ID)
    wide = queries.double()
    query_norms = wide.square().sum(1)
    for start, stop in plan.split_galleries(galleries.n, first=max(2 * k, 64)):
        block = galleries.block(start, stop).double()
        norms = block.square().sum(1)
        squares = calc_scores(wide, block, norms) + query_norms[:, None]
        exclusion.hide(squares, query_ids, start)
        # the distances taken from the vectors carry a relative error too, hence the last term
        error = calc_score_error(query_norms, norms.max(), dim, torch.float64)
        error += 4 * (dim + 4) * torch.finfo(torch.float64).eps * (query_norms + norms.max())
        limits = _square_or_infinity(_halfway_below(best[0][:, -1])) + error
        limits[best[0][:, -1] == 0] = -torch.inf
        candidates = (squares <= limits[:, None]) & squares.isfinite()
        crowded = candidates.sum(1) > 2 * k
        if crowded.any():
            rows = crowded.nonzero()[:, 0]
            bound = _bound_kth(queries, galleries, squares, rows, best[0], start, plan.chunk)
            tighter = _square_or_infinity(torch.nextafter(bound, bound.new_tensor(torch.inf))) + error[rows]
            candidates[rows] &= squares[rows] <= tighter[:, None]
        best = _merge(best, queries, galleries, candidates, start, plan.chunk)
        if not bool(best[0][:, -1].any()):
            break  # nothing is nearer than at distance 0
    return best


def _bound_kth(
    queries: Tensor, galleries: Rows, squares: Tensor, rows: Tensor, best: Tensor, start: int, chunk: int
) -> Tensor:
    """
    Give a bound of the distance of the k-th answer of these rows once this block is seen, out of its most likely k.
    """
    k = best.shape[1]
    values, columns = squares[rows].topk(min(k, squares.shape[1]), dim=1, largest=False)
    flat_rows = rows[:, None].expand_as(columns).reshape(-1)
    distances = calc_pair_distances(queries, galleries, flat_rows, columns.reshape(-1) + start, chunk)
    distances = distances.view_as(columns).masked_fill(values.isinf(), torch.inf)
    return torch.cat([best[rows], distances], dim=1).sort(dim=1).values[:, k - 1]


def _merge(
    best: tuple[Tensor, Tensor], queries: Tensor, galleries: Rows, candidates: Tensor, start: int, chunk: int
) -> tuple[Tensor, Tensor]:
    """
    Take the distances of the candidates (q, g) and keep the best k of each row; rows in parts, to bound the memory.
    """
    distances, ids = best
    k = distances.shape[1]
    counts = candidates.sum(1)
    busy = counts.nonzero()[:, 0]
    busy = busy[counts[busy].argsort()]  # rows of like counts together, so that padding them costs little
    ends = (counts[busy] + k).cumsum(0) // max(chunk, 1)
    for part in busy.split(torch.unique_consecutive(ends, return_counts=True)[1].tolist()) if len(busy) else ():
        sizes = counts[part]
        rows, ranks = expand_counts(sizes)
        columns = candidates[part].nonzero()[:, 1]
        new = distances.new_full((len(part), int(sizes.max())), torch.inf)
        new_ids = ids.new_full(new.shape, NO_ID)
        new_ids[rows, ranks] = columns + start
        new[rows, ranks] = calc_pair_distances(queries, galleries, part[rows], columns + start, chunk)
        merged = sort_answers(torch.cat([distances[part], new], dim=1), torch.cat([ids[part], new_ids], dim=1))
        distances[part], ids[part] = merged[0][:, :k], merged[1][:, :k]
    return distances, ids


def _halfway_below(x: Tensor) -> Tensor:
    """Give the least float64 number that may still round to x rather than to the number below it."""
    below = torch.nextafter(x, x.new_tensor(-torch.inf))
    return torch.where(x.isinf(), x.double(), (below.double() + x.double()) / 2)


def _square_or_infinity(x: Tensor) -> Tensor:
    return x.double().square()
