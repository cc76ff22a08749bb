"""Losses of two towers: row i of one matrix belongs to row i of the other, as a picture and its caption do."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from oml.errors import check
from oml.functional.losses import check_reduction, get_reduced
from oml.functional.losses.reduction import check_temperatures
from oml.functional.losses.two_towers import info_nce_loss, sigmoid_loss
from oml.functional.relations import TRelation, find_same
from oml.functional.similarities import cosine_similarities
from oml.interfaces.features import check_finite
from oml.losses.warn_once import WarnOnce

MAX_SCALE = 100.0  # of "Learning transferable visual models ..." (Radford et al. 2021), section 2.5, for stability


class TwoTowerLoss(nn.Module, ABC):
    """
    A loss of the cosines of two matrices of features, `criterion(features_a, features_b)`.

    The scale of the cosines, 1 / temperature, is kept as a logarithm, `log_scale`. If learnable it is a parameter, to
    be given to the optimiser, and never exceeds a scale of 100; else it is a buffer. With one pair or none there is
    nothing to tell apart, and the first time there is a warning.

    Args:
        temperature: Of the cosines, to begin with.
        learnable: Learn the temperature.
        reduction: "mean" over the pairs, "sum" or "none": (B,).

    Raises:
        InvalidInputError: the temperature is not above 0, or below 0.01 though learnable, or the reduction is unknown.

    """

    criterion_name: ClassVar[str]
    log_scale: Tensor

    def __init__(self, temperature: float, learnable: bool, reduction: str) -> None:
        check_temperatures(temperature=temperature)
        check(
            not learnable or temperature >= 1 / MAX_SCALE,
            f"A learnable temperature must be at least {1 / MAX_SCALE}, got {temperature}. Begin higher, or fix it by "
            "learnable=False.",
        )
        check_reduction(reduction)
        super().__init__()
        self.learnable = learnable
        self._hold("log_scale", -math.log(temperature))
        self.reduction = reduction
        self._warn_of_one_pair = WarnOnce(
            "A batch has fewer than two pairs, so there is nothing to tell a pair from. Take larger batches."
        )
        self._last: Tensor | None = None

    @abstractmethod
    def calc_losses(self, similarities: Tensor, scale: Tensor, ignored: Tensor | None) -> Tensor:
        """Give the losses of the pairs (B,) for cosines (B, B); where `ignored` (B, B), pairs are not negatives."""

    def forward(self, features_a: Tensor, features_b: Tensor, labels: TRelation | None = None) -> Tensor:
        """
        Give the loss.

        Args:
            features_a: (B, D).
            features_b: (B, D), row i belonging to row i of `features_a`.
            labels: Of the pairs, where several may show the same: those of one label are not negatives of each other.
                Any relation that `oml.functional.relations.find_same` takes.

        Raises:
            TypeError: labels are of an unknown type.
            InvalidInputError: the features are not of one shape (B, D), or not finite, or the labels do not fit them.

        """
        check(
            features_a.ndim == 2 and features_a.shape == features_b.shape,
            "features_a and features_b must have one shape (B, D), row by row a pair, got "
            f"{tuple(features_a.shape)} and {tuple(features_b.shape)}.",
        )
        check_finite(features_a, "features_a")
        check_finite(features_b, "features_b")
        if len(features_a) < 2:
            self._warn_of_one_pair()
        if self.learnable:
            with torch.no_grad():  # the bound itself has no gradient, so the parameter must not go beyond
                self.log_scale.clamp_(max=math.log(MAX_SCALE))
        similarities = cosine_similarities(features_a, features_b)
        ignored = None if labels is None else find_same(labels, features_a)
        self._last = similarities.detach()
        return get_reduced(self.calc_losses(similarities, self.log_scale.exp(), ignored), self.reduction)

    @property
    def temperature(self) -> float:
        """1 / scale, as a number; reading it waits for the device."""
        return math.exp(-float(self.log_scale.detach()))

    @property
    def last_logs(self) -> dict[str, float]:
        """
        The logs of the last batch, computed when they are read, which waits for the device.

        `pos_sim` is the mean cosine of the pairs, `neg_sim` that of all others, `accuracy` the share of the first side
        whose partner is the most similar of the other side, and `temperature` what it is now.
        """
        if self._last is None or not len(self._last):
            return {}
        own, n_pairs = self._last.diagonal(), len(self._last)
        return {
            "pos_sim": float(own.mean()),
            "neg_sim": float((self._last.sum() - own.sum()) / max(1, n_pairs * (n_pairs - 1))),
            "accuracy": float((self._last.amax(dim=1) == own).float().mean()),
            "temperature": self.temperature,
        }

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"temperature={self.temperature:.4g}, learnable={self.learnable}, reduction={self.reduction!r}"

    def _hold(self, name: str, value: float) -> None:
        if self.learnable:
            self.register_parameter(name, nn.Parameter(torch.tensor(float(value))))
        else:
            self.register_buffer(name, torch.tensor(float(value)))


class InfoNCE(TwoTowerLoss):
    """
    InfoNCE of two towers: each row is to find its partner among all rows of the other side.

    See `oml.functional.losses.info_nce_loss` for the formula and its source. Symmetric and with a learnable temperature
    it is the loss of CLIP.

    Args:
        temperature: Of the cosines, to begin with.
        learnable: Learn the temperature; give `criterion.parameters()` to the optimiser, too.
        symmetric: Look for partners in both directions, or only for those of the first side.
        reduction: "mean" over the pairs, "sum" or "none": (B,).

    Raises:
        InvalidInputError: the temperature is not above 0, or below 0.01 though learnable, or the reduction is unknown.

    Example:
        >>> criterion = InfoNCE(temperature=1.0)
        >>> criterion(torch.ones(2, 4), torch.ones(2, 4))  # log(2)
        tensor(0.6931)

    """

    criterion_name: ClassVar[str] = "info_nce"

    def __init__(
        self, temperature: float = 0.07, learnable: bool = False, symmetric: bool = True, reduction: str = "mean"
    ) -> None:
        super().__init__(temperature, learnable, reduction)
        self.symmetric = symmetric

    def calc_losses(self, similarities: Tensor, scale: Tensor, ignored: Tensor | None) -> Tensor:
        """Give the losses of the pairs (B,)."""
        return info_nce_loss(similarities, scale, self.symmetric, ignored)


class SigLIPLoss(TwoTowerLoss):
    """
    The sigmoid loss of SigLIP: for each two rows, whether they belong together or not.

    See `oml.functional.losses.sigmoid_loss` for the formula and its source. The defaults are those of the paper, which
    learns both the temperature and the bias.

    Args:
        temperature: Of the cosines, to begin with.
        bias: Added to the scaled cosines, to begin with: most pairs do not belong together.
        learnable: Learn the temperature and the bias; give `criterion.parameters()` to the optimiser, too.
        reduction: "mean" over the pairs, "sum" or "none": (B,).

    Raises:
        InvalidInputError: the temperature is not above 0, or below 0.01 though learnable, or the reduction is unknown.

    Example:
        >>> criterion = SigLIPLoss(temperature=1.0, bias=0.0, learnable=False)
        >>> criterion(torch.eye(2), torch.eye(2))  # log(1 + 1/e) + log(2)
        tensor(1.0064)

    """

    criterion_name: ClassVar[str] = "siglip"
    bias: Tensor

    def __init__(
        self, temperature: float = 0.1, bias: float = -10.0, learnable: bool = True, reduction: str = "mean"
    ) -> None:
        super().__init__(temperature, learnable, reduction)
        self._hold("bias", bias)

    def calc_losses(self, similarities: Tensor, scale: Tensor, ignored: Tensor | None) -> Tensor:
        """Give the losses of the pairs (B,)."""
        return sigmoid_loss(similarities, scale, self.bias, ignored)
