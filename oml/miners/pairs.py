"""Pairs of a batch, for models that compare two items."""

import torch
from torch import Tensor

from oml.functional.distances import pairwise_dist
from oml.functional.triplets import find_positives_and_negatives
from oml.interfaces.masks import any_in_rows
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
        (tensor([0, 2, 0, 1, 1]), tensor([1, 3, 3, 3, 2]), tensor([False, False,  True,  True,  True]))

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
            return _list_pairs(HardTripletsMiner().sample_candidates(distances, labels_tensor))
        positives, negatives = find_positives_and_negatives(labels_tensor)
        is_anchor = any_in_rows(positives) & any_in_rows(negatives)
        masks = torch.stack([positives, negatives]) & (is_anchor[:, None] | is_anchor)
        is_negative, first, second = masks.triu_(diagonal=1).nonzero().unbind(dim=1)
        return first, second, is_negative.bool()


def _list_pairs(chosen: TripletCandidates) -> tuple[Tensor, Tensor, Tensor]:
    """Give the pairs of the anchors with the one positive and the one negative that each of them has chosen."""
    positives, negatives = chosen
    if positives.ids is None or negatives.ids is None:  # there is one item at most, so no anchor
        nobody = torch.empty(0, dtype=torch.long, device=positives.exist.device)
        return nobody, nobody, nobody.bool()
    own_ids = torch.arange(len(positives.ids), device=positives.ids.device)[:, None]
    ids = torch.cat([positives.ids, negatives.ids], dim=1)
    # who is no anchor chooses himself
    ids = torch.where(positives.exist & negatives.exist, ids, own_ids)
    # of two that choose each other the first one has the pair
    is_listed = (ids.gather(0, ids) != own_ids).logical_or_(ids > own_ids)
    kinds, anchors = is_listed.T.nonzero().unbind(dim=1)
    others = ids[anchors, kinds]
    return torch.minimum(anchors, others), torch.maximum(anchors, others), kinds.bool()
