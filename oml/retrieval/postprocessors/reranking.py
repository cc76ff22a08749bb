"""Postprocessors that give the same answers in a new order, by a formula over the embeddings."""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.k_reciprocal import calc_k_reciprocal_distances
from oml.functional.pairs import calc_square_distances
from oml.functional.query_expansion import augment_database, calc_distances_to_candidates, expand_by_neighbours
from oml.functional.score_normalisation import as_norm, calc_cohort_statistics, z_norm
from oml.functional.search_exact import sort_answers
from oml.interfaces.datasets import IQueryGalleryDataset
from oml.interfaces.retrieval import IRetrievalPostprocessor
from oml.retrieval.retrieval_results import RetrievalResults

TEmbeddings = Tensor | tuple[Tensor, Tensor]


class Items(NamedTuple):
    """All embeddings (N, D), and which rows are the queries (Q,) and the galleries (G,)."""

    embeddings: Tensor
    query_rows: Tensor
    gallery_rows: Tensor

    @property
    def queries(self) -> Tensor:
        """The embeddings of the queries, (Q, D)."""
        return self.embeddings[self.query_rows]

    @property
    def galleries(self) -> Tensor:
        """The embeddings of the galleries, (G, D)."""
        return self.embeddings[self.gallery_rows]


class FormulaReranker(IRetrievalPostprocessor):
    """A re-ranker that needs nothing but embeddings; what a child gives is the new distances of the answers."""

    def process(
        self,
        rr: RetrievalResults,
        dataset: IQueryGalleryDataset | None = None,
        embeddings: TEmbeddings | None = None,
    ) -> RetrievalResults:
        """
        Give new results: the same answers to each query, by their new distances, equal ones by the lower id.

        What was not retrieved cannot come in: search with more `n_items` to give the formula more to choose from.
        Ground truth stays.

        Args:
            rr: results; a query may have any number of answers, also none.
            dataset: tells the queries from the galleries; not needed for a pair of embeddings.
            embeddings: of all items of the dataset, (len(dataset), D), or a pair: of the queries (Q, D) and of the
                galleries (G, D).

        Raises:
            InvalidInputError: embeddings are missing or do not fit the results, or are not finite.

        """
        items = _read_items(type(self).__name__, rr, dataset, embeddings)
        ids = rr.retrieved_ids.values
        largest = int(ids.max()) if ids.numel() else -1
        check(
            largest < len(items.gallery_rows),
            f"There are embeddings of {len(items.gallery_rows)} galleries, but the results hold the id {largest}.",
        )
        if rr.is_empty():
            return rr.deepcopy()
        distances, ids = sort_answers(self.calc_distances(ids, items), ids)
        return rr.replace_answers(distances, ids, rr.lengths)

    @abstractmethod
    def calc_distances(self, ids: Tensor, items: Items) -> Tensor:
        """Give the new distances of the answers (Q, K), of which negative ids are absent."""


class KReciprocalReranker(FormulaReranker):
    """
    Re-rank by shared k-reciprocal neighbours; `oml.functional.k_reciprocal` gives the formula, its source and limits.

    Args:
        k1: length of the lists of neighbours that are compared.
        k2: the sets of so many nearest items are averaged; 1 leaves them as they are.
        lambda_value: the part of the squared L2 distance in the new one.
        max_memory: bytes for the search of neighbours, as `search` takes them.

    """

    def __init__(self, k1: int = 20, k2: int = 6, lambda_value: float = 0.3, max_memory: int | None = None):
        self.k1, self.k2, self.lambda_value, self.max_memory = k1, k2, lambda_value, max_memory

    def calc_distances(self, ids: Tensor, items: Items) -> Tensor:
        """Give the new distances of the answers, (Q, K)."""
        candidates = torch.where(ids < 0, -1, items.gallery_rows[ids.clamp(min=0)])
        return calc_k_reciprocal_distances(
            items.embeddings, items.query_rows, candidates, self.k1, self.k2, self.lambda_value, self.max_memory
        )


class AlphaQueryExpansion(FormulaReranker):
    """
    Re-rank by the distance to each query moved towards its first answers (`expand_by_neighbours` gives the formula).

    Args:
        top_n: how many first answers move the query.
        alpha: larger values give less weight to farther answers.

    Raises:
        InvalidInputError: `top_n` is not positive.

    """

    def __init__(self, top_n: int = 10, alpha: float = 3.0):
        check(top_n >= 1, f"`top_n` must be at least 1, got {top_n}.")
        self.top_n, self.alpha = top_n, alpha

    def calc_distances(self, ids: Tensor, items: Items) -> Tensor:
        """Give the new distances of the answers, (Q, K), between normalised vectors."""
        galleries = torch.nn.functional.normalize(items.galleries)
        queries = expand_by_neighbours(items.queries, galleries, ids[:, : self.top_n], self.alpha)
        return calc_distances_to_candidates(queries, galleries, ids)


class DatabaseAugmentation(FormulaReranker):
    """
    Re-rank by the distance to galleries moved towards their nearest galleries (`augment_database` gives the formula).

    Args:
        top_n: how many nearest galleries move a gallery.
        alpha: larger values give less weight to farther ones.
        max_memory: bytes for the search of neighbours, as `search` takes them.

    """

    def __init__(self, top_n: int = 10, alpha: float = 3.0, max_memory: int | None = None):
        check(top_n >= 1, f"`top_n` must be at least 1, got {top_n}.")
        self.top_n, self.alpha, self.max_memory = top_n, alpha, max_memory

    def calc_distances(self, ids: Tensor, items: Items) -> Tensor:
        """Give the new distances of the answers, (Q, K), between normalised vectors."""
        galleries = augment_database(items.galleries, self.top_n, self.alpha, self.max_memory)
        return calc_distances_to_candidates(torch.nn.functional.normalize(items.queries), galleries, ids)


class ZNorm(FormulaReranker):
    """
    Re-rank by squared distances standardised per gallery (`z_norm` gives the formula); they may be negative.

    Args:
        cohort: embeddings of other items, (C, D).
        max_memory: bytes for the search in the cohort, as `search` takes them.

    """

    def __init__(self, cohort: Tensor, max_memory: int | None = None):
        self.cohort, self.max_memory = cohort, max_memory

    def calc_distances(self, ids: Tensor, items: Items) -> Tensor:
        """Give the new distances of the answers, (Q, K)."""
        squares = calc_square_distances(items.embeddings, items.query_rows, items.galleries, ids)
        return z_norm(squares, ids, calc_cohort_statistics(items.galleries, self.cohort, None, self.max_memory))


class ASNorm(FormulaReranker):
    """
    Re-rank by squared distances standardised per query and per gallery (`as_norm` gives the formula).

    Args:
        cohort: embeddings of other items, (C, D).
        top_n: how many nearest items of the cohort the statistics are taken from.
        max_memory: bytes for the search in the cohort, as `search` takes them.

    """

    def __init__(self, cohort: Tensor, top_n: int = 300, max_memory: int | None = None):
        self.cohort, self.top_n, self.max_memory = cohort, top_n, max_memory

    def calc_distances(self, ids: Tensor, items: Items) -> Tensor:
        """Give the new distances of the answers, (Q, K)."""
        squares = calc_square_distances(items.embeddings, items.query_rows, items.galleries, ids)
        of_queries, of_galleries = (
            calc_cohort_statistics(vectors, self.cohort, self.top_n, self.max_memory)
            for vectors in (items.queries, items.galleries)
        )
        return as_norm(squares, ids, of_queries, of_galleries)


def _read_items(name: str, rr: RetrievalResults, dataset: Any, embeddings: Any) -> Items:
    check(
        embeddings is not None,
        f"{name} needs embeddings: process(rr, dataset, embeddings), or process(rr, embeddings=(queries, galleries)).",
    )
    if isinstance(embeddings, tuple):
        n_queries, n_galleries = len(embeddings[0]), len(embeddings[1])
        rows = torch.arange(n_queries + n_galleries, device=embeddings[0].device)
        items = Items(torch.cat(list(embeddings)), rows[:n_queries], rows[n_queries:])
    else:
        check(
            isinstance(dataset, IQueryGalleryDataset),
            f"{name} needs a dataset that tells queries from galleries (IQueryGalleryDataset) beside one tensor of "
            f"embeddings, got {type(dataset).__name__}. Give a pair of embeddings where there is none.",
        )
        check(
            len(embeddings) == len(dataset),
            f"`embeddings` must have one row per item of `dataset`, got {len(embeddings)} for {len(dataset)}.",
        )
        query_rows, gallery_rows = dataset.get_query_ids(), dataset.get_gallery_ids()
        items = Items(embeddings, query_rows.to(embeddings.device), gallery_rows.to(embeddings.device))
    check(
        len(items.query_rows) == len(rr),
        f"There are embeddings of {len(items.query_rows)} queries, the results have {len(rr)}.",
    )
    return items
