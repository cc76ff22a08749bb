"""The hardest triplet of each item of a batch."""

from torch import Tensor

from oml.functional.distances import pairwise_dist
from oml.functional.triplets import find_positives_and_negatives
from oml.interfaces.miners import (
    ITripletsMinerInBatch,
    TLabels,
    TripletCandidates,
    TTriplets,
    labels2tensor,
)
from oml.miners.ranks import list_ids, take_ranks

HARDEST = slice(0, 1)


class HardTripletsMiner(ITripletsMinerInBatch):
    """
    Gives a triplet per item: the item, the farthest item of its label, the nearest item of another label.

    Batch-hard mining of "In defense of the triplet loss" (Hermans et al. 2017), section 2. Distances are L2 and
    detached. An item is never its own positive, also where all its positives are at the distance 0. Of equally hard
    items any one is taken. Losses and `sample_ids` skip items without a positive or without a negative; `sample`
    refuses such batches.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0], [1.0], [5.0], [3.0]])
        >>> HardTripletsMiner().sample_ids(features, labels=[0, 0, 1, 1])
        (tensor([0, 1, 2, 3]), tensor([1, 0, 3, 2]), tensor([3, 3, 1, 1]))

    """

    def _sample(self, features: Tensor, labels: list[int]) -> tuple[list[int], list[int], list[int]]:
        return self._sample_from_distmat(_calc_distances(features), labels=labels)

    def _sample_from_distmat(self, distmat: Tensor, labels: TLabels) -> tuple[list[int], list[int], list[int]]:
        """Give the positions of anchors, positives and negatives for the distances (B, B) and the labels (B,)."""
        ids_a, ids_p, ids_n = list_ids(_find_hardest(distmat.detach(), labels2tensor(labels, distmat)))
        return ids_a.tolist(), ids_p.tolist(), ids_n.tolist()

    def sample_ids(self, features: Tensor, labels: TLabels, distances: Tensor | None = None) -> TTriplets:
        """Give the positions of anchors, positives and negatives, (T,) each, anchors in order."""
        distances = _calc_distances(features) if distances is None else distances.detach()
        return list_ids(_find_hardest(distances, labels2tensor(labels, features)))

    def sample_candidates(self, distances: Tensor, labels: Tensor) -> TripletCandidates:
        """Give the one positive and the one negative of each item, (B, 1)."""
        return _find_hardest(distances, labels)


def _find_hardest(distances: Tensor, labels: Tensor) -> TripletCandidates:
    positives, negatives = find_positives_and_negatives(labels)
    return TripletCandidates(
        take_ranks(distances, positives, HARDEST, farthest_first=True),
        take_ranks(distances, negatives, HARDEST, farthest_first=False),
    )


def _calc_distances(features: Tensor) -> Tensor:
    features = features.detach()
    return pairwise_dist(features, features)
