"""Losses that are metrics of rankings, made smooth: SmoothAP, recall@k, FastAP."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from oml.errors import check
from oml.functional.losses.anchors import AnchorLosses
from oml.functional.losses.ranking import fast_ap_loss, recall_at_k_loss, smooth_ap_loss
from oml.functional.losses.reduction import check_temperatures
from oml.losses.pair_loss import CosinePairLoss


class SmoothAPLoss(CosinePairLoss):
    """
    1 - average precision in the batch, with the steps of its ranks made into sigmoids.

    See `oml.functional.losses.smooth_ap_loss` for the formula and its source. Unlike in the code of the authors an item
    is not its own positive, and labels may occur any number of times.

    Args:
        temperature: Of the differences of cosines.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: the temperature is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> SmoothAPLoss()(features, [0, 0, 1])  # each of the two finds the other label first
        tensor(0.5000)

    """

    criterion_name: ClassVar[str] = "smooth_ap"

    def __init__(self, temperature: float = 0.01, reduction: str = "mean") -> None:
        check_temperatures(temperature=temperature)
        super().__init__(reduction)
        self.temperature = temperature

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the cosines and two masks (A, C)."""
        return smooth_ap_loss(scores, positives, negatives, self.temperature)


class RecallAtKLoss(CosinePairLoss):
    """
    1 - recall@k in the batch, averaged over several k, with the steps of the metric made into sigmoids.

    See `oml.functional.losses.recall_at_k_loss` for the formula and its source. It wants large batches.

    Args:
        ks: How many answers count.
        rank_temperature: Of the differences of cosines.
        count_temperature: Of the differences of ranks.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: there is no k, or one is below 1, a temperature is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> criterion = RecallAtKLoss(ks=(1, 2), count_temperature=0.01)
        >>> criterion(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), [0, 0, 1])  # found second, not first
        tensor(0.5000)

    """

    criterion_name: ClassVar[str] = "recall_at_k"

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 4, 8, 16),
        rank_temperature: float = 0.01,
        count_temperature: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        check(len(ks) > 0 and min(ks) >= 1, f"ks must hold at least one number, all of them at least 1, got {ks}.")
        check_temperatures(rank_temperature=rank_temperature, count_temperature=count_temperature)
        super().__init__(reduction)
        self.ks = tuple(ks)
        self.rank_temperature = rank_temperature
        self.count_temperature = count_temperature

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the cosines and two masks (A, C)."""
        return recall_at_k_loss(scores, positives, negatives, self.ks, self.rank_temperature, self.count_temperature)


class FastAPLoss(CosinePairLoss):
    """
    1 - average precision in the batch, from histograms of squared distances of the normalised features.

    See `oml.functional.losses.fast_ap_loss` for the formula and its source.

    Args:
        n_bins: Number of intervals between bins.
        reduction: "mean", "sum" or "none": (B,).

    Raises:
        InvalidInputError: there are no bins, or the reduction is unknown.

    Example:
        >>> import torch
        >>> FastAPLoss(n_bins=4)(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), [0, 0, 1])
        tensor(0.5000)

    """

    criterion_name: ClassVar[str] = "fast_ap"

    def __init__(self, n_bins: int = 10, reduction: str = "mean") -> None:
        check(n_bins >= 1, f"n_bins must be at least 1, got {n_bins}.")
        super().__init__(reduction)
        self.n_bins = n_bins

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for the cosines and two masks (A, C)."""
        return fast_ap_loss(scores, positives, negatives, self.n_bins)
