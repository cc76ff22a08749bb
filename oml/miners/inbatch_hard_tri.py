"""The hardest triplet of each item of a batch."""

import math

import torch
from torch import Tensor

from oml.functional.distances import pairwise_dist
from oml.functional.triplets import find_positives_and_negatives
from oml.interfaces.miners import (
    Candidates,
    ITripletsMinerInBatch,
    TLabels,
    TripletCandidates,
    TTriplets,
    labels2tensor,
)


class HardTripletsMiner(ITripletsMinerInBatch):
    """
    Gives a triplet per item: the item, the farthest item of its label, the nearest item of another label.

    Batch-hard mining of "In defense of the triplet loss" (Hermans et al. 2017), section 2. Distances are L2 and
    detached. An item is never its own positive, also where all its positives are at the distance 0. Of equally hard
    items any one is taken. Losses and `sample_ids` skip items without a positive or without a negative; `sample`
    refuses such batches.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [5.0], [3.0]])
        >>> HardTripletsMiner().sample_ids(features, labels=[0, 0, 1, 1])
        (tensor([0, 1, 2, 3]), tensor([1, 0, 3, 2]), tensor([3, 3, 1, 1]))

    """

    def _sample(self, features: Tensor, labels: list[int]) -> tuple[list[int], list[int], list[int]]:
        return self._sample_from_distmat(_calc_distances(features), labels=labels)

    def _sample_from_distmat(self, distmat: Tensor, labels: TLabels) -> tuple[list[int], list[int], list[int]]:
        """Give the positions of anchors, positives and negatives for the distances (B, B) and the labels (B,)."""
        ids_a, ids_p, ids_n = _find_triplets(distmat, labels2tensor(labels, distmat))
        return ids_a.tolist(), ids_p.tolist(), ids_n.tolist()

    def sample_ids(self, features: Tensor, labels: TLabels, distances: Tensor | None = None) -> TTriplets:
        """Give the positions of anchors, positives and negatives, (T,) each, anchors in order."""
        distances = _calc_distances(features) if distances is None else distances.detach()
        return _find_triplets(distances, labels2tensor(labels, features))

    def sample_candidates(self, distances: Tensor, labels: Tensor) -> TripletCandidates:
        """Give the one positive and the one negative of each item, (B, 1)."""
        has_positive, positive_ids, has_negative, negative_ids = _find_hardest(distances, labels)
        return TripletCandidates(Candidates(has_positive, positive_ids), Candidates(has_negative, negative_ids))


def _find_triplets(distances: Tensor, labels: Tensor) -> TTriplets:
    has_positive, positive_ids, has_negative, negative_ids = _find_hardest(distances, labels)
    anchors = torch.nonzero((has_positive & has_negative).flatten()).flatten()
    return anchors, positive_ids.flatten()[anchors], negative_ids.flatten()[anchors]


def _find_hardest(distances: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give whether there are a positive and a negative, and which, (B, 1) each."""
    positives, negatives = find_positives_and_negatives(labels)
    n_hardest = min(1, len(labels))  # an empty batch has none
    # the fill never wins against a real candidate: a positive at the distance 0 is taken before the item itself
    farthest, positive_ids = torch.where(positives, distances, -math.inf).topk(n_hardest, dim=1)
    nearest, negative_ids = torch.where(negatives, distances, math.inf).topk(n_hardest, dim=1, largest=False)
    return farthest != -math.inf, positive_ids, nearest != math.inf, negative_ids


def _calc_distances(features: Tensor) -> Tensor:
    features = features.detach()
    return pairwise_dist(features, features)
