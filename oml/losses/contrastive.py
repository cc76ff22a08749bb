"""Losses of L2 distances: contrastive, triplets with semi-hard mining, lifted structure."""

from typing import ClassVar

from torch import Tensor

from oml.errors import check
from oml.functional.losses.anchors import AnchorLosses
from oml.functional.losses.contrastive import contrastive_loss, lifted_structure_loss
from oml.functional.losses.semi_hard import semi_hard_triplet_loss
from oml.losses.pair_loss import DistancePairLoss


class ContrastiveLoss(DistancePairLoss):
    """
    Contrastive loss: positives shall be nearer than one margin, negatives farther than another one.

    See `oml.functional.losses.contrastive_loss` for the formula and its source. The mean is taken over the pairs that
    have a loss, positives and negatives apart; "none" gives the sums of the anchors.

    Args:
        positive_margin: Positives nearer than this have no loss.
        negative_margin: Negatives farther than this have no loss.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: a margin is below 0, or not smaller than the other one, or the reduction is unknown.

    Example:
        >>> import torch
        >>> ContrastiveLoss()(torch.tensor([[0.0], [0.5], [0.75]]), [7, 7, 9])
        tensor(1.)

    """

    criterion_name: ClassVar[str] = "contrastive"

    def __init__(self, positive_margin: float = 0.0, negative_margin: float = 1.0, reduction: str = "mean") -> None:
        check(
            0 <= positive_margin < negative_margin,
            "Margins must be 0 <= positive_margin < negative_margin, "
            f"got positive_margin={positive_margin} and negative_margin={negative_margin}.",
        )
        super().__init__(reduction)
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the distances and two masks (A, C)."""
        return contrastive_loss(scores, positives, negatives, self.positive_margin, self.negative_margin)


class SemiHardTripletLoss(DistancePairLoss):
    """
    Triplet loss of the semi-hard triplets: the negative is farther than the positive, but by less than the margin.

    See `oml.functional.losses.semi_hard_triplet_loss` for the formula and its source. The mean is taken over all the
    semi-hard triplets; "none" gives the sums of the anchors.

    Args:
        margin: By how much the negative shall be more distant than the positive.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: the margin is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> SemiHardTripletLoss(margin=0.5)(torch.tensor([[0.0], [1.0], [-1.25]]), [7, 7, 9])
        tensor(0.2500)

    """

    criterion_name: ClassVar[str] = "semi_hard_triplet"

    def __init__(self, margin: float = 0.2, reduction: str = "mean") -> None:
        check(margin > 0, f"margin must be above 0, got {margin}.")
        super().__init__(reduction)
        self.margin = margin

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the distances and two masks (A, C)."""
        return semi_hard_triplet_loss(scores, positives, negatives, self.margin)


class LiftedStructureLoss(DistancePairLoss):
    """
    Generalised lifted structure loss: all positives of an anchor against all its negatives, smoothly.

    See `oml.functional.losses.lifted_structure_loss` for the formula and its source.

    Args:
        margin: By how much negatives shall be more distant than positives.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: the margin is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> LiftedStructureLoss(margin=1.0, reduction="none")(torch.tensor([[0.0], [0.5], [-1.0]]), [7, 7, 9])
        tensor([0.5000, 0.0000, 0.0000])

    """

    criterion_name: ClassVar[str] = "lifted_structure"

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        check(margin > 0, f"margin must be above 0, got {margin}.")
        super().__init__(reduction)
        self.margin = margin

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the distances and two masks (A, C)."""
        return lifted_structure_loss(scores, positives, negatives, self.margin)
