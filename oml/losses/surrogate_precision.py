"""Precision@k as a loss."""

from typing import ClassVar

from torch import Tensor

from oml.errors import check
from oml.functional.losses.anchors import AnchorLosses
from oml.functional.losses.precision import surrogate_precision
from oml.functional.losses.reduction import check_temperatures
from oml.interfaces.masks import any_in_rows, count_in_rows
from oml.losses.pair_loss import DistancePairLoss


class SurrogatePrecision(DistancePairLoss):
    """
    1 - precision@k in the batch, with the steps of the metric made into sigmoids.

    See `oml.functional.losses.surrogate_precision` for the formula and its source. Each item is a query among the whole
    batch, itself included: it finds itself first, so that the loss looks at the first k + 1 answers. With references,
    which hold nobody of the batch, it looks at the first k. Every item counts, also one that has no other of its label;
    its precision is that of finding itself.

    Args:
        k: How many answers count, beside the item itself.
        temperature1: Of "is among the first k": in ranks.
        temperature2: Of "is nearer than": in distances. The lower, the nearer to the metric, and the fewer distances
            get a gradient.
        reduction: "mean", "sum" or "none": (B,), of the losses `1 - precision`.

    Raises:
        InvalidInputError: k or a temperature is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> criterion = SurrogatePrecision(k=1, temperature1=1e-3, temperature2=1e-3)
        >>> round(criterion(torch.tensor([[0.0], [2.0], [3.0], [9.0]]), [0, 1, 0, 1]).item(), 3)
        0.5

    """

    criterion_name: ClassVar[str] = "surrogate_precision"

    def __init__(
        self, k: int = 5, temperature1: float = 1.0, temperature2: float = 0.01, reduction: str = "mean"
    ) -> None:
        check(k > 0, f"k must be above 0, got {k}.")
        check_temperatures(temperature1=temperature1, temperature2=temperature2)
        super().__init__(reduction)
        self.k = k
        self.temperature1 = temperature1
        self.temperature2 = temperature2

    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give 1 - precision@k of the anchors; a candidate in neither mask is the anchor itself."""
        relevant = ~negatives
        n_own = count_in_rows(relevant & ~positives)
        precisions = surrogate_precision(
            scores, relevant, self.k + n_own, self.temperature1, self.temperature2, reduction="none"
        )
        exist = any_in_rows(relevant)
        return AnchorLosses((1 - precisions).masked_fill(~exist, 0), exist)
