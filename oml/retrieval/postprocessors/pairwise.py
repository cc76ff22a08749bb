"""A postprocessor that asks a pairwise model about the first answers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from oml.errors import check, show_some
from oml.functional.ragged import mask_lengths
from oml.inference import pairwise_inference
from oml.interfaces.datasets import IQueryGalleryDataset
from oml.interfaces.models import IPairwiseModel
from oml.interfaces.retrieval import IRetrievalPostprocessor
from oml.retrieval.retrieval_results import RetrievalResults
from oml.utils.misc_torch import cat_two_sorted_tensors_and_keep_it_sorted

_EPS = 1000 * torch.finfo(torch.float32).eps


def _accept_model_first(init: Callable[..., None]) -> Callable[..., None]:
    """Let `PairwiseReranker(model, top_n=3)` work beside the order of the signature."""

    @wraps(init)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        if args and isinstance(args[0], IPairwiseModel):
            kwargs["pairwise_model"], args = args[0], args[1:]
        init(self, *args, **kwargs)

    return wrapper


class PairwiseReranker(IRetrievalPostprocessor):
    """
    Sort the first answers of each query anew, by what a pairwise model says about the query and each of them.

    The others stay where they are. If the model's largest distance a is above the distance b of the first answer that
    stays, the new distances are scaled by b / a, less a small gap, so that all distances of the query still ascend
    (`cat_two_sorted_tensors_and_keep_it_sorted` gives the rule, and what happens where b / a is not positive).

    Args:
        top_n: how many first answers of a query are sorted, at least 2.
        pairwise_model: its `predict` gives how distant the items of each pair are. It may also be the first argument.
        num_workers: processes that read items; 0 reads them in this one.
        batch_size: pairs that the model gets at once.
        verbose: whether to show a progress bar.
        use_fp16: whether to calculate in float16 where that is safe; on CUDA only.

    Raises:
        InvalidInputError: `top_n` is less than 2.

    """

    @_accept_model_first
    def __init__(
        self,
        top_n: int,
        pairwise_model: IPairwiseModel,
        num_workers: int = 0,
        batch_size: int = 128,
        verbose: bool = False,
        use_fp16: bool = False,
    ):
        check(top_n > 1, f"`top_n` must be at least 2, since one answer cannot change its place; got {top_n}.")
        self._top_n = top_n
        self.model = pairwise_model
        self.num_workers, self.batch_size = num_workers, batch_size
        self.verbose, self.use_fp16 = verbose, use_fp16

    @property
    def top_n(self) -> int:
        """How many first answers of a query are sorted."""
        return self._top_n

    def process(
        self, rr: RetrievalResults, dataset: IQueryGalleryDataset, embeddings: Tensor | None = None
    ) -> RetrievalResults:
        """
        Give new results with the same answers, the first ones of each query sorted anew. Ground truth stays.

        Equal new distances leave answers in their order. Distances become float32.

        Args:
            rr: results of a search in the dataset; a query may have any number of answers, also none.
            dataset: gives the items of the pairs, and tells queries from galleries.
            embeddings: not looked at; all postprocessors can be called alike.

        Raises:
            InvalidInputError: the dataset has another number of queries, or too few galleries; the model gives NaN or
                infinity.

        """
        query_ids, gallery_ids = dataset.get_query_ids(), dataset.get_gallery_ids()
        check(
            len(query_ids) == len(rr),
            f"The dataset has {len(query_ids)} queries, the results have {len(rr)}. Give the dataset that they were "
            "made from.",
        )
        ids = rr.retrieved_ids.values[:, : self.top_n]
        is_answer = mask_lengths(rr.lengths.clamp(max=self.top_n), ids.shape[1])
        rows, _ = is_answer.nonzero().unbind(1)
        chosen = ids[is_answer]
        largest = int(chosen.max()) if len(chosen) else -1
        check(
            largest < len(gallery_ids),
            f"The dataset has {len(gallery_ids)} galleries, but the results hold the id {largest}. Give the dataset "
            "that they were made from.",
        )
        pairs = torch.stack([query_ids[rows.cpu()], gallery_ids[chosen.cpu()]], dim=1).numpy()
        new = torch.full(ids.shape, torch.inf, device=ids.device)
        if len(pairs):
            new[is_answer] = self._predict(dataset, pairs).to(new)
        return _put_first(rr, new)

    def _predict(self, dataset: IQueryGalleryDataset, pairs: Any) -> Tensor:
        distances = pairwise_inference(
            model=self.model,
            base_dataset=dataset,
            pair_ids=pairs,
            num_workers=self.num_workers,
            batch_size=self.batch_size,
            verbose=self.verbose,
            use_fp16=self.use_fp16,
        ).float()
        bad = (~distances.isfinite()).nonzero()[:, 0].tolist()
        check(
            not bad,
            "The pairwise model must give finite distances, but NaN or infinity came for the pairs of items "
            f"{show_some(tuple(pairs[i].tolist()) for i in bad)}.",
        )
        return distances


def _put_first(rr: RetrievalResults, new: Tensor) -> RetrievalResults:
    """Sort the first answers by their new distances (Q, top_n), padded with infinity, before the others."""
    width = new.shape[1]
    new, order = new.sort(dim=1, stable=True)
    ids = rr.retrieved_ids.values.clone()
    ids[:, :width] = ids[:, :width].gather(1, order)
    distances = rr.distances.values.to(torch.float32, copy=True)
    has_others = rr.lengths > width
    tail = distances[has_others, width:]
    distances[:, :width] = new
    distances[has_others] = cat_two_sorted_tensors_and_keep_it_sorted(new[has_others], tail, eps=_EPS)
    return rr.replace_answers(distances, ids, rr.lengths)
