"""What a miner must offer: which triplets of a batch the loss shall look at."""

from abc import ABC, abstractmethod

import torch
from torch import LongTensor, Tensor

from oml.errors import check

TTriplets = tuple[Tensor, Tensor, Tensor]
TTripletsIds = tuple[LongTensor, LongTensor, LongTensor] | tuple[list[int], list[int], list[int]]
TLabels = list[int] | Tensor


def labels2list(labels: TLabels) -> list[int]:
    """
    Give the labels as a list of numbers.

    Raises:
        TypeError: the labels are neither a tensor nor a list.

    Example:
        >>> labels2list(torch.tensor([3, 1]))
        [3, 1]

    """
    if isinstance(labels, Tensor):
        return labels.reshape(-1).tolist()
    if isinstance(labels, list):
        return labels.copy()
    raise TypeError(
        f"labels must be a tensor or a list, got {type(labels).__name__}. Convert them with torch.as_tensor."
    )


class ITripletsMiner(ABC):
    """Gives triplets of features for a batch."""

    @abstractmethod
    def sample(self, features: Tensor, labels: TLabels) -> TTriplets:
        """Give anchors, positives and negatives, (T, D) each, for the features (B, D) with the labels (B,)."""


class ITripletsMinerInBatch(ITripletsMiner):
    """
    Gives triplets of items of the batch. To write one's own miner, define `_sample`.

    Losses ask for positions (`sample_ids`) and read a matrix of distances, so that no features are copied.
    """

    @abstractmethod
    def _sample(self, features: Tensor, labels: list[int]) -> TTripletsIds:
        """Give the positions in the batch of anchors, positives and negatives, (T,) each."""

    def sample_ids(self, features: Tensor, labels: TLabels) -> tuple[Tensor, Tensor, Tensor]:
        """
        Give the positions in the batch of anchors, positives and negatives, (T,) each, int64, on the features' device.

        There may be none: T = 0.
        """
        ids_a, ids_p, ids_n = self._sample(features, labels=labels2list(labels))
        device = features.device
        return (
            torch.as_tensor(ids_a, dtype=torch.long, device=device),
            torch.as_tensor(ids_p, dtype=torch.long, device=device),
            torch.as_tensor(ids_n, dtype=torch.long, device=device),
        )

    def sample(self, features: Tensor, labels: TLabels) -> TTriplets:
        """
        Give anchors, positives and negatives, (T, D) each; gradients flow into the features (B, D).

        Raises:
            InvalidInputError: a label occurs once only, or there is only one label.

        """
        self._check_labels(labels2list(labels))
        ids_a, ids_p, ids_n = self.sample_ids(features, labels)
        return features[ids_a], features[ids_p], features[ids_n]

    @staticmethod
    def _check_labels(labels: list[int]) -> None:
        counts: dict[int, int] = {}
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
        single = [label for label, count in counts.items() if count < 2]
        check(
            not single,
            f"Each label of a batch must occur at least twice to have a positive, but these occur once: {single[:5]}. "
            f"Use BalanceSampler(labels, n_labels=..., n_instances=...) with n_instances >= 2.",
        )
        check(
            len(counts) > 1,
            f"A batch must have at least two different labels to have a negative, got {list(counts)}. "
            f"Use BalanceSampler(labels, n_labels=..., n_instances=...) with n_labels >= 2.",
        )
