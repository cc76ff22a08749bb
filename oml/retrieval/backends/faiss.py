"""Search by faiss: exactly by its flat index, or approximately by inverted lists (IVF) or a graph (HNSW)."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from oml.errors import check, unknown_name_message
from oml.functional.search import NO_ID, Answers, search
from oml.functional.search_exact import sort_answers
from oml.functional.search_exclusion import Exclusion, TKeys
from oml.functional.search_rows import Rows, TMatrix
from oml.retrieval.backends.recall import calc_recall

TIndex = Literal["flat", "ivf", "hnsw"]

_INDICES = ("flat", "ivf", "hnsw")
_METRICS = ("l2", "cosine", "ip")
_BLOCK = 1024  # queries at once
_LARGEST_EXTRA = 1024  # more answers asked for than wanted, to make up for excluded ones


class Faiss:
    """
    Search by an index of faiss on the CPU (`pip install open-metric-learning[faiss]`).

    Distances are those of faiss in float32, which rounds more than `Exact` does: identical vectors need not be at
    distance 0, and near-ties may come in another order. The index holds a copy of the galleries. Where many galleries
    are excluded for a query (over 1024), the approximate ones may give fewer answers than there are.

    Args:
        index: `flat` compares everything; `ivf` looks into `n_probes` of `n_lists` lists; `hnsw` walks a graph.
        metric: `l2`, `cosine` or `ip`, as in `Exact`.
        n_lists: lists of `ivf`; by default 4 sqrt(G), at most one per 39 galleries.
        n_probes: lists looked into per query.
        n_links: links per gallery in `hnsw`.
        n_visited: galleries kept in view while walking `hnsw`.
        n_checked: so many first queries are searched exactly as well after each call, and the share of their answers
            that was found is left in `recall` (see `calc_recall`); 0 leaves it None.

    Raises:
        InvalidInputError: an unknown index or metric.

    """

    def __init__(
        self,
        index: TIndex = "flat",
        metric: Literal["l2", "cosine", "ip"] = "l2",
        n_lists: int | None = None,
        n_probes: int = 16,
        n_links: int = 32,
        n_visited: int = 128,
        n_checked: int = 100,
    ):
        check(index in _INDICES, unknown_name_message("index", index, _INDICES))
        check(metric in _METRICS, unknown_name_message("metric", metric, _METRICS))
        self.index, self.metric = index, metric
        self.n_lists, self.n_probes, self.n_links, self.n_visited = n_lists, n_probes, n_links, n_visited
        self.n_checked = n_checked
        self.recall: float | None = None

    def __call__(self, queries: TMatrix, galleries: TMatrix, k: int, *, exclude: Sequence[TKeys] = ()) -> Answers:
        """See `ISearchBackend`; sets `recall`. Raises ImportError where faiss is not installed."""
        check(k >= 1, f"`k` must be at least 1, got {k}.")
        q, g = (
            Rows(matrix, name).to(torch.device("cpu"), is_unit=False)
            for matrix, name in ((queries, "queries"), (galleries, "galleries"))
        )
        check(q.dim == g.dim, f"Queries and galleries differ in the number of features: {q.dim} and {g.dim}.")
        for rows in (q, g):
            norms = rows.calc_square_norms()
            if self.metric == "cosine":
                rows.check_not_zero(norms)
                rows.to(rows.device, is_unit=True)
        exclusion = Exclusion(exclude, q.n, g.n, torch.device("cpu"))
        width = min(k, g.n)
        distances, ids = torch.full((q.n, width), torch.inf), torch.full((q.n, width), NO_ID)
        if q.n and g.n:
            built = self._build(g)
            for start in range(0, q.n, _BLOCK):
                part = slice(start, min(start + _BLOCK, q.n))
                positions = torch.arange(part.start, part.stop)
                block = q.block(part.start, part.stop, torch.float32)
                distances[part], ids[part] = self._search(built, block, width, g.n, exclusion, positions)
        answers = Answers(distances, ids, (ids != NO_ID).sum(1))
        self.recall = self._calc_recall(queries, galleries, k, exclude, answers) if self.n_checked else None
        return answers

    def _build(self, galleries: Rows) -> Any:
        faiss = _import_faiss()
        kind = faiss.METRIC_INNER_PRODUCT if self.metric == "ip" else faiss.METRIC_L2
        n, dim = galleries.n, galleries.dim
        if self.index == "flat":
            built = faiss.IndexFlat(dim, kind)
        elif self.index == "hnsw":
            built = faiss.IndexHNSWFlat(dim, self.n_links, kind)
            built.hnsw.efSearch = self.n_visited
        else:
            n_lists = max(1, min(self.n_lists or int(4 * n**0.5), n // 39 or 1))
            built = faiss.IndexIVFFlat(faiss.IndexFlat(dim, kind), dim, n_lists, kind)
            built.nprobe = min(self.n_probes, n_lists)
            sample = torch.arange(0, n, max(1, n // (256 * n_lists)))
            built.train(galleries.take(sample, torch.float32).numpy())
        for start in range(0, n, 2**14):
            built.add(galleries.block(start, min(start + 2**14, n), torch.float32).numpy())
        return built

    def _search(
        self, built: Any, queries: Tensor, k: int, n_galleries: int, exclusion: Exclusion, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Ask for as many more as are excluded, then drop those."""
        n_excluded = exclusion.count(positions)
        extra = int(n_excluded.max()) if self.index == "flat" else min(int(n_excluded.max()), _LARGEST_EXTRA)
        found, ids = built.search(np.ascontiguousarray(queries.numpy()), min(k + extra, n_galleries))
        values, ids = torch.from_numpy(found), torch.from_numpy(ids)
        if self.metric == "l2":
            values = values.clamp_(min=0).sqrt_()
        elif self.metric == "cosine":
            values = values.clamp_(min=0).div_(2)
        else:
            values = -values
        ids = ids.masked_fill(exclusion.mark(ids, positions), NO_ID)
        values, ids = sort_answers(values, ids)
        return values[:, :k], ids[:, :k]

    def _calc_recall(
        self, queries: TMatrix, galleries: TMatrix, k: int, exclude: Sequence[TKeys], found: Answers
    ) -> float:
        rows = torch.arange(min(self.n_checked, len(queries)))
        keys = [(of_queries[: len(rows)], of_galleries) for of_queries, of_galleries in exclude]
        exact = search(queries, galleries, k, metric=self.metric, query_rows=rows, exclude=keys)
        exact = Answers(*(part.cpu() for part in exact))
        return calc_recall(Answers(*(part[: len(rows)] for part in found)), exact)


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "Searching by faiss needs the package `faiss-cpu`: pip install open-metric-learning[faiss]. "
            "The default search, `Exact`, needs nothing."
        ) from error
    return faiss
