"""
The documented transforms of the albumentations kind, without albumentations and OpenCV, pixel for pixel to 1/255.

They are called by position, `tensor = transform(image)`, or as pipelines of albumentations are,
`tensor = transform(image=array)["image"]`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from oml.const import MEAN, MEAN_CLIP, STD, STD_CLIP, TNormParam
from oml.errors import check
from oml.transforms.images.utils import is_rgb_array, to_rgb
from oml.utils.images.images import TImage, square_pad

TTransformsList = Sequence[Callable[..., Any]]


class FitAndNormalise:
    """
    Fit a picture into a white square if a size is given, and normalise it.

    The longest side becomes `im_size`, the rest is padded evenly with white. The picture is resampled bilinearly
    without antialias, as OpenCV does, since published weights were trained so: prefer torchvision's transforms for new
    models.

    Args:
        im_size: Side of the square in pixels; None keeps the picture's own size.
        mean: Subtracted from each channel, whose values are 0..1.
        std: Divides each channel.

    Raises:
        InvalidInputError: `im_size` is less than 1.

    Example:
        >>> transform = FitAndNormalise(im_size=8)
        >>> picture = np.zeros((20, 30, 3), dtype=np.uint8)
        >>> transform(picture).shape, transform(image=picture)["image"].shape
        (torch.Size([3, 8, 8]), torch.Size([3, 8, 8]))

    """

    def __init__(self, im_size: int | None = None, mean: TNormParam = MEAN, std: TNormParam = STD):
        check(im_size is None or im_size >= 1, f"`im_size` must be at least 1 pixel, got {im_size}.")
        self.im_size = im_size
        self.mean = tuple(mean)
        self.std = tuple(std)

    def __call__(self, *args: TImage, image: TImage | None = None) -> Any:
        """Give a float tensor (3, H, W) for a positional image, `{"image": tensor}` for the keyword."""
        given = [value for value in (*args, image) if value is not None]
        if len(given) != 1:
            raise TypeError(
                f"Give one picture, as `transform(picture)` or `transform(image=picture)`, got {len(given)}."
            )
        tensor = self._transform(given[0])
        return tensor if args else {"image": tensor}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(im_size={self.im_size}, mean={self.mean}, std={self.std})"

    def to_dict(self) -> dict[str, Any]:
        """Give the arguments that make this transform again, as plain values."""
        return {"im_size": self.im_size, "mean": list(self.mean), "std": list(self.std)}

    def _transform(self, image: TImage) -> Tensor:
        pixels = np.array(image if is_rgb_array(image) else to_rgb(image))
        if self.im_size is not None:
            pixels = square_pad(_resize_longest_side(pixels, self.im_size))
        tensor = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div_(255)
        mean, std = torch.tensor(self.mean).view(3, 1, 1), torch.tensor(self.std).view(3, 1, 1)
        return tensor.sub_(mean).div_(std)


def get_normalisation_albu(mean: TNormParam = MEAN, std: TNormParam = STD) -> FitAndNormalise:
    """Normalise a picture of any size."""
    return FitAndNormalise(None, mean, std)


def get_normalisation_resize_albu(im_size: int, mean: TNormParam = MEAN, std: TNormParam = STD) -> FitAndNormalise:
    """Fit into a white square, normalise."""
    return FitAndNormalise(im_size, mean, std)


def get_normalisation_resize_albu_clip(im_size: int) -> FitAndNormalise:
    """Fit into a white square, normalise by CLIP's statistics."""
    return FitAndNormalise(im_size, MEAN_CLIP, STD_CLIP)


def _resize_longest_side(pixels: np.ndarray, side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    new_size = max(round(height * scale), 1), max(round(width * scale), 1)
    if new_size == (height, width):
        return pixels
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    resized = interpolate(planes, size=new_size, mode="bilinear", align_corners=False)[0]
    return resized.round().byte().permute(1, 2, 0).numpy()
