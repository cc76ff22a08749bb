"""
Exact search of the k nearest galleries of each query, in blocks, within a memory budget.

A product in the blocks gives scores with a known bound of their error. The best of them are kept with some to spare;
all that the bound leaves in doubt is compared again by distances taken from the vectors, so that the answers depend
neither on the sizes of blocks nor on threads, and identical vectors are at distance 0. Queries that have more in doubt
than was kept, because of many equal or nearly equal distances, are searched again by `search_exactly`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.search_exact import NO_ID as NO_ID
from oml.functional.search_exact import calc_pair_distances, search_exactly, sort_answers
from oml.functional.search_exclusion import Exclusion, TKeys
from oml.functional.search_plan import Plan, get_default_memory, make_plan
from oml.functional.search_product import calc_rounding_band, calc_score_error, calc_scores
from oml.functional.search_rows import Rows, TMatrix

_SPARE = 16  # candidates kept beyond k, for those whose order is in doubt
_LARGEST_SQUARE = 1e36  # squares beyond it overflow in float32


class Answers(NamedTuple):
    """What a search gives: `distances` (Q, K) ascending, `ids` (Q, K), `lengths` (Q,); K = min(k, G)."""

    distances: Tensor
    ids: Tensor
    lengths: Tensor


def search(
    queries: TMatrix,
    galleries: TMatrix,
    k: int,
    *,
    query_rows: Tensor | None = None,
    gallery_rows: Tensor | None = None,
    exclude: Sequence[TKeys] = (),
    max_memory: int | None = None,
    max_query_block: int | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> Answers:
    """
    Give the k nearest galleries of each query by L2 distance, nearest first, equal distances by the lower id.

    A distance is the root of the squared differences summed in float64, rounded to float32 (to float64 for float64
    input). The answers are the same for all sizes of blocks. Places without an answer hold infinity and the id -1.

    Args:
        queries: tensor or array (Q, D), float64, float32, float16 or bfloat16; a memory-mapped array stays on the disk.
        galleries: likewise (G, D); may be the same matrix. G = 0 gives empty answers.
        k: answers wanted, at least 1.
        query_rows: rows of `queries` to search for, all by default.
        gallery_rows: rows of `galleries` to search in, all by default. Answers are positions among them.
        exclude: pairs of integer keys of the chosen queries and galleries; a gallery is no answer to a query with an
            equal key.
        max_memory: bytes to take beyond the input and the answers; by default 256 MiB, more on a CUDA device.
        max_query_block: upper limit of the queries in a block.
        on_progress: called after each block with the number of queries done in it.

    Raises:
        InvalidInputError: k < 1, sizes that do not match, NaN or infinite numbers (the rows are named), too little
            memory.

    Example:
        >>> galleries = torch.tensor([[0.0], [3.0], [1.0], [3.0]])
        >>> search(torch.tensor([[2.5]]), galleries, k=3)
        Answers(distances=tensor([[0.5000, 0.5000, 1.5000]]), ids=tensor([[1, 3, 2]]), lengths=tensor([3]))

    """
    check(k >= 1, f"`k` must be at least 1, got {k}.")
    q, g = Rows(queries, "queries", query_rows), Rows(galleries, "galleries", gallery_rows)
    check(q.dim == g.dim, f"Queries and galleries differ in the number of features: {q.dim} and {g.dim}.")
    device = q.device if isinstance(queries, Tensor) else g.device
    dtype = torch.float64 if torch.float64 in (q.dtype, g.dtype) else torch.float32
    q.to(device, dtype), g.to(device, dtype)

    k = min(k, g.n)
    distances = torch.full((q.n, k), torch.inf, dtype=dtype, device=device)
    ids = torch.full((q.n, k), NO_ID, dtype=torch.int64, device=device)
    exclusion = Exclusion(exclude, q.n, g.n, device)
    with torch.no_grad():
        query_norms, gallery_norms = q.calc_square_norms(), g.calc_square_norms()
        if k and q.n:
            _fill(distances, ids, q, g, query_norms, gallery_norms, exclusion, max_memory, max_query_block, on_progress)
    return Answers(distances, ids, (ids != NO_ID).sum(1))


def _fill(
    distances: Tensor,
    ids: Tensor,
    queries: Rows,
    galleries: Rows,
    query_norms: Tensor,
    gallery_norms: Tensor,
    exclusion: Exclusion,
    max_memory: int | None,
    max_query_block: int | None,
    on_progress: Callable[[int], object] | None,
) -> None:
    k, device = ids.shape[1], ids.device
    largest = gallery_norms.max()
    overflows = float(query_norms.max() + largest) > _LARGEST_SQUARE
    product_dtype = torch.float64 if overflows else distances.dtype
    band = 2 * calc_score_error(query_norms, largest, queries.dim, product_dtype)
    band += calc_rounding_band(query_norms, largest, distances.dtype)

    memory = get_default_memory(device) if max_memory is None else max_memory
    width = min(k + _SPARE, galleries.n)
    plan = make_plan(queries.n, galleries.n, queries.dim, width, torch.finfo(product_dtype).bits // 8, memory, device)
    if max_query_block is not None:
        plan = Plan(min(plan.queries, max(1, max_query_block)), plan.galleries, plan.chunk)
    gallery_norms = gallery_norms.to(product_dtype)
    undecided = []
    for start, stop in plan.split_queries(queries.n):
        block, positions = queries.block(start, stop), torch.arange(start, stop, device=device)
        shortlist = _Shortlist(stop - start, k, width, band[start:stop].to(product_dtype))
        wide_block = block.to(product_dtype)
        for first, last in plan.split_galleries(galleries.n, first=max(512, 4 * width)):
            gallery_block = galleries.block(first, last).to(product_dtype)
            scores = calc_scores(wide_block, gallery_block, gallery_norms[first:last])
            exclusion.hide(scores, positions, first)
            shortlist.add(scores, first)
        answers = shortlist.resolve(block, galleries, plan.chunk)
        distances[start:stop], ids[start:stop] = answers
        if width < galleries.n:
            undecided.append(positions[shortlist.is_undecided()])
        if on_progress is not None:
            on_progress(stop - start)
    _search_undecided(distances, ids, undecided, queries, galleries, exclusion, memory)


def _search_undecided(
    distances: Tensor,
    ids: Tensor,
    undecided: list[Tensor],
    queries: Rows,
    galleries: Rows,
    exclusion: Exclusion,
    memory: int,
) -> None:
    positions = torch.cat(undecided) if undecided else ids.new_empty(0)
    plan = make_plan(max(1, len(positions)), galleries.n, queries.dim, 2 * ids.shape[1], 8, memory, ids.device)
    for start, stop in plan.split_queries(len(positions)):
        part = positions[start:stop]
        block = queries.take(part)
        distances[part], ids[part] = search_exactly(block, part, galleries, ids.shape[1], exclusion, plan)


class _Shortlist:
    """
    The candidates of a block of queries: the `width` best scores seen so far, ascending.

    Nothing outside it has a score below its last one. So where the last score is beyond the k-th by more than the
    `band` (twice the bound of the error), no answer was lost.
    """

    def __init__(self, n_queries: int, k: int, width: int, band: Tensor):
        self.k, self.band = k, band
        self.scores = torch.full((n_queries, width), torch.inf, dtype=band.dtype, device=band.device)
        self.ids = torch.full((n_queries, width), NO_ID, dtype=torch.int64, device=band.device)

    def add(self, scores: Tensor, start: int) -> None:
        """Take what may be an answer out of the scores (q, g) of the galleries that begin with `start`."""
        n_queries = len(scores)
        limits = torch.minimum(self.scores[:, self.k - 1] + self.band, self.scores[:, -1])
        is_open = limits.isinf()
        if bool(is_open.all()):
            return self._add_best(torch.arange(n_queries, device=scores.device), scores, start)
        # pruned before anything is selected: few scores of a block come near the k-th best so far, and none of those
        # that only equal the last one kept gets in, however many there are
        rows, columns = (scores < limits.masked_fill(is_open, -torch.inf)[:, None]).nonzero().unbind(1)
        counts = torch.bincount(rows, minlength=n_queries)
        is_crowded = is_open | (counts > 4 * self.scores.shape[1])
        if bool(is_crowded.any()):
            crowded = is_crowded.nonzero()[:, 0]
            self._add_best(crowded, scores[crowded], start)
            keep = ~is_crowded[rows]
            rows, columns, counts = rows[keep], columns[keep], counts.masked_fill(is_crowded, 0)
        if len(rows):
            self._add_candidates(rows, columns, counts, scores[rows, columns], start)
        return None

    def is_undecided(self) -> Tensor:
        """Tell which queries may have lost an answer, (q,)."""
        last = self.scores[:, -1]
        return last.isfinite() & (last <= self.scores[:, self.k - 1] + self.band)

    def resolve(self, queries: Tensor, galleries: Rows, chunk: int) -> tuple[Tensor, Tensor]:
        """Give distances (q, k) and ids (q, k), taken from the vectors, of the best of the candidates."""
        is_candidate = (self.scores <= (self.scores[:, self.k - 1] + self.band)[:, None]) & (self.ids != NO_ID)
        rows, columns = is_candidate.nonzero().unbind(1)
        ids = self.ids.masked_fill(~is_candidate, NO_ID)
        distances = torch.full(ids.shape, torch.inf, dtype=queries.dtype, device=queries.device)
        distances[rows, columns] = calc_pair_distances(queries, galleries, rows, ids[rows, columns], chunk)
        distances, ids = sort_answers(distances, ids)
        return distances[:, : self.k], ids[:, : self.k]

    def _add_best(self, rows: Tensor, scores: Tensor, start: int) -> None:
        values, columns = scores.topk(min(self.scores.shape[1], scores.shape[1]), dim=1, largest=False)
        self._merge(rows, values, (columns + start).masked_fill_(values.isinf(), NO_ID))

    def _add_candidates(self, rows: Tensor, columns: Tensor, counts: Tensor, values: Tensor, start: int) -> None:
        busy = counts.nonzero()[:, 0]
        places = torch.cumsum(counts > 0, 0)[rows] - 1
        ranks = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
        scores = self.scores.new_full((len(busy), int(counts.max())), torch.inf)
        ids = self.ids.new_full(scores.shape, NO_ID)
        scores[places, ranks], ids[places, ranks] = values, columns + start
        self._merge(busy, scores, ids)

    def _merge(self, rows: Tensor, scores: Tensor, ids: Tensor) -> None:
        scores = torch.cat([self.scores[rows], scores], dim=1)
        self.scores[rows], best = scores.topk(self.scores.shape[1], dim=1, largest=False)
        self.ids[rows] = torch.cat([self.ids[rows], ids], dim=1).gather(1, best)
