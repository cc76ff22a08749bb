"""Postprocessors that keep the near answers and drop the far ones."""

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.ragged import mask_lengths
from oml.interfaces.datasets import IBaseDataset
from oml.interfaces.retrieval import IRetrievalPostprocessor
from oml.retrieval.retrieval_results import RetrievalResults

_BLOCK = 2**22  # gaps looked at at once


class ConstantThresholding(IRetrievalPostprocessor):
    """
    Keep the answers with a distance below a threshold.

    Args:
        th: the threshold, in the units of the distances; an answer exactly at it is dropped.

    Raises:
        InvalidInputError: the threshold is not a number.

    Example:
        >>> rr = RetrievalResults([torch.tensor([0.1, 0.8, 0.9])], [torch.tensor([7, 3, 5])])
        >>> ConstantThresholding(th=0.8).process(rr).retrieved_ids
        (tensor([7]),)

    """

    def __init__(self, th: float):
        check(th == th, f"`th` must be a number, got {th}.")
        self.th = th

    def process(
        self, rr: RetrievalResults, dataset: IBaseDataset | None = None, embeddings: Tensor | None = None
    ) -> RetrievalResults:
        """
        Give new results with the near answers of each query, of which there may be none. Ground truth stays.

        Args:
            rr: results; they may be empty.
            dataset: not looked at; all postprocessors can be called alike.
            embeddings: not looked at.

        """
        return rr.keep_where(rr.distances.values < self.th)


class AdaptiveThresholding(IRetrievalPostprocessor):
    """
    Cut the answers of each query at the first large gap between two distances that follow each other.

    A gap is large if it is more than `n_std` times the mean gap. The mean is taken over all gaps of all queries, so the
    answers to a query depend on what other queries it comes with. In spite of the name of the parameter, known from
    Open Metric Learning, no standard deviation is involved.

    Args:
        n_std: how many mean gaps are large; more of them keep more answers.

    Raises:
        InvalidInputError: `n_std` is not a number.

    Example:
        >>> rows = [torch.tensor([0.1, 0.2, 0.3, 0.9, 1.0]), torch.tensor([0.1, 0.2, 0.3])]
        >>> rr = RetrievalResults(rows, [torch.arange(5), torch.arange(3)])
        >>> AdaptiveThresholding(n_std=2).process(rr).retrieved_ids
        (tensor([0, 1, 2]), tensor([0, 1, 2]))

    """

    def __init__(self, n_std: float = 2.5):
        check(n_std == n_std, f"`n_std` must be a number, got {n_std}.")
        self.n_std = n_std

    def process(
        self, rr: RetrievalResults, dataset: IBaseDataset | None = None, embeddings: Tensor | None = None
    ) -> RetrievalResults:
        """
        Give new results with the answers before the first large gap of each query: at least one where there is any.

        Where no query has two answers there is no gap, and all are kept. Ground truth stays.

        Args:
            rr: results; they may be empty.
            dataset: not looked at; all postprocessors can be called alike.
            embeddings: not looked at.

        """
        distances, lengths = rr.distances.values, rr.lengths
        limit = self.n_std * _calc_mean_gap(distances, lengths)
        kept = lengths.clone()
        step = max(1, _BLOCK // max(1, distances.shape[1]))
        for start in range(0, len(distances), step):
            part = slice(start, start + step)
            kept[part] = torch.minimum(kept[part], _count_before_gap(distances[part], lengths[part], limit))
        return rr.keep_first(kept)


def _calc_mean_gap(distances: Tensor, lengths: Tensor) -> float:
    """The gaps of a query add up to its last distance less its first one."""
    many = (lengths > 1).nonzero()[:, 0]
    if not len(many):
        return 0.0
    last = distances[many, lengths[many] - 1].double()
    return float((last - distances[many, 0].double()).sum() / (lengths[many] - 1).sum())


def _count_before_gap(distances: Tensor, lengths: Tensor, limit: float) -> Tensor:
    """Give the number of answers before the first gap above the limit, all columns where there is none, (q,)."""
    width = distances.shape[1]
    is_large = (distances.diff(dim=1) > limit) & mask_lengths(lengths - 1, max(0, width - 1))
    # a first True has nothing True before it; argmax does not promise to give the first of equal values
    ranks = torch.arange(1, max(1, width), dtype=torch.int32, device=distances.device).expand_as(is_large)
    last = torch.full((len(distances), 1), width, dtype=torch.int32, device=distances.device)
    return torch.cat([ranks.masked_fill(~is_large, width), last], dim=1).amin(1).long()
