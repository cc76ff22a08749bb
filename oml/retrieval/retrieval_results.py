"""What a search has found for each query, and what it should have found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from oml.functional.ragged import mask_lengths
from oml.interfaces.datasets import IBaseDataset, IQueryGalleryDataset
from oml.retrieval.arrays import ResultArrays
from oml.retrieval.backends.base import ISearchBackend
from oml.retrieval.checks import check_answers, check_ground_truth
from oml.retrieval.from_datasets import find_between, find_within, get_sequence_from_dataset
from oml.retrieval.ground_truth import GroundTruth
from oml.retrieval.reading import read_answers, read_ground_truth, read_lengths
from oml.retrieval.storage import StoredResults, read_results, write_results

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RetrievalResults", "get_sequence_from_dataset"]

_N_SHOWN = 100


class RetrievalResults(ResultArrays):
    """
    The answers to each query, nearest first, and the galleries that are relevant to it, if known.

    Kept as arrays: distances (Q, K) and ids (Q, K), padded with infinity and -1, and the lengths (Q,). The properties
    show them as sequences of tensors, one per query; writing into these changes the results.

    Args:
        distances: one float tensor per query, ascending, of any length (0 too).
        retrieved_ids: ids of the answers, of the same lengths: positions among the galleries, unique for a query.
        gt_ids: ids of the relevant galleries of each query, if known.

    Raises:
        InvalidResultsError: (a RuntimeError) lengths that differ, distances that do not ascend (10 eps are tolerated)
            or are NaN, repeated or negative ids (of the first 100 of a query), tensors that are not 1-D. The first
            queries are named.
        InvalidInputError: the numbers of queries differ.

    Example:
        >>> import torch
        >>> rr = RetrievalResults([torch.tensor([0.5, 2.0])], [torch.tensor([7, 3])], gt_ids=[torch.tensor([3])])
        >>> rr.retrieved_ids[0], rr.n_retrieved_items
        (tensor([7, 3]), 2)

    """

    def __init__(
        self, distances: Sequence[Tensor], retrieved_ids: Sequence[Tensor], gt_ids: Sequence[Tensor] | None = None
    ):
        values, ids, lengths = read_answers(distances, retrieved_ids)
        check_answers(values, ids, lengths)
        self._set(values, ids, lengths, read_ground_truth(gt_ids))

    @classmethod
    def from_arrays(
        cls,
        distances: Tensor,
        retrieved_ids: Tensor,
        lengths: Tensor | None = None,
        ground_truth: GroundTruth | None = None,
    ) -> RetrievalResults:
        """
        Take arrays as they are, without a copy.

        Args:
            distances: (Q, K), ascending in each row.
            retrieved_ids: (Q, K).
            lengths: number of answers of each query, (Q,); K by default. What lies beyond is overwritten with infinity
                and -1.
            ground_truth: what is relevant: `LabelGroundTruth` or `ListedGroundTruth`.

        Raises:
            InvalidResultsError: a rule of the class is broken.

        """
        lengths = read_lengths(distances, retrieved_ids, lengths)
        check_answers(distances, retrieved_ids, lengths)
        return cls._make(distances, retrieved_ids, lengths, ground_truth)

    @classmethod
    def from_embeddings(
        cls,
        embeddings: Tensor,
        dataset: IQueryGalleryDataset,
        n_items: int = 100,
        verbose: bool = False,
        backend: ISearchBackend | None = None,
    ) -> RetrievalResults:
        """
        Search for the queries of a dataset among its galleries; an item is no answer to itself.

        Where the dataset has `extra_data["sequence"]`, items of the query's sequence are no answers either. Where it
        has labels, the galleries of the query's label are relevant.

        Args:
            embeddings: (len(dataset), D).
            dataset: tells queries from galleries.
            n_items: answers to keep per query.
            verbose: show a progress bar.
            backend: what searches: `Exact(metric, max_memory)` of `oml.retrieval.backends`, by L2 if None, or another
                one of them.

        Raises:
            TypeError: the dataset does not tell queries from galleries.
            InvalidInputError: the lengths differ, n_items < 1, NaN or infinity (the first rows are named).

        """
        answers, gts = find_within(embeddings, dataset, n_items, verbose, backend)
        return cls._make(*answers, gts)

    @classmethod
    def from_embeddings_qg(
        cls,
        embeddings_query: Tensor,
        embeddings_gallery: Tensor,
        dataset_query: IBaseDataset,
        dataset_gallery: IBaseDataset,
        n_items: int = 100,
        verbose: bool = False,
        backend: ISearchBackend | None = None,
    ) -> RetrievalResults:
        """
        Search for all items of one dataset among all items of another one.

        Where both have `extra_data["sequence"]`, galleries of the query's sequence are no answers. Where both have
        labels, the galleries of the query's label are relevant.

        Args:
            embeddings_query: (len(dataset_query), D).
            embeddings_gallery: (len(dataset_gallery), D).
            dataset_query: the queries.
            dataset_gallery: the galleries.
            n_items: answers to keep per query.
            verbose: show a progress bar.
            backend: what searches: `Exact(metric, max_memory)` of `oml.retrieval.backends`, by L2 if None, or another
                one of them.

        Raises:
            InvalidInputError: the lengths differ, n_items < 1, NaN or infinity (the first rows are named).

        """
        answers, gts = find_between(
            embeddings_query, embeddings_gallery, dataset_query, dataset_gallery, n_items, verbose, backend
        )
        return cls._make(*answers, gts)

    @classmethod
    def load(cls, path: Path | str) -> RetrievalResults:
        """
        Give the results that `save` has written. They stay in the file until looked at: it must not be changed or
        shortened meanwhile. Writing into the results leaves the file as it is.

        Raises:
            FileNotFoundError: there is no such file.
            UnreadableResultsError: (an InvalidInputError) the file is of another kind, cut off or damaged. The answers
                themselves are not checked again.

        """
        results = cls.__new__(cls)
        results._assign(*read_results(path))
        return results

    def save(self, path: Path | str) -> None:
        """
        Write the results, with what is relevant, to a file in the safetensors format, as a whole or not at all.

        Args:
            path: any name; a file that is there is replaced. Missing folders are made.

        Example:
            >>> import tempfile
            >>> import torch
            >>> rr = RetrievalResults([torch.tensor([0.5, 2.0])], [torch.tensor([7, 3])])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     rr.save(f"{folder}/rr.safetensors")
            ...     RetrievalResults.load(f"{folder}/rr.safetensors") == rr
            True

        """
        write_results(path, StoredResults(self.distances.values, self.retrieved_ids.values, self.lengths, self._gts))

    def to_dataframe(self) -> pd.DataFrame:
        """
        Give a table with a row per answer: `query_id`, `rank` (from 1), `retrieved_id`, `distance`, and `is_relevant`
        where that is known.
        """
        import pandas as pd

        is_answer = mask_lengths(self.lengths, self.retrieved_ids.values.shape[1])
        rows, columns = is_answer.nonzero().unbind(1)
        table = {
            "query_id": rows,
            "rank": columns + 1,
            "retrieved_id": self.retrieved_ids.values[is_answer],
            "distance": self.distances.values[is_answer],
        }
        if self._gts is not None:
            table["is_relevant"] = self.calc_hits().is_hit[is_answer]
        return pd.DataFrame({name: column.cpu().numpy() for name, column in table.items()})

    def __str__(self) -> str:
        n = min(len(self._lengths), _N_SHOWN)
        gts = "are unknown." if self._gts is None else str([self._gts.get(i) for i in range(n)])
        return (
            f"Retrieval results of {len(self._lengths)} queries. The first {n}:\n"
            f"Numbers of answers: {self._lengths[:n].tolist()}\n"
            f"Distances: {self._distances[:n]}\n"
            f"Retrieved ids: {self._ids[:n]}\n"
            f"Ground truths {gts}"
        )

    @classmethod
    def _make(
        cls, distances: Tensor, ids: Tensor, lengths: Tensor, ground_truth: GroundTruth | None
    ) -> RetrievalResults:
        results = cls.__new__(cls)
        results._set(distances, ids, lengths, ground_truth)
        return results

    def _set(self, distances: Tensor, ids: Tensor, lengths: Tensor, ground_truth: GroundTruth | None) -> None:
        self._assign(distances, ids, lengths, ground_truth)
        if ground_truth is not None:
            check_ground_truth(ground_truth.count(), len(lengths))
