"""
Losses of classifiers whose logits are cosines: softmax with normalised vectors, with and without a margin.

All are computed by `margin_softmax`: beside the weight and its gradient they take one array of C * B numbers. They have
first derivatives only.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.losses.margin_softmax import Head, margin_softmax
from oml.functional.losses.margins import add_angular_margin, add_cosine_margin
from oml.functional.losses.reduction import get_reduced


def arcface_loss(
    features: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: float = 0.5,
    scale: float = 64.0,
    epsilon: float = 0.0,
    categories: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """
    Give the ArcFace loss: cross entropy over `scale * cos(theta)`, with `theta + margin` at the item's own class.

    Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", 2019, equation 3; what is done
    beyond pi is said in `add_angular_margin`.

    Args:
        features: Features (B, D), not normalised.
        weight: Vectors of the classes (C, D), not normalised.
        labels: Labels (B,), integers in [0, C).
        margin: The margin in radians, in [0, pi).
        scale: What the cosines are multiplied by, above 0.
        epsilon: Label smoothing, in [0, 1): see `label_smoothing`.
        categories: Category of each class (C,), integers: smoothing stays within the category.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: options out of their range, or tensors that do not fit each other.

    Example:
        >>> arcface_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), margin=0.0, scale=1.0)
        tensor(0.3133)

    """
    head = make_arcface_head(margin, scale)
    return get_reduced(margin_softmax(features, weight, labels, head, epsilon, categories).losses, reduction)


def cosface_loss(
    features: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: float = 0.35,
    scale: float = 64.0,
    reduction: str = "mean",
) -> Tensor:
    """
    Give the CosFace loss: cross entropy over `scale * cos(theta)`, with `cos(theta) - margin` at the item's own class.

    Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", 2018, equation 4. Arguments and errors
    are those of `arcface_loss`; the margin is in [0, 2).

    Example:
        >>> cosface_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), margin=1.0, scale=1.0)
        tensor(0.6931)

    """
    return get_reduced(margin_softmax(features, weight, labels, make_cosface_head(margin, scale)).losses, reduction)


def normalised_softmax_loss(
    features: Tensor, weight: Tensor, labels: Tensor, temperature: float = 0.05, reduction: str = "mean"
) -> Tensor:
    """
    Give the cross entropy over `cos(theta) / temperature`.

    Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", 2019, section 3.1; without its layer
    norm and sampling. Arguments and errors are those of `arcface_loss`.

    Example:
        >>> normalised_softmax_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), temperature=1.0)
        tensor(0.3133)

    """
    check_above_0("temperature", temperature)
    return get_reduced(margin_softmax(features, weight, labels, Head(1 / temperature)).losses, reduction)


def subcenter_arcface_loss(
    features: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: float = 0.5,
    scale: float = 64.0,
    reduction: str = "mean",
) -> Tensor:
    """
    Give the ArcFace loss where a class has K centres and the nearest one to the item counts.

    Deng et al., "Sub-center ArcFace: Boosting Face Recognition by Large-scale Noisy Web Faces", 2020, section 3.2. Of
    equally near centres the first one counts. Arguments and errors are those of `arcface_loss`, but the weight is
    (C, K, D).

    Example:
        >>> weight = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]])
        >>> subcenter_arcface_loss(torch.eye(2), weight, torch.tensor([0, 0]), margin=0.0, scale=1.0)
        tensor(0.3133)

    """
    check(weight.ndim == 3, f"weight must be (C, K, D), K centres for each class, got {tuple(weight.shape)}.")
    head = make_subcenter_head(margin, scale, weight.shape[1])
    return get_reduced(margin_softmax(features, weight.flatten(0, 1), labels, head).losses, reduction)


def make_arcface_head(margin: float, scale: float) -> Head:
    """Give what `arcface_loss` makes of cosines, with its errors."""
    check(0 <= margin < torch.pi, f"The margin m must be an angle in [0, pi), in radians, got {margin}.")
    check_above_0("The scale s", scale)
    return Head(scale, partial(add_angular_margin, margin=margin))


def make_cosface_head(margin: float, scale: float) -> Head:
    """Give what `cosface_loss` makes of cosines, with its errors."""
    check(0 <= margin < 2, f"The margin m is taken off a cosine, so it must be in [0, 2), got {margin}.")
    check_above_0("The scale s", scale)
    return Head(scale, partial(add_cosine_margin, margin=margin))


def make_subcenter_head(margin: float, scale: float, n_centres: int) -> Head:
    """Give what `subcenter_arcface_loss` makes of cosines, with its errors."""
    check(n_centres >= 1, f"There must be at least 1 centre for each class, got {n_centres}.")
    return make_arcface_head(margin, scale)._replace(pool=take_nearest, n_centres=n_centres)


def take_nearest(logits: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """
    Give the largest logit of the centres of a class (n, B) out of all (n, K, B), and what puts slopes at its centre.

    Example:
        >>> nearest, spread_slopes = take_nearest(torch.tensor([[[1.0], [3.0]]]))
        >>> nearest, spread_slopes(torch.tensor([[5.0]]))
        (tensor([[3.]]), tensor([[[0.],
         [5.]]]))

    """
    nearest = logits.amax(dim=1)

    def spread_slopes(slopes: Tensor) -> Tensor:
        spread, is_left = torch.empty_like(logits), torch.ones_like(nearest, dtype=torch.bool)
        for centre in range(logits.shape[1]):  # a processor takes ten times as long to find all the places at once
            is_nearest = (logits[:, centre] == nearest) & is_left
            torch.mul(slopes, is_nearest, out=spread[:, centre])
            is_left &= ~is_nearest
        return spread

    return nearest, spread_slopes


def check_above_0(name: str, value: float) -> None:
    """
    Raise unless an option is a number above 0.

    Raises:
        InvalidInputError: it is not.

    """
    check(value > 0, f"{name} must be above 0, got {value}.")
