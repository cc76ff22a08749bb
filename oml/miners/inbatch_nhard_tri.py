"""Several hard triplets of each item of a batch."""

from numbers import Integral

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.distances import pairwise_dist
from oml.functional.triplets import find_positives_and_negatives
from oml.interfaces.masks import count_in_rows
from oml.interfaces.miners import (
    ITripletsMinerInBatch,
    TLabels,
    TripletCandidates,
    TTriplets,
    labels2tensor,
)
from oml.miners.ranks import list_ids, take_ranks

TRanks = int | tuple[int, int] | list[int]


class NHardTripletsMiner(ITripletsMinerInBatch):
    """
    Gives, for each item, the triplets of its hardest positives with its hardest negatives.

    Positives are ranked by L2 distance from the farthest on, negatives from the nearest on. An item that has no
    positive or no negative at these ranks is no anchor. With (1, 1) it is `HardTripletsMiner`, with huge numbers
    `AllTripletsMiner`. Of equally hard items any comes first.

    Args:
        n_positive: How many of the hardest positives, or a pair of ranks: (2, 5) is the 2nd to the 5th hardest one.
        n_negative: The same for negatives. Ranks beyond the first ones leave out wrong labels and extremes.

    Raises:
        TypeError: an argument is neither a number nor a pair of numbers.
        InvalidInputError: a number or the first rank is below 1, or the last rank is below the first.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
        >>> NHardTripletsMiner(n_negative=2).sample_ids(features, labels=[0, 0, 1, 1])
        (tensor([0, 0, 1, 1, 2, 2, 3, 3]), tensor([1, 1, 0, 0, 3, 3, 2, 2]), tensor([2, 3, 2, 3, 1, 0, 1, 0]))

    """

    def __init__(self, n_positive: TRanks = 1, n_negative: TRanks = 1) -> None:
        self.positive_slice = _to_slice("n_positive", n_positive)
        self.negative_slice = _to_slice("n_negative", n_negative)

    def _sample(
        self, features: Tensor, labels: TLabels, ignore_anchor_mask: Tensor | list[bool] | None = None
    ) -> tuple[list[int], list[int], list[int]]:
        return self._sample_from_distmat(_calc_distances(features), labels, ignore_anchor_mask)

    def _sample_from_distmat(
        self, distmat: Tensor, labels: TLabels, ignore_anchor_mask: Tensor | list[bool] | None = None
    ) -> tuple[list[int], list[int], list[int]]:
        """
        Give the positions of anchors, positives and negatives for the distances (B, B) and the labels (B,).

        Items marked in the mask (B,) are no anchors, but positives and negatives of others.
        """
        labels = labels2tensor(labels, distmat)
        positives, negatives = find_positives_and_negatives(labels)
        if ignore_anchor_mask is not None:
            is_anchor = ~torch.as_tensor(ignore_anchor_mask, dtype=torch.bool, device=distmat.device)
            positives &= is_anchor[:, None]
            negatives &= is_anchor[:, None]
        ids = list_ids(self.choose(distmat.detach(), positives, negatives))
        for name, ranks, mask in (
            ("n_positive", self.positive_slice, positives),
            ("n_negative", self.negative_slice, negatives),
        ):
            n_most = int(count_in_rows(mask).max()) if len(ids[0]) == 0 and len(mask) else ranks.stop
            check(
                n_most == 0 or ranks.start < n_most,
                f"{name} begins at the rank {ranks.start + 1}, but no item of this batch has more than {n_most} "
                f"{name[2:]}s. Begin at a lower rank, or form batches with more of them.",
            )
        ids_a, ids_p, ids_n = ids
        return ids_a.tolist(), ids_p.tolist(), ids_n.tolist()

    def choose(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> TripletCandidates:
        """
        Give the candidates at the ranks of this miner; nothing waits for the device.

        Args:
            distances: L2 distances of anchors to items (A, C), detached.
            positives: Which items have the anchor's label (A, C); not the anchor itself.
            negatives: Which items have another label (A, C).

        """
        return TripletCandidates(
            take_ranks(distances, positives, self.positive_slice, farthest_first=True),
            take_ranks(distances, negatives, self.negative_slice, farthest_first=False),
        )

    def sample_candidates(self, distances: Tensor, labels: Tensor) -> TripletCandidates:
        """Give the hardest positives and negatives of each item, as many as this miner wants."""
        return self.choose(distances, *find_positives_and_negatives(labels))

    def sample_ids(self, features: Tensor, labels: TLabels, distances: Tensor | None = None) -> TTriplets:
        """Give the positions of anchors, positives and negatives, (T,) each, anchors in order, hardest first."""
        distances = _calc_distances(features) if distances is None else distances.detach()
        return list_ids(self.choose(distances, *find_positives_and_negatives(labels2tensor(labels, features))))

    def __repr__(self) -> str:
        """Give the ranks for printing."""
        positive, negative = ((s.start + 1, s.stop) for s in (self.positive_slice, self.negative_slice))
        return f"{type(self).__name__}(n_positive={positive}, n_negative={negative})"


def _calc_distances(features: Tensor) -> Tensor:
    features = features.detach()
    return pairwise_dist(features, features)


def _to_slice(name: str, ranks: TRanks) -> slice:
    if _is_whole(ranks):
        check(ranks >= 1, f"{name} must be at least 1, got {ranks}.")  # type: ignore[operator]
        return slice(0, int(ranks))  # type: ignore[arg-type]
    if not (isinstance(ranks, (tuple, list)) and len(ranks) == 2 and all(_is_whole(rank) for rank in ranks)):
        raise TypeError(f"{name} must be a whole number, or a pair of ranks like (2, 5), got {ranks!r}.")
    first, last = ranks
    check(
        1 <= first <= last,
        f"{name} must be a pair of ranks, counted from 1 and the first not above the last, got {ranks!r}.",
    )
    return slice(int(first) - 1, int(last))


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
