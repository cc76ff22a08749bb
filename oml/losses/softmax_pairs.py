"""Losses of cosines with sums of exponentials: NT-Xent, SupCon, Multi-similarity, Circle."""

from typing import ClassVar

from torch import Tensor

from oml.errors import check
from oml.functional.losses.anchors import AnchorLosses
from oml.functional.losses.reduction import check_temperatures
from oml.functional.losses.softmax_pairs import circle_loss, multi_similarity_loss, nt_xent_loss, sup_con_loss
from oml.losses.pair_loss import CosinePairLoss


class NTXentLoss(CosinePairLoss):
    """
    NT-Xent, InfoNCE inside a batch: each positive is to be told from all the negatives of its anchor.

    See `oml.functional.losses.nt_xent_loss` for the formula and its source. The mean is taken over the positive pairs;
    "none" gives the sums of the anchors. For two matching sets of features there is `InfoNCE`.

    Args:
        temperature: Of the similarities.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: the temperature is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> NTXentLoss(temperature=1.0)(torch.ones(4, 2), [0, 0, 1, 1])  # log(3)
        tensor(1.0986)

    """

    criterion_name: ClassVar[str] = "nt_xent"

    def __init__(self, temperature: float = 0.07, reduction: str = "mean") -> None:
        check_temperatures(temperature=temperature)
        super().__init__(reduction)
        self.temperature = temperature

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the cosines and two masks (A, C)."""
        return nt_xent_loss(scores, positives, negatives, self.temperature)


class SupConLoss(CosinePairLoss):
    """
    Supervised contrastive loss: the positives of an anchor shall share all of its softmax.

    See `oml.functional.losses.sup_con_loss` for the formula and its source. The mean is taken over the anchors that
    have a positive.

    Args:
        temperature: Of the similarities.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: the temperature is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> SupConLoss(temperature=1.0)(torch.ones(4, 2), [0, 0, 1, 1])  # log(3)
        tensor(1.0986)

    """

    criterion_name: ClassVar[str] = "sup_con"

    def __init__(self, temperature: float = 0.1, reduction: str = "mean") -> None:
        check_temperatures(temperature=temperature)
        super().__init__(reduction)
        self.temperature = temperature

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the cosines and two masks (A, C)."""
        return sup_con_loss(scores, positives, negatives, self.temperature)


class MultiSimilarityLoss(CosinePairLoss):
    """
    Multi-similarity loss: pairs count the more the harder they are, alone and among the other pairs of their anchor.

    See `oml.functional.losses.multi_similarity_loss` for the formula and its source.

    Args:
        alpha: Weight of positives in the exponent.
        beta: Weight of negatives in the exponent.
        base: The similarity that positives should exceed and negatives should not.
        epsilon: Margin of the mining of pairs; None takes all of them.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: alpha or beta is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> MultiSimilarityLoss(alpha=1.0, beta=1.0, base=1.0)(torch.ones(4, 2), [0, 0, 1, 1])  # log(2) + log(3)
        tensor(1.7918)

    """

    criterion_name: ClassVar[str] = "multi_similarity"

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        epsilon: float | None = 0.1,
        reduction: str = "mean",
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta)):
            check(value > 0, f"{name} must be above 0, got {value}.")
        super().__init__(reduction)
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.epsilon = epsilon

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the cosines and two masks (A, C)."""
        return multi_similarity_loss(scores, positives, negatives, self.alpha, self.beta, self.base, self.epsilon)


class CircleLoss(CosinePairLoss):
    """
    Circle loss: each similarity is pulled the harder, the farther it is from where it should be.

    See `oml.functional.losses.circle_loss` for the formula and its source. The authors take a margin of 0.4 and a scale
    of 80 for retrieval, 0.25 and 256 for faces, 0.25 and 128 for persons.

    Args:
        margin: Positives should be above `1 - margin`, negatives below `margin`.
        scale: Factor in the exponents.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: the margin is not between 0 and 1, the scale is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> CircleLoss(margin=0.5, scale=1.0)(torch.ones(2, 2), [0, 0], torch.eye(2), [0, 1]) > 0
        tensor(True)

    """

    criterion_name: ClassVar[str] = "circle"

    def __init__(self, margin: float = 0.4, scale: float = 80.0, reduction: str = "mean") -> None:
        check(0 <= margin <= 1, f"margin must be between 0 and 1, got {margin}.")
        check(scale > 0, f"scale must be above 0, got {scale}.")
        super().__init__(reduction)
        self.margin = margin
        self.scale = scale

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the cosines and two masks (A, C)."""
        return circle_loss(scores, positives, negatives, self.margin, self.scale)
