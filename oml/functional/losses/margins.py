"""What margins make of the cosine between an item and its own class."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# cosines (B,) -> those with the margin, and the slopes: d with / d without
TMargin = Callable[[Tensor], tuple[Tensor, Tensor]]


def add_angular_margin(cosines: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """
    Give `cos(theta + margin)` for `cos(theta)`, and its derivative by `cos(theta)`.

    ArcFace (Deng et al. 2019), equation 3. Where theta + margin is beyond pi, which would turn the loss around, it is
    `cos(theta) - margin * sin(margin)`, as in the authors' code. The derivative at theta = 0 and pi is infinite; here
    it stays finite, since the sine it is divided by is at least `sqrt(eps)`.

    Example:
        >>> cosines, slopes = add_angular_margin(torch.tensor([0.0, 1.0]), margin=math.pi / 6)
        >>> cosines
        tensor([-0.5000,  0.8660])
        >>> slopes.isfinite().all()
        tensor(True)

    """
    cos, sin = math.cos(margin), math.sin(margin)
    sines = (1 - cosines.square()).clamp_min(0).sqrt()
    is_inside = cosines > -cos
    with_margin = torch.where(is_inside, cosines * cos - sines * sin, cosines - margin * sin)
    slopes = cos + sin * cosines / sines.clamp_min(math.sqrt(torch.finfo(cosines.dtype).eps))
    return with_margin, torch.where(is_inside, slopes, 1)


def add_cosine_margin(cosines: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """
    Give `cos(theta) - margin`, and its derivative by `cos(theta)`: CosFace (Wang et al. 2018), equation 4.

    Example:
        >>> add_cosine_margin(torch.tensor([0.5]), margin=0.25)
        (tensor([0.2500]), tensor([1.]))

    """
    return cosines - margin, torch.ones_like(cosines)
