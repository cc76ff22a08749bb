"""The arrays of retrieval results, and what makes other results of them: queries chosen, answers cut or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from oml.errors import check, show_some
from oml.functional.metrics import Hits
from oml.functional.ragged import Ragged, mask_lengths, pad_rows
from oml.functional.search import NO_ID
from oml.retrieval.checks import check_answers
from oml.retrieval.ground_truth import GroundTruth, concat_ground_truth, is_same_ground_truth
from oml.retrieval.reading import read_lengths
from oml.retrieval.rows import PaddedRows
from oml.retrieval.visualization import VisualizableResults

TResults = TypeVar("TResults", bound="ResultArrays")
TQueries = int | slice | Sequence[int] | np.ndarray | Tensor


class ResultArrays(VisualizableResults):
    """
    Distances (Q, K) and ids (Q, K), padded with infinity and -1, lengths (Q,), and what is relevant.

    Made by the constructors of `RetrievalResults`.
    """

    _distances: PaddedRows
    _ids: PaddedRows
    _lengths: Tensor
    _gts: GroundTruth | None

    @property
    def distances(self) -> PaddedRows:
        """Distances of the answers of each query, ascending."""
        return self._distances

    @property
    def retrieved_ids(self) -> PaddedRows:
        """Positions of the answers among the galleries, nearest first, of each query."""
        return self._ids

    @property
    def gt_ids(self) -> Sequence[Tensor] | None:
        """Positions of the relevant galleries of each query, or None. Asking for them makes lists, which are kept."""
        if self._gts is None:
            return None
        self._gts = self._gts.to_list()
        return self._gts.rows

    @property
    def ground_truth(self) -> GroundTruth | None:
        """What is relevant, as labels or lists, or None if unknown. Asking for it makes nothing."""
        return self._gts

    @property
    def lengths(self) -> Tensor:
        """Number of answers of each query, (Q,)."""
        return self._lengths

    @property
    def n_retrieved_items(self) -> int:
        """The largest number of answers of a query; a ValueError where there are no queries."""
        if not len(self._lengths):
            raise ValueError("There are no queries, so the number of retrieved items is not defined.")
        return int(self._lengths.max())

    def is_empty(self) -> bool:
        """Tell whether no query has an answer."""
        return not bool((self._lengths > 0).any())

    def get_gt_ids(self, query: int) -> Tensor | None:
        """Give the relevant galleries of one query, or None if unknown, without making the lists of all."""
        return None if self._gts is None else self._gts.get(query)

    def calc_hits(self, n_first: int | None = None) -> Hits:
        """
        Give what metrics are computed from.

        Args:
            n_first: look at so many first answers only.

        Raises:
            TypeError: it is not known what is relevant.

        """
        if self._gts is None:
            raise TypeError(
                "Metrics need ground truth, but these results have none (`gt_ids` is None). Make them from "
                "a labelled dataset, or give `gt_ids` to RetrievalResults."
            )
        return Hits(self._gts.mark(self._ids.values[:, :n_first]), self._lengths, self._gts.count())

    def deepcopy(self: TResults) -> TResults:
        """Give a copy that shares no memory."""
        gts = None if self._gts is None else self._gts.clone()
        return self._like(self._distances.values.clone(), self._ids.values.clone(), self._lengths.clone(), gts)

    def replace_answers(
        self: TResults, distances: Tensor, retrieved_ids: Tensor, lengths: Tensor | None = None
    ) -> TResults:
        """
        Give results with other answers to the same queries, and the same ground truth.

        Takes what `RetrievalResults.from_arrays` takes, and raises what it raises.
        """
        check(
            len(distances) == len(self),
            f"`distances` must have one row per query, got {len(distances)} for {len(self)} queries.",
        )
        lengths = read_lengths(distances, retrieved_ids, lengths)
        check_answers(distances, retrieved_ids, lengths)
        return self._like(distances, retrieved_ids, lengths, self._copy_gts())

    def keep_first(self: TResults, lengths: Tensor) -> TResults:
        """Give a copy with only so many first answers of each query; lengths (Q,), beyond what there is: all."""
        lengths = torch.minimum(lengths.to(self._lengths).clamp(min=0), self._lengths)
        width = int(lengths.max()) if len(lengths) else 0
        is_padding = ~mask_lengths(lengths, width)
        distances = self._distances.values[:, :width].masked_fill(is_padding, torch.inf)
        ids = self._ids.values[:, :width].masked_fill(is_padding, NO_ID)
        return self._like(distances, ids, lengths, self._copy_gts())

    def keep_where(self: TResults, is_kept: Tensor) -> TResults:
        """Give a copy with only the marked answers of each query, in their order; the marks are (Q, K)."""
        width = self._ids.values.shape[1]
        is_kept = is_kept & mask_lengths(self._lengths, width)
        lengths = is_kept.sum(1)
        if torch.equal(is_kept, mask_lengths(lengths, width)):  # as thresholds leave sorted answers
            return self.keep_first(lengths)
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        distances = pad_rows(Ragged(self._distances.values[is_kept], offsets), torch.inf)
        return self._like(
            distances, pad_rows(Ragged(self._ids.values[is_kept], offsets), NO_ID), lengths, self._copy_gts()
        )

    @classmethod
    def concat(cls: type[TResults], parts: Sequence[TResults]) -> TResults:
        """
        Give the results of all queries of all parts, one part after another: batches of queries searched in a stream.

        The parts may have different numbers of answers. Labels stay labels.

        Raises:
            InvalidInputError: no parts, only some of them have ground truth, or the parts were searched in different
                galleries.

        """
        check(len(parts) > 0, "`parts` must hold at least one result.")
        width = max(part._ids.values.shape[1] for part in parts)
        n_queries = sum(len(part) for part in parts)
        first = parts[0]
        distances = first._distances.values.new_full((n_queries, width), torch.inf)
        ids = first._ids.values.new_full((n_queries, width), NO_ID)
        start = 0
        for part in parts:
            stop = start + len(part)
            distances[start:stop, : part._ids.values.shape[1]] = part._distances.values
            ids[start:stop, : part._ids.values.shape[1]] = part._ids.values
            start = stop
        gts = concat_ground_truth([part._gts for part in parts])
        return first._like(distances, ids, torch.cat([part._lengths for part in parts]), gts)

    def __len__(self) -> int:
        """Give the number of queries."""
        return len(self._lengths)

    def __bool__(self) -> bool:
        """Results are true whatever their length; `is_empty` tells whether there are answers."""
        return True

    def __getitem__(self: TResults, queries: TQueries) -> TResults:
        """
        Give the results of some queries: a position, a slice, positions in any order, or a mask (Q,).

        A slice shares memory with these results, anything else is a copy.

        Raises:
            IndexError: a query that is not there, or a mask of another length.

        """
        chosen = queries if isinstance(queries, slice) else self._read_positions(queries)
        gts = None
        if self._gts is not None:
            gts = self._gts.take(torch.arange(len(self), device=self._lengths.device)[chosen])
        return self._like(self._distances.values[chosen], self._ids.values[chosen], self._lengths[chosen], gts)

    def __eq__(self, other: Any) -> bool:
        """Tell whether the answers, the distances (to the bit) and the sets of relevant galleries are the same."""
        if not isinstance(other, ResultArrays):
            return NotImplemented
        if not torch.equal(self._lengths, other._lengths):
            return False
        width = int(self._lengths.max()) if len(self) else 0
        is_same = all(
            torch.equal(a.values[:, :width], b.values[:, :width])
            for a, b in ((self._ids, other._ids), (self._distances, other._distances))
        )
        return is_same and is_same_ground_truth(self._gts, other._gts)

    __hash__ = None  # type: ignore[assignment]  # results can be written to

    def _read_positions(self, queries: Any) -> Tensor:
        positions = torch.as_tensor(queries, device=self._lengths.device).reshape(-1)
        n_queries = len(self)
        if positions.dtype == torch.bool:
            if len(positions) != n_queries:
                raise IndexError(f"A mask of queries must have the length {n_queries}, got {len(positions)}.")
            return positions.nonzero()[:, 0]
        if not len(positions):
            return positions.long()
        if positions.is_floating_point():
            raise IndexError(f"Queries must be integers, a slice or a mask, got {positions.dtype}.")
        is_outside = (positions < -n_queries) | (positions >= n_queries)
        if bool(is_outside.any()):
            bad = show_some(positions[is_outside].tolist())
            raise IndexError(f"There are {n_queries} queries, so there is none at the positions {bad}.")
        return positions.long() % n_queries

    def _copy_gts(self) -> GroundTruth | None:
        return None if self._gts is None else self._gts.clone()

    def _like(
        self: TResults, distances: Tensor, ids: Tensor, lengths: Tensor, ground_truth: GroundTruth | None
    ) -> TResults:
        results = type(self).__new__(type(self))
        results._assign(distances, ids, lengths, ground_truth)
        return results

    def _assign(self, distances: Tensor, ids: Tensor, lengths: Tensor, ground_truth: GroundTruth | None) -> None:
        self._distances, self._ids = PaddedRows(distances, lengths), PaddedRows(ids, lengths)
        self._lengths, self._gts = lengths, ground_truth
