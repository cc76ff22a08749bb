"""Losses of items and proxies: Proxy-NCA++, Proxy-Anchor, SoftTriple."""

import math
from typing import ClassVar

from torch import Tensor, nn

from oml.errors import check
from oml.functional.losses.classification import check_above_0
from oml.functional.losses.margin_softmax import ClassifierOutput, Head
from oml.functional.losses.proxies import make_soft_triple_head, proxy_anchor, reduce_soft_triple
from oml.losses.class_loss import ClassLoss


class ProxyNCALoss(ClassLoss):
    """
    Proxy-NCA++ loss, see `proxy_nca_loss`.

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        temperature: What the squared distances are divided by, above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: an option is out of its range.

    Example:
        >>> criterion = ProxyNCALoss(in_features=4, num_classes=3)
        >>> criterion.weight.shape
        torch.Size([3, 4])

    """

    criterion_name: ClassVar[str] = "proxy_nca"

    def __init__(self, in_features: int, num_classes: int, temperature: float = 1 / 9, reduction: str = "mean") -> None:
        check_above_0("temperature", temperature)
        super().__init__(in_features, num_classes, reduction=reduction)
        self.temperature = temperature

    def _make_head(self) -> Head:
        return Head(2 / self.temperature)

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"{super().extra_repr()}, temperature={self.temperature}"


class ProxyAnchorLoss(ClassLoss):
    """
    Proxy-Anchor loss, see `proxy_anchor_loss`. It is one number for a batch, so there is no reduction.

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        margin: The margin of the cosines, in [0, 2).
        alpha: What the cosines are multiplied by, above 0.

    Raises:
        InvalidInputError: an option is out of its range.

    Example:
        >>> criterion = ProxyAnchorLoss(in_features=4, num_classes=3)
        >>> criterion.weight.shape
        torch.Size([3, 4])

    """

    criterion_name: ClassVar[str] = "proxy_anchor"

    def __init__(self, in_features: int, num_classes: int, margin: float = 0.1, alpha: float = 32) -> None:
        check(0 <= margin < 2, f"The margin is added to a cosine, so it must be in [0, 2), got {margin}.")
        check_above_0("alpha", alpha)
        super().__init__(in_features, num_classes, reduction="mean")
        self.margin = margin
        self.alpha = alpha

    def reset_parameters(self) -> None:
        """Draw the proxies anew: normally distributed, as in the paper."""
        nn.init.kaiming_normal_(self.weight, mode="fan_out")

    def _calc_output(self, features: Tensor, labels: Tensor) -> ClassifierOutput:
        return proxy_anchor(features, self.weight, labels, self.margin, self.alpha)

    def _get_scale(self) -> float:
        return self.alpha

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"{self.in_features}, {self.num_classes}, margin={self.margin}, alpha={self.alpha}"


class SoftTripleLoss(ClassLoss):
    """
    SoftTriple loss, see `soft_triple_loss`: several centres for each class, all of which count.

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        n_centres: The number of centres of a class, K, at least 1.
        margin: What is taken off the similarity with the own class, in [0, 2).
        scale: What similarities are multiplied by, above 0.
        gamma: The temperature of the softmax over the centres of a class, above 0.
        tau: The weight of the regulariser that draws the centres of a class together, at least 0.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: an option is out of its range.

    Example:
        >>> criterion = SoftTripleLoss(in_features=4, num_classes=3)
        >>> criterion.weight.shape
        torch.Size([3, 10, 4])

    """

    criterion_name: ClassVar[str] = "soft_triple"

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        n_centres: int = 10,
        margin: float = 0.01,
        scale: float = 20,
        gamma: float = 0.1,
        tau: float = 0.2,
        reduction: str = "mean",
    ) -> None:
        make_soft_triple_head(margin, scale, gamma, tau, n_centres)  # its checks
        super().__init__(in_features, num_classes, n_centres, reduction)
        self.margin = margin
        self.scale = scale
        self.gamma = gamma
        self.tau = tau

    def reset_parameters(self) -> None:
        """Draw the centres anew: uniformly, as a linear layer does."""
        nn.init.kaiming_uniform_(self.weight.flatten(0, 1), a=math.sqrt(5))

    def _reduce(self, output: ClassifierOutput) -> Tensor:
        return reduce_soft_triple(output, self.tau, self.reduction)

    def _make_head(self) -> Head:
        return make_soft_triple_head(self.margin, self.scale, self.gamma, self.tau, self.weight.shape[1])

    def extra_repr(self) -> str:
        """Give the options for printing."""
        options = f"margin={self.margin}, scale={self.scale}, gamma={self.gamma}, tau={self.tau}"
        return f"{super().extra_repr()}, {options}"
