"""
Exact search of the k nearest galleries of each query, in blocks, within a memory budget.

A product in the blocks gives scores with a known bound of their error. All that the bound leaves possible as an answer
is compared again by distances taken from the vectors, so that the answers depend neither on the sizes of blocks nor on
threads, and identical vectors are at distance 0. Queries that have more in doubt than there is room for, because of
many equal or nearly equal distances, are searched again by `search_exactly`.

On a CPU each thread searches blocks of queries of its own: nothing waits for anything, as it would inside a product
that is shared by threads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.search_candidates import Candidates, get_capacity
from oml.functional.search_exact import NO_ID as NO_ID
from oml.functional.search_exact import calc_values, search_exactly, sort_answers
from oml.functional.search_exclusion import Exclusion, TKeys
from oml.functional.search_metric import Metric, TMetric, get_metric
from oml.functional.search_plan import Plan, get_default_memory, make_plan
from oml.functional.search_product import TProduct, calc_score_error, extend_galleries, extend_queries, get_product
from oml.functional.search_rows import Rows, TMatrix
from oml.functional.search_threads import get_n_workers, run_in_threads

_LARGEST_SQUARE = 1e36  # squares beyond it overflow in float32
_MAX_EXCLUDED = 64  # pairs listed per query; beyond, all keys are compared


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
    metric: TMetric = "l2",
    query_rows: Tensor | None = None,
    gallery_rows: Tensor | None = None,
    exclude: Sequence[TKeys] = (),
    max_memory: int | None = None,
    max_query_block: int | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> Answers:
    """
    Give the k nearest galleries of each query, nearest first, equal distances by the lower id.

    A distance is computed from the vectors in float64 and rounded to float32 (to float64 for float64 input). The
    answers are the same for all sizes of blocks and numbers of threads. Places without an answer hold infinity and the
    id -1.

    Args:
        queries: tensor or array (Q, D), float64, float32, float16 or bfloat16; a memory-mapped array stays on the disk.
        galleries: likewise (G, D); may be the same matrix. G = 0 gives empty answers.
        k: answers wanted, at least 1.
        metric: `l2`, the distance; `cosine`, 1 - cos; `ip`, the inner product with its sign turned, so that the nearest
            comes first here too.
        query_rows: rows of `queries` to search for, all by default.
        gallery_rows: rows of `galleries` to search in, all by default. Answers are positions among them.
        exclude: pairs of integer keys of the chosen queries and galleries; a gallery is no answer to a query with an
            equal key.
        max_memory: bytes to take beyond the input and the answers; by default 256 MiB, more on a CUDA device.
        max_query_block: upper limit of the queries in a block.
        on_progress: called after each block with the number of queries done in it.

    Raises:
        InvalidInputError: k < 1, sizes that do not match, NaN or infinite numbers (the rows are named), zero vectors
            for `cosine`, an unknown metric, too little memory.

    Example:
        >>> galleries = torch.tensor([[0.0], [3.0], [1.0], [3.0]])
        >>> search(torch.tensor([[2.5]]), galleries, k=3)
        Answers(distances=tensor([[0.5000, 0.5000, 1.5000]]), ids=tensor([[1, 3, 2]]), lengths=tensor([3]))

    """
    check(k >= 1, f"`k` must be at least 1, got {k}.")
    chosen = get_metric(metric)
    q, g = Rows(queries, "queries", query_rows), Rows(galleries, "galleries", gallery_rows)
    check(q.dim == g.dim, f"Queries and galleries differ in the number of features: {q.dim} and {g.dim}.")
    device = q.device if isinstance(queries, Tensor) else g.device
    dtype = torch.float64 if torch.float64 in (q.dtype, g.dtype) else torch.float32
    k = min(k, g.n)
    distances = torch.full((q.n, k), torch.inf, dtype=dtype, device=device)
    ids = torch.full((q.n, k), NO_ID, dtype=torch.int64, device=device)
    exclusion = Exclusion(exclude, q.n, g.n, device)
    memory = get_default_memory(device) if max_memory is None else max_memory
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        task = _prepare(q.to(device), g.to(device), chosen, dtype, k, exclusion, memory)
        if k and q.n:
            task.run(distances, ids, max_query_block, on_progress or (lambda _: None))
    return Answers(distances, ids, (ids != NO_ID).sum(1))


def _prepare(
    queries: Rows, galleries: Rows, metric: Metric, dtype: torch.dtype, k: int, exclusion: Exclusion, memory: int
) -> "_Task":
    """Check the vectors, and choose what they are centred by and what the product is computed in."""
    if metric.is_unit:
        for rows in (queries, galleries):
            rows.check_not_zero(rows.calc_square_norms())
            rows.to(rows.device, is_unit=True)
    centre = torch.zeros(queries.dim, dtype=dtype, device=queries.device)
    if not metric.is_product:
        # far from the origin distances drown in the rounding of a product: it is taken about the middle
        centre = galleries.calc_centre().to(dtype).nan_to_num(0.0, 0.0, 0.0)
    query_norms, gallery_norms = queries.calc_square_norms(centre), galleries.calc_square_norms(centre)
    largest = gallery_norms.max() if galleries.n else query_norms.new_zeros(())
    overflows = float((query_norms.max() if queries.n else 0.0) + largest) > _LARGEST_SQUARE
    product_dtype = torch.float64 if overflows else dtype
    band = 2 * calc_score_error(query_norms, largest, queries.dim, product_dtype)
    band += metric.calc_rounding_band(query_norms, largest, dtype)
    if not metric.is_product:
        band = band / 2  # a score is minus half a cost there, less what is the same for all galleries
    return _Task(queries, galleries, metric, dtype, k, exclusion, memory, centre.to(product_dtype), band)


@dataclass(frozen=True)
class _Task:
    queries: Rows
    galleries: Rows
    metric: Metric
    dtype: torch.dtype  # of the distances
    k: int
    exclusion: Exclusion
    memory: int
    centre: Tensor  # in the dtype of the product
    band: Tensor  # how much worse than the k-th best a score may be without being ruled out, (Q,)

    def run(
        self, distances: Tensor, ids: Tensor, max_query_block: int | None, on_progress: Callable[[int], object]
    ) -> None:
        """Fill in the answers, both (Q, k)."""
        n, device = self.queries.n, self.queries.device
        n_workers = get_n_workers(device, n * self.galleries.n * self.queries.dim, self.memory)
        capacity = min(get_capacity(self.k), self.galleries.n)
        itemsize = self.centre.element_size()
        sizes = n, self.galleries.n, self.queries.dim
        plan = make_plan(*sizes, capacity, itemsize, self.memory, device, n_workers)
        if max_query_block is not None:
            plan = replace(plan, queries=min(plan.queries, max(1, max_query_block)))
        product = get_product(device, self.centre.dtype, max(1, torch.get_num_threads() // n_workers))
        undecided = torch.zeros(n, dtype=torch.bool, device=device)

        def work(block: tuple[int, int]) -> None:
            part = slice(*block)
            candidates = self._propose(*block, capacity, plan, product)
            distances[part], ids[part] = self._decide(*block, candidates, plan)
            undecided[part] = candidates.is_given_up

        blocks = plan.split_queries(n, n_workers)
        run_in_threads(work, blocks, n_workers, on_done=lambda block: on_progress(block[1] - block[0]))
        self._search_again(undecided.nonzero()[:, 0], distances, ids)

    def _propose(self, start: int, stop: int, capacity: int, plan: Plan, product: TProduct) -> Candidates:
        dtype, device, dim = self.centre.dtype, self.centre.device, self.queries.dim
        candidates = Candidates(stop - start, self.k, capacity, self.band[start:stop].to(dtype))
        vectors = extend_queries(self.queries.block(start, stop, dtype) - self.centre)
        runs = [(i, min(i + plan.queries, stop - start)) for i in range(0, stop - start, plan.queries)]
        positions = torch.arange(start, stop, device=device)
        hidden = [self.exclusion.list_pairs(positions[i:j], _MAX_EXCLUDED * (j - i)) for i, j in runs]
        width = min(plan.galleries, self.galleries.n)
        extended = torch.empty(width, dim + 1, dtype=dtype, device=device)
        out = torch.empty(plan.queries * width, dtype=dtype, device=device)
        for first, last in plan.split_galleries(self.galleries.n):
            block = self.galleries.block(first, last, dtype)
            block = extend_galleries(block, self.centre, extended[: last - first], self.metric.is_product)
            for (i, j), pairs in zip(runs, hidden, strict=True):
                scores = product(vectors[i:j], block, out[: (j - i) * len(block)].view(j - i, len(block)))
                if pairs is None:
                    self.exclusion.hide(scores, positions[i:j], first, -torch.inf)
                else:
                    pairs.hide(scores, first, -torch.inf)
                candidates.add(scores, first, i)
        candidates.finish()
        return candidates

    def _decide(self, start: int, stop: int, candidates: Candidates, plan: Plan) -> tuple[Tensor, Tensor]:
        """Give the distances and ids of the best k candidates, by distances taken from the vectors."""
        found = candidates.ids[:, : max(self.k, int(candidates.counts.max()))]
        queries = self.queries.block(start, stop, torch.float64)
        values = calc_values(queries, self.galleries, found, self.metric, self.dtype, plan.chunk)
        values, ids = sort_answers(values, found)
        return values[:, : self.k], ids[:, : self.k]

    def _search_again(self, positions: Tensor, distances: Tensor, ids: Tensor) -> None:
        sizes = max(1, len(positions)), self.galleries.n, self.queries.dim
        plan = make_plan(*sizes, 2 * self.k, 8, self.memory, ids.device)
        for part in positions.split(plan.queries):
            distances[part], ids[part] = search_exactly(
                self.queries.take(part, torch.float64),
                part,
                self.galleries,
                self.k,
                self.exclusion,
                self.metric,
                self.dtype,
                plan,
            )
