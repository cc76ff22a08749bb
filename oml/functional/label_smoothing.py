"""Targets of a classifier that leave a part of the weight to other labels."""

from typing import NamedTuple

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.class_labels import check_class_labels


class SmoothTargets(NamedTuple):
    """
    The targets that `label_smoothing` gives, without a matrix (N, C).

    `shares` (N,) is what each label of the same category gets of `epsilon`; the label itself gets `1 - epsilon` more.
    Categories, of the labels (C,) and of the items (N,), are None if all labels are of one category.
    """

    epsilon: float
    shares: Tensor
    categories: Tensor | None = None
    item_categories: Tensor | None = None

    def get_shares(self, classes: slice) -> Tensor:
        """Give the shares of some classes (n, N), or (1, N) if they are the same for all."""
        if self.categories is None or self.item_categories is None:
            return self.shares[None]
        return (self.categories[classes, None] == self.item_categories) * self.shares


def make_smooth_targets(
    y: Tensor, num_classes: int, epsilon: float, categories: Tensor | None, dtype: torch.dtype = torch.float32
) -> SmoothTargets:
    """Give the targets of the arguments of `label_smoothing`, with its errors; nothing waits for the device."""
    check(0 <= epsilon < 1, f"epsilon must be in [0, 1), got {epsilon}.")
    check_class_labels(y, num_classes)
    if categories is None:
        return SmoothTargets(epsilon, torch.full((len(y),), epsilon / num_classes, dtype=dtype, device=y.device))
    check(
        categories.shape == (num_classes,),
        f"categories must give the category of each of the {num_classes} labels, so its shape must be "
        f"({num_classes},), got {tuple(categories.shape)}.",
    )
    item_categories = categories.gather(0, y.long())
    in_order = categories.sort().values
    sizes = torch.searchsorted(in_order, item_categories, right=True) - torch.searchsorted(in_order, item_categories)
    return SmoothTargets(epsilon, epsilon / sizes.to(dtype), categories, item_categories)


@torch.no_grad()
def label_smoothing(y: Tensor, num_classes: int, epsilon: float = 0.2, categories: Tensor | None = None) -> Tensor:
    """
    Give soft targets (N, C), float32, whose rows sum to 1: `1 - epsilon` for the label, `epsilon` shared equally.

    The share goes to all C labels, or, with categories, to the labels of the same category; the label itself is one of
    them. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, section 7.

    Args:
        y: Labels (N,), integers in [0, C).
        num_classes: The number of labels, C.
        epsilon: What is shared, in [0, 1).
        categories: The category of each label (C,), integers, on the device of y.

    Raises:
        InvalidInputError: epsilon is out of its range, y is not a row of labels in theirs, or there is not one category
            per label.

    Example:
        >>> label_smoothing(torch.tensor([1]), num_classes=3, epsilon=0.2, categories=torch.tensor([0, 1, 1]))
        tensor([[0.0000, 0.9000, 0.1000]])

    """
    smooth = make_smooth_targets(y, num_classes, epsilon, categories)
    targets = smooth.get_shares(slice(None)).T.expand(len(y), num_classes).clone()
    return targets.scatter_add_(1, y.long()[:, None], targets.new_full((len(y), 1), 1 - epsilon))
