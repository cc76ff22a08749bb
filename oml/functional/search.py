"""
Exact search of the k nearest galleries of each query, in blocks, within a memory budget.

A product in the blocks gives scores with a known bound of their error. All that the bound leaves possible as an answer
is compared again by distances taken from the vectors, so that the answers depend neither on the product, nor on the
sizes of blocks, nor on threads, and identical vectors are at distance 0. That leaves the product free to be coarse:
where the processor has units for bfloat16, it is taken in that. Queries that have more in doubt than there is room for,
because of many equal or nearly equal distances, are searched again by the next finer product, at last by
`search_exactly`.

On a CPU each thread searches blocks of queries of its own: nothing waits for anything, as it would inside a product
that is shared by threads.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.search_exact import NO_ID as NO_ID
from oml.functional.search_exclusion import Exclusion, TKeys
from oml.functional.search_metric import Metric, TMetric, get_metric
from oml.functional.search_plan import get_default_memory
from oml.functional.search_product import Product, get_products
from oml.functional.search_rows import Rows, TMatrix
from oml.functional.search_scores import make_scorer
from oml.functional.search_task import SearchTask
from oml.functional.search_threads import LEAST_WORK, get_n_workers

_LARGEST_SQUARE = 1e36  # squares beyond it overflow in float32
# with few features the product is not what takes the time, and much is near; beyond the squares, parts of vectors may
# vanish in bfloat16
_MIN_COARSE_DIM, _COARSE_SQUARES = 64, (1e-20, 1e20)


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
            for `cosine`, inner products beyond the range of their dtype, an unknown metric, too little memory.

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
        task = _prepare(q.to(device), g.to(device), chosen, dtype, k, exclusion, memory, max_query_block)
        if k and q.n:
            task.run(distances, ids, on_progress or (lambda _: None))
    return Answers(distances, ids, (ids != NO_ID).sum(1))


def _prepare(
    queries: Rows,
    galleries: Rows,
    metric: Metric,
    dtype: torch.dtype,
    k: int,
    exclusion: Exclusion,
    memory: int,
    max_query_block: int | None,
) -> SearchTask:
    """Check the vectors, and choose what they are centred by and which products propose the candidates."""
    if metric.is_unit:
        for rows in (queries, galleries):
            rows.check_not_zero(rows.calc_square_norms())
            rows.to(rows.device, is_unit=True)
    centre = torch.zeros(queries.dim, dtype=dtype, device=queries.device)
    if not metric.is_product:
        # far from the origin distances drown in the rounding of a product: it is taken about the middle
        centre = galleries.calc_centre().to(dtype).nan_to_num(0.0, 0.0, 0.0)
    of_galleries = galleries.measure(centre)
    of_queries = of_galleries if queries.is_same(galleries) else queries.measure(centre)
    norms = torch.cat([of_queries.square_norms, of_galleries.square_norms])
    largest = float(norms.max()) if len(norms) else 0.0
    check(
        not metric.is_product or largest < torch.finfo(dtype).max,
        f"Inner products of vectors as long as {largest**0.5:.3g} are beyond the numbers of {dtype}. Scale the "
        "embeddings down, or give them as float64.",
    )
    n_workers = get_n_workers(queries.device, queries.n * galleries.n * queries.dim, memory)
    is_large = queries.n * galleries.n * queries.dim >= LEAST_WORK
    products = _choose_products(queries, dtype, largest, is_large)
    scorers = [make_scorer(product, metric, dtype, centre, of_queries, of_galleries) for product in products]
    return SearchTask(queries, galleries, metric, dtype, k, exclusion, memory, max_query_block, n_workers, scorers)


def _choose_products(queries: Rows, dtype: torch.dtype, largest: float, is_large: bool) -> list[Product]:
    products = get_products(queries.device, torch.float64 if 2 * largest > _LARGEST_SQUARE else dtype, is_large)
    may_be_coarse = queries.dim >= _MIN_COARSE_DIM and _COARSE_SQUARES[0] < largest < _COARSE_SQUARES[1]
    return [product for product in products if may_be_coarse or not product.is_coarse]
