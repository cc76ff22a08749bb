"""
Image transforms made of torchvision's v2 steps.

Each takes a PIL image or an array (H, W, 3) of uint8, resizes it by Pillow (so both give the same numbers) and gives a
float tensor (3, H, W). They can be pickled, so they work in loader processes however those are started.
"""

from typing import Any

import torch
from torch import nn
from torchvision.transforms import v2

from oml.const import MEAN, MEAN_CLIP, STD, STD_CLIP, TNormParam
from oml.transforms.images.utils import to_rgb

BICUBIC = v2.InterpolationMode.BICUBIC


class ToRGB(nn.Module):
    """Give a PIL image of three channels for a PIL image of any mode or an array (H, W, 3) or (H, W) of uint8."""

    def forward(self, image: Any) -> Any:
        """Convert; an RGB image is passed on as it is."""
        return to_rgb(image)


def get_augs_torch(im_size: int, mean: TNormParam = MEAN, std: TNormParam = STD) -> v2.Compose:
    """
    Resize to a square regardless of the aspect ratio, flip at random, normalise.

    Example:
        >>> get_augs_torch(im_size=8)(torch.zeros(20, 30, 3, dtype=torch.uint8).numpy()).shape
        torch.Size([3, 8, 8])

    """
    steps = [
        v2.Resize((im_size, im_size)),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(),  # of zero strength: the published recipe names the step, but leaves the colours alone
    ]
    return _compose(steps, mean, std)


def get_augs_hypvit(
    im_size: int = 224, min_scale: float = 0.2, mean: TNormParam = MEAN, std: TNormParam = STD
) -> v2.Compose:
    """
    Crop a random part, resize it to a square, flip at random, normalise: the augmentation of Hyp-ViT.

    Source: Ermolov et al., "Hyperbolic Vision Transformers: Combining Improvements in Metric Learning", 2022.

    Args:
        im_size: Side of the result in pixels.
        min_scale: The smallest part of the picture's area that a crop may have.
        mean: Subtracted from each channel, whose values are 0..1.
        std: Divides each channel.

    """
    steps = [v2.RandomResizedCrop(im_size, scale=(min_scale, 1.0), interpolation=BICUBIC), v2.RandomHorizontalFlip()]
    return _compose(steps, mean, std)


def get_normalisation_torch(mean: TNormParam = MEAN, std: TNormParam = STD) -> v2.Compose:
    """Normalise a picture of any size."""
    return _compose([], mean, std)


def get_normalisation_resize_torch(im_size: int, mean: TNormParam = MEAN, std: TNormParam = STD) -> v2.Compose:
    """Resize to a square regardless of the aspect ratio, normalise."""
    return _compose([v2.Resize((im_size, im_size))], mean, std)


def get_normalisation_resize_hypvit(
    im_size: int = 224, crop_size: int = 224, mean: TNormParam = MEAN, std: TNormParam = STD
) -> v2.Compose:
    """
    Resize the shorter side to `im_size`, cut a square of `crop_size` from the middle, normalise.

    A crop larger than the resized picture is filled with black.

    Example:
        >>> get_normalisation_resize_hypvit(im_size=16, crop_size=8)(ToRGB()(torch.zeros(20, 30).byte().numpy())).shape
        torch.Size([3, 8, 8])

    """
    return _compose([v2.Resize(im_size, interpolation=BICUBIC), v2.CenterCrop(crop_size)], mean, std)


def get_normalisation_resize_unicom(im_size: int = 224) -> v2.Compose:
    """Resize the shorter side, cut the square in the middle, normalise by CLIP's statistics: for UNICOM models."""
    return get_normalisation_resize_hypvit(im_size, im_size, MEAN_CLIP, STD_CLIP)


def _compose(steps: list[nn.Module], mean: TNormParam, std: TNormParam) -> v2.Compose:
    to_numbers = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean=mean, std=std)]
    return v2.Compose([ToRGB(), *steps, *to_numbers])
