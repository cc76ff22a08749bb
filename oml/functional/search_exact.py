"""Distances from the vectors themselves, and the search that lets nothing else decide."""

import numpy as np
import torch
from torch import Tensor

from oml.functional.search_exclusion import Exclusion, expand_counts
from oml.functional.search_metric import Metric
from oml.functional.search_plan import Plan
from oml.functional.search_product import calc_score_error
from oml.functional.search_rows import Rows

NO_ID = -1  # fills the place of an answer that is not there
_LAST_ID = torch.iinfo(torch.int64).max


def calc_values(
    queries: Tensor, galleries: Rows, ids: Tensor, metric: Metric, dtype: torch.dtype, chunk: int
) -> Tensor:
    """
    Give the values of pairs, (q, m), computed from the vectors in float64 and then rounded to `dtype`.

    Identical vectors give exactly 0 (not for inner products), and a pair gives the same number whatever other pairs it
    comes with.

    Args:
        queries: (q, D); they are widened.
        galleries: the galleries to take rows from.
        ids: the galleries of each query, at the left, `NO_ID` at the right, (q, m); absent ones have the value
            infinity.
        metric: what to compute.
        dtype: of the values.
        chunk: how many numbers to hold at once.

    """
    counts, order = (ids != NO_ID).sum(1).sort(descending=True)  # rows of like counts together, to fill few places
    widths, dim = counts.tolist(), queries.shape[1]
    ids, queries = ids.index_select(0, order), queries.index_select(0, order).double().unsqueeze(1)
    values = torch.full(ids.shape, torch.inf, dtype=dtype, device=ids.device)
    rows = galleries.locate(ids.clamp(min=0))
    # the same memory each time, to stay in the caches and since giving it back to the system costs more than arithmetic
    room = galleries.make_room(max(chunk, dim))
    n_columns = max(1, chunk // max(1, dim))
    start = 0
    while start < len(widths) and widths[start]:
        width = widths[start]
        stop = start + max(1, n_columns // width)
        some, of_some = rows[start:stop], queries[start:stop]
        for first in range(0, width, n_columns):
            piece = some[:, first : min(first + n_columns, width)]
            vectors = galleries.take_into(room, piece.reshape(-1)).view(*piece.shape, dim)
            values[start:stop, first : first + piece.shape[1]] = metric.calc_values(of_some, vectors, vectors)
        start = stop
    values.masked_fill_(ids == NO_ID, torch.inf)
    return torch.empty_like(values).index_copy_(0, order, values)


def search_densely(
    queries: Tensor,
    query_ids: Tensor,
    galleries: Rows,
    k: int,
    exclusion: Exclusion,
    metric: Metric,
    dtype: torch.dtype,
    plan: Plan,
) -> tuple[Tensor, Tensor]:
    """
    Do what `search_exactly` does by taking the values of all pairs, which pays where many of them are answers.

    Takes its arguments; the queries must be few enough for their values with all galleries to fit into the memory.
    """
    values = torch.empty(len(queries), galleries.n, dtype=dtype, device=queries.device)
    step = max(1, plan.chunk // max(1, queries.shape[1]))
    room = torch.empty(step, queries.shape[1], dtype=torch.float64, device=queries.device)
    for start in range(0, galleries.n, step):
        block = galleries.block(start, min(start + step, galleries.n), torch.float64)
        for query, row in zip(queries, values, strict=True):
            row[start : start + len(block)] = metric.calc_values(query.double(), block, room[: len(block)])
    ids = torch.arange(galleries.n, device=queries.device).repeat(len(queries), 1)
    is_hidden = torch.zeros_like(values, dtype=torch.bool)
    exclusion.hide(is_hidden, query_ids, 0, True)
    values, ids = sort_answers(values, ids.masked_fill_(is_hidden, NO_ID))
    return values[:, :k], ids[:, :k]


def sort_answers(values: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each row of (Q, K) by value, equal ones by the lower id; places marked by `NO_ID` come last."""
    is_absent = ids == NO_ID
    if values.dtype == torch.float32 and values.device.type == "cpu" and not bool((ids >= 2**31).any()):
        return _sort_packed(values, ids, is_absent)
    ids, order = ids.masked_fill(is_absent, _LAST_ID).sort(dim=1)
    values, by_value = values.masked_fill(is_absent, torch.inf).gather(1, order).sort(dim=1, stable=True)
    ids = ids.gather(1, by_value)
    return values, ids.masked_fill_(ids == _LAST_ID, NO_ID)


def _sort_packed(values: Tensor, ids: Tensor, is_absent: Tensor) -> tuple[Tensor, Tensor]:
    """Sort whole numbers that hold the value above and the id below: several times as fast as sorting twice."""
    bits = (values + 0.0).view(torch.int32)  # no minus zero
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # whole numbers in the order of the floats
    packed = (ordered.long() << 32) + ids
    packed = torch.from_numpy(np.sort(packed.masked_fill_(is_absent, _LAST_ID).numpy(), axis=1))
    is_absent = packed == _LAST_ID
    ordered = (packed >> 32).to(torch.int32)
    values = (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(torch.float32)
    return values.masked_fill(is_absent, torch.inf), (packed & 0xFFFFFFFF).masked_fill_(is_absent, NO_ID)


def search_exactly(
    queries: Tensor,
    query_ids: Tensor,
    galleries: Rows,
    k: int,
    exclusion: Exclusion,
    metric: Metric,
    dtype: torch.dtype,
    plan: Plan,
) -> tuple[Tensor, Tensor]:
    """
    Give the values and ids of the k nearest galleries of each query, both (q, k), missing ones as infinity and `NO_ID`.

    A product in float64 only proposes; whatever may be among the answers is compared by `calc_values`. Galleries are
    visited in the order of their ids, so a later one has to be strictly nearer: masses of equal distances cost little.

    Args:
        queries: (q, D), float64.
        query_ids: positions of these queries in the keys of the exclusion, (q,).
        galleries: where to search.
        k: answers wanted.
        exclusion: what is no answer.
        metric: what is near.
        dtype: of the values.
        plan: sizes of blocks.

    """
    n_queries, dim = queries.shape
    values = torch.full((n_queries, k), torch.inf, dtype=dtype, device=queries.device)
    ids = query_ids.new_full((n_queries, k), NO_ID)
    query_norms = queries.square().sum(1)
    for start, stop in plan.split_galleries(galleries.n):
        block = galleries.block(start, stop, torch.float64)
        norms = block.square().sum(1)
        costs = -(queries @ block.T) if metric.is_product else query_norms[:, None] + norms - 2 * (queries @ block.T)
        exclusion.hide(costs, query_ids, start)
        # the values taken from the vectors carry a relative error too, hence the last term
        error = calc_score_error(query_norms, norms.max(), dim, torch.float64)
        error += 4 * (dim + 4) * torch.finfo(torch.float64).eps * (query_norms + norms.max())
        limits = metric.to_cost(_halfway_below(values[:, -1])) + error
        limits[values[:, -1] <= metric.least] = -torch.inf
        candidates = (costs <= limits[:, None]) & costs.isfinite()
        crowded = (candidates.sum(1) > 2 * k).nonzero()[:, 0]
        if len(crowded):
            # a bound of the k-th value once this block is seen, out of its most likely k
            likely, columns = costs[crowded].topk(min(k, costs.shape[1]), dim=1, largest=False)
            likely_ids = (columns + start).masked_fill_(likely.isinf(), NO_ID)
            bound = calc_values(queries[crowded], galleries, likely_ids, metric, dtype, plan.chunk)
            bound = torch.cat([values[crowded], bound], dim=1).sort(dim=1).values[:, k - 1]
            tighter = metric.to_cost(torch.nextafter(bound, bound.new_tensor(torch.inf))) + error[crowded]
            candidates[crowded] &= costs[crowded] <= tighter[:, None]
        values, ids = _merge(values, ids, queries, galleries, candidates, start, metric, plan.chunk)
        if bool((values[:, -1] <= metric.least).all()):
            break  # nothing is nearer than at distance 0
    return values, ids


def _merge(
    values: Tensor,
    ids: Tensor,
    queries: Tensor,
    galleries: Rows,
    candidates: Tensor,
    start: int,
    metric: Metric,
    chunk: int,
) -> tuple[Tensor, Tensor]:
    """
    Take the values of the candidates (q, g) and keep the best k of each row; rows in parts, to bound the memory.
    """
    k = ids.shape[1]
    counts = candidates.sum(1)
    busy = counts.nonzero()[:, 0]
    busy = busy[counts[busy].argsort()]  # rows of like counts together, so that padding them costs little
    ends = (counts[busy] + k).cumsum(0) // max(chunk, 1)
    for part in busy.split(torch.unique_consecutive(ends, return_counts=True)[1].tolist()) if len(busy) else ():
        rows, columns = candidates[part].nonzero().unbind(1)
        new_ids = ids.new_full((len(part), int(counts[part].max())), NO_ID)
        new_ids[rows, expand_counts(counts[part])[1]] = columns + start
        new = calc_values(queries[part], galleries, new_ids, metric, values.dtype, chunk)
        merged = sort_answers(torch.cat([values[part], new], dim=1), torch.cat([ids[part], new_ids], dim=1))
        values[part], ids[part] = merged[0][:, :k], merged[1][:, :k]
    return values, ids


def _halfway_below(x: Tensor) -> Tensor:
    """Give the least float64 number that may still round to x rather than to the number below it."""
    below = torch.nextafter(x, x.new_tensor(-torch.inf))
    return torch.where(x.isinf(), x.double(), (below.double() + x.double()) / 2)
