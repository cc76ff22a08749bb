"""A postprocessor that joins the results of several searches."""

from collections.abc import Sequence

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.fusion import fuse_reciprocal_ranks
from oml.interfaces.datasets import IBaseDataset
from oml.interfaces.retrieval import IRetrievalPostprocessor
from oml.retrieval.retrieval_results import RetrievalResults


class ReciprocalRankFusion(IRetrievalPostprocessor):
    """
    Fuse results with those of other searches for the same queries in the same galleries: by ranks, not by distances.

    `fuse_reciprocal_ranks` gives the formula and its source.

    Args:
        others: the other results.
        k: larger values give the first ranks less weight over the later ones.
        n_items: how many answers of each query are kept; all by default.

    Raises:
        InvalidInputError: `n_items` is not positive.

    Example:
        >>> ids = [torch.tensor([5, 3])], [torch.tensor([3, 9])]
        >>> by_image, by_text = (RetrievalResults([torch.tensor([0.1, 0.2])], row) for row in ids)
        >>> ReciprocalRankFusion([by_text]).process(by_image).retrieved_ids
        (tensor([3, 5, 9]),)

    """

    def __init__(self, others: Sequence[RetrievalResults], k: float = 60.0, n_items: int | None = None):
        check(n_items is None or n_items >= 1, f"`n_items` must be at least 1, got {n_items}.")
        self.others, self.k, self.n_items = list(others), k, n_items

    def process(
        self, rr: RetrievalResults, dataset: IBaseDataset | None = None, embeddings: Tensor | None = None
    ) -> RetrievalResults:
        """
        Give the fused results, with distances from 0 to 1 and the ground truth of `rr`.

        Args:
            rr: results.
            dataset: not looked at; all postprocessors can be called alike.
            embeddings: not looked at.

        Raises:
            InvalidInputError: other results have another number of queries, or `k` is negative.

        """
        distances, ids = fuse_reciprocal_ranks([x.retrieved_ids.values for x in (rr, *self.others)], self.k)
        distances, ids = distances[:, : self.n_items].contiguous(), ids[:, : self.n_items].contiguous()
        return rr.replace_answers(distances, ids, torch.sum(ids >= 0, dim=1))
