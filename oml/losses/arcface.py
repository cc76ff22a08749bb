"""ArcFace: a classifier with an angular margin at the item's own class."""

from collections.abc import Hashable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from oml.errors import check, show_some
from oml.functional.distances import normalise
from oml.functional.label_smoothing import label_smoothing
from oml.functional.losses.class_inputs import check_width
from oml.functional.losses.classification import make_arcface_head
from oml.functional.losses.margin_softmax import ClassifierOutput, Head, margin_softmax
from oml.interfaces.miners import TLabels
from oml.losses.class_loss import ClassLoss
from oml.utils.mlp import make_mlp


class ArcFaceLoss(ClassLoss):
    """
    ArcFace loss, see `arcface_loss`, optionally with smoothed labels.

    Beside the weight and its gradient it takes an array of C * B numbers and no other of their sizes.

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        m: The margin in radians, in [0, pi).
        s: What the cosines are multiplied by, above 0.
        smoothing_epsilon: How much of the target is shared with other classes, in [0, 1): see `label_smoothing`. None
            is 0.
        label2category: The category of each label in [0, C), so that only labels of one category share. Other labels in
            it do not matter.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: an option is out of its range, or labels have no category.

    Example:
        >>> criterion = ArcFaceLoss(in_features=2, num_classes=2, m=0.0, s=1.0)
        >>> _ = criterion.weight.data.copy_(torch.eye(2))
        >>> criterion(torch.eye(2), torch.tensor([0, 1])).item()
        0.3132...
        >>> criterion.last_logs
        {'accuracy': 1.0, 'pos_sim': 1.0}

    """

    criterion_name: ClassVar[str] = "arcface"
    categories: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        m: float = 0.5,
        s: float = 64,
        smoothing_epsilon: float | None = 0,
        label2category: Mapping[int, Hashable] | None = None,
        reduction: str = "mean",
    ) -> None:
        check(
            smoothing_epsilon is None or 0 <= smoothing_epsilon < 1,
            f"smoothing_epsilon must be in [0, 1), or None for no smoothing, got {smoothing_epsilon}.",
        )
        make_arcface_head(m, s)  # its checks
        super().__init__(in_features, num_classes, reduction=reduction)
        self.m = m
        self.s = s
        self.smoothing_epsilon = smoothing_epsilon or 0.0
        categories = None if label2category is None else _number_categories(label2category, num_classes)
        self.register_buffer("categories", categories, persistent=False)

    def forward(self, x: Tensor, y: TLabels) -> Tensor:
        """
        Give the loss of the features (B, D) with the labels (B,), integers in [0, C). Of no items it is 0.

        Raises:
            TypeError: the labels are neither a tensor nor a list.
            InvalidInputError: shapes, types, devices or labels that do not fit.

        """
        return super().forward(x, y)

    def fc(self, x: Tensor) -> Tensor:
        """Give the cosines (B, C) of the features (B, D) and the vectors of the classes."""
        return linear(normalise(x), normalise(self.weight.to(x.dtype)))

    def smooth_labels(self, y: Tensor) -> Tensor:
        """Give the targets (B, C) of the labels (B,), see `label_smoothing`."""
        return label_smoothing(y, self.num_classes, self.smoothing_epsilon, self.categories)

    def _make_head(self) -> Head:
        return make_arcface_head(self.m, self.s)

    def _calc_output(self, features: Tensor, labels: Tensor) -> ClassifierOutput:
        return margin_softmax(features, self.weight, labels, self._make_head(), self.smoothing_epsilon, self.categories)

    def extra_repr(self) -> str:
        """Give the options for printing."""
        smoothing = f", smoothing_epsilon={self.smoothing_epsilon}" if self.smoothing_epsilon else ""
        return f"{super().extra_repr()}, m={self.m}, s={self.s}{smoothing}"


class ArcFaceLossWithMLP(nn.Module):
    """
    `ArcFaceLoss` of features that went through a multi-layer perceptron, `mlp`; see there for the other arguments.

    The perceptron is a linear layer for each number, with ReLU between them; it is trained with the loss and is not
    part of the model. The names in its state are those of torchvision's MLP.

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        mlp_features: Widths of the layers of the perceptron, at least one.
        m: The margin in radians.
        s: What the cosines are multiplied by.
        smoothing_epsilon: How much of the target is shared with other classes.
        label2category: The category of each label.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: an option is out of its range, or labels have no category.

    Example:
        >>> criterion = ArcFaceLossWithMLP(in_features=4, num_classes=3, mlp_features=[8, 5])
        >>> criterion(torch.ones(2, 4), [0, 2]).shape, criterion.arcface.weight.shape
        (torch.Size([]), torch.Size([3, 5]))

    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        mlp_features: list[int],
        m: float = 0.5,
        s: float = 64,
        smoothing_epsilon: float | None = 0,
        label2category: Mapping[int, Hashable] | None = None,
        reduction: str = "mean",
    ) -> None:
        check(
            len(mlp_features) > 0 and min(mlp_features) >= 1,
            f"mlp_features must hold at least one width of a layer, all at least 1, got {list(mlp_features)}. Without "
            f"layers use ArcFaceLoss.",
        )
        super().__init__()
        self.mlp = make_mlp(in_features, mlp_features)
        self.arcface = ArcFaceLoss(
            mlp_features[-1], num_classes, m, s, smoothing_epsilon, label2category, reduction=reduction
        )

    def forward(self, x: Tensor, y: TLabels) -> Tensor:
        """Give the loss of the features (B, D) with the labels (B,), with the errors of `ArcFaceLoss`."""
        weight = next(self.mlp.parameters())
        check_width(x, weight.shape[1], "the perceptron takes them")
        loss: Tensor = self.arcface(self.mlp(x.to(weight.dtype)), y)
        return loss

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the last batch, as numbers."""
        return self.arcface.last_logs


def _number_categories(label2category: Mapping[int, Hashable], num_classes: int) -> Tensor:
    missing = [label for label in range(num_classes) if label not in label2category]
    check(
        not missing,
        f"label2category must give the category of each label from 0 to num_classes - 1 = {num_classes - 1}, but these "
        f"are missing: {show_some(missing)}.",
    )
    categories = [label2category[label] for label in range(num_classes)]
    numbers = {category: number for number, category in enumerate(dict.fromkeys(categories))}
    return torch.tensor([numbers[category] for category in categories])
