"""Pairs of a batch, for models that compare two items."""

import torch
from torch import Tensor

from oml.functional.distances import pairwise_dist
from oml.functional.triplets import find_positives_and_negatives
from oml.interfaces.miners import TLabels, TripletCandidates, labels2tensor
from oml.miners.inbatch_hard_tri import HardTripletsMiner


class PairsMiner:
    """
    Gives pairs of items of one label and pairs of items of two labels, each pair once.

    Args:
        hard_mining: Take the pairs that `HardTripletsMiner` joins, or all pairs.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [5.0], [3.0]])
        >>> PairsMiner().sample(features, labels=[0, 0, 1, 1])
        (tensor([0, 2, 0, 1, 1]), tensor([1, 3, 3, 2, 3]), tensor([False, False,  True,  True,  True]))

    """

    def __init__(self, hard_mining: bool = True) -> None:
        self.hard_mining = hard_mining

    def sample(self, features: Tensor, labels: TLabels) -> tuple[Tensor, Tensor, Tensor]:
        """
        Give the positions of both items, (P,) int64 each, and whether their labels differ, (P,) bool.

        Pairs of one label come first. The first item is the lower one. All are on the features' device; the number of
        pairs depends on the batch, so on a device other than the processor this waits for it.

        Args:
            features: Features (B, D).
            labels: Labels (B,).

        Raises:
            TypeError: the labels are neither a tensor nor a list.
            InvalidInputError: there are not as many labels as features.

        """
        labels_tensor = labels2tensor(labels, features)
        if self.hard_mining:
            features = features.detach()
            distances = pairwise_dist(features, features)
            chosen = HardTripletsMiner().sample_candidates(distances, labels_tensor)
            is_anchor = chosen.positives.exist & chosen.negatives.exist
            masks = _mark(chosen, is_anchor)
        else:
            positives, negatives = find_positives_and_negatives(labels_tensor)
            is_anchor = positives.any(dim=1, keepdim=True) & negatives.any(dim=1, keepdim=True)
            masks = torch.stack([positives, negatives]) & is_anchor
        is_negative, first, second = (masks | masks.mT).triu_(diagonal=1).nonzero().unbind(dim=1)
        return first, second, is_negative.bool()


def _mark(chosen: TripletCandidates, is_anchor: Tensor) -> Tensor:
    """Give which items an anchor has chosen as a positive, and which as a negative, (2, B, B)."""
    if chosen.positives.ids is None or chosen.negatives.ids is None:  # there is one item at most, so no anchor
        return is_anchor.new_zeros(2, len(is_anchor), len(is_anchor))
    ids = torch.stack([chosen.positives.ids, chosen.negatives.ids])
    return is_anchor.new_zeros(2, len(is_anchor), len(is_anchor)).scatter_(2, ids, is_anchor.expand_as(ids))
