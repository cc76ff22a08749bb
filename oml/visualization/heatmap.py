"""A picture with a map of heat laid over it, such as where a model looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from oml.errors import check

if TYPE_CHECKING:
    from PIL.Image import Image

_SHARE = 0.5  # of the colours of the heat in the result


def to_rgb_array(image: Image | np.ndarray) -> np.ndarray:
    """
    Give a picture of Pillow, or an array (H, W, 3) or (H, W) of 0..255, as an array (H, W, 3), uint8.

    Raises:
        InvalidInputError: an array of another shape, or with values outside of 0..255.

    """
    if not isinstance(image, np.ndarray):
        return np.asarray(image.convert("RGB"))
    check(
        image.size > 0 and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)),
        f"A picture must have the shape (H, W, 3) or (H, W), got {image.shape}.",
    )
    check(
        image.dtype == np.uint8 or (image.min() >= 0 and image.max() <= 255 and image.max() > 1),
        f"A picture must hold 0..255, got {image.dtype} of {image.min()}..{image.max()}. "
        f"Scale it and convert with `.astype('uint8')`.",
    )
    array = image if image.dtype == np.uint8 else image.astype(np.uint8)
    return array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)


def draw_heatmap(image: Image | np.ndarray, heat: Tensor) -> Image | np.ndarray:
    """
    Lay the colours of a map over a picture: blue where it is lowest, red where it is highest.

    Args:
        image: A picture of Pillow, or an array (H, W, 3) or (H, W) of 0..255.
        heat: Numbers (h, w), resized to the picture bilinearly; equal ones are all drawn as the lowest.

    Returns:
        An RGB picture of Pillow, or an array (H, W, 3), uint8: what the image was.

    Raises:
        InvalidInputError: the picture has another shape, or values outside of 0..255.

    Example:
        >>> import torch
        >>> picture = np.zeros((4, 6, 3), dtype=np.uint8)
        >>> draw_heatmap(picture, torch.tensor([[0.0, 1.0]]))[0, [0, -1]].tolist()
        [[0, 0, 64], [64, 0, 0]]

    """
    from matplotlib import colormaps
    from PIL import Image as PillowImage

    array = to_rgb_array(image)
    h, w, _ = array.shape
    resized = F.interpolate(heat.detach().float().cpu()[None, None], size=(h, w), mode="bilinear")[0, 0]
    lowest, highest = heat.min().item(), heat.max().item()
    scaled = (resized - lowest) / (highest - lowest) if highest > lowest else resized * 0
    colours = colormaps["jet"](scaled.clamp(0, 1).numpy())[..., :3] * 255
    drawn = np.rint((1 - _SHARE) * array + _SHARE * colours).astype(np.uint8)
    return drawn if isinstance(image, np.ndarray) else PillowImage.fromarray(drawn)
