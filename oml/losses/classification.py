"""Classifiers whose logits are cosines: CosFace, sub-center ArcFace, normalised softmax."""

from typing import ClassVar

from oml.functional.losses.classification import (
    check_above_0,
    make_arcface_head,
    make_cosface_head,
    make_subcenter_head,
)
from oml.functional.losses.margin_softmax import Head
from oml.losses.class_loss import ClassLoss


class CosFaceLoss(ClassLoss):
    """
    CosFace loss, see `cosface_loss`: a margin is taken off the cosine with the item's own class.

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        m: The margin, in [0, 2).
        s: What the cosines are multiplied by, above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: an option is out of its range.

    Example:
        >>> criterion = CosFaceLoss(in_features=4, num_classes=3)
        >>> criterion.weight.shape
        torch.Size([3, 4])

    """

    criterion_name: ClassVar[str] = "cosface"

    def __init__(
        self, in_features: int, num_classes: int, m: float = 0.35, s: float = 64, reduction: str = "mean"
    ) -> None:
        make_cosface_head(m, s)  # its checks
        super().__init__(in_features, num_classes, reduction=reduction)
        self.m = m
        self.s = s

    def _make_head(self) -> Head:
        return make_cosface_head(self.m, self.s)

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"{super().extra_repr()}, m={self.m}, s={self.s}"


class SubCenterArcFaceLoss(ClassLoss):
    """
    ArcFace loss with several centres for each class, see `subcenter_arcface_loss`, for labels with errors.

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        n_centres: The number of centres of a class, K, at least 1.
        m: The margin in radians, in [0, pi).
        s: What the cosines are multiplied by, above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: an option is out of its range.

    Example:
        >>> criterion = SubCenterArcFaceLoss(in_features=4, num_classes=5)
        >>> criterion.weight.shape
        torch.Size([5, 3, 4])

    """

    criterion_name: ClassVar[str] = "subcenter_arcface"

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        n_centres: int = 3,
        m: float = 0.5,
        s: float = 64,
        reduction: str = "mean",
    ) -> None:
        make_arcface_head(m, s)  # its checks
        super().__init__(in_features, num_classes, n_centres, reduction)
        self.m = m
        self.s = s

    def _make_head(self) -> Head:
        return make_subcenter_head(self.m, self.s, self.weight.shape[1])

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"{super().extra_repr()}, m={self.m}, s={self.s}"


class NormalisedSoftmaxLoss(ClassLoss):
    """
    Cross entropy over cosines divided by a temperature, see `normalised_softmax_loss`.

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        temperature: What the cosines are divided by, above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: an option is out of its range.

    Example:
        >>> criterion = NormalisedSoftmaxLoss(in_features=4, num_classes=3)
        >>> criterion.weight.shape
        torch.Size([3, 4])

    """

    criterion_name: ClassVar[str] = "normalised_softmax"

    def __init__(self, in_features: int, num_classes: int, temperature: float = 0.05, reduction: str = "mean") -> None:
        check_above_0("temperature", temperature)
        super().__init__(in_features, num_classes, reduction=reduction)
        self.temperature = temperature

    def _make_head(self) -> Head:
        return Head(1 / self.temperature)

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"{super().extra_repr()}, temperature={self.temperature}"
