"""How transforms are called, and which reader gives them what they take."""

import inspect
from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np
from PIL import Image
from torch import nn

from oml.errors import InvalidInputError, check
from oml.utils.images.images import TImage, TImReader, imread_cv2, imread_pillow

# A function of a PIL image, or one called as `transforms(image=array)["image"]`, as those of albumentations are.
TTransforms = Callable[..., Any]


def is_called_by_keyword(transforms: TTransforms) -> bool:
    """
    Tell whether a transform is called as `transforms(image=array)["image"]`, the way of albumentations.

    Such a transform has a keyword-only parameter `image`, or takes any keywords and nothing by name or position. A
    plain function `(*args, **kwargs)` is taken for a decorated one and called by position, as modules of torch are
    (torchvision's v2 among them). Nothing is imported or called to find out.

    Raises:
        InvalidInputError: the transform cannot be called.

    Example:
        >>> is_called_by_keyword(lambda image: image), is_called_by_keyword(lambda **data: data)
        (False, True)

    """
    check(
        callable(transforms),
        "A transform must be a function of an image: transforms of torchvision, pipelines of albumentations and any "
        f"callable that takes a PIL image will do, got {type(transforms).__name__}: {transforms!r}.",
    )
    if isinstance(transforms, nn.Module):
        return False
    try:
        parameters = inspect.signature(transforms).parameters.values()
    except ValueError:  # some functions written in C do not say what they take
        return False
    if any(p.name == "image" and p.kind is p.KEYWORD_ONLY for p in parameters):
        return True
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    kinds = {p.kind for p in parameters}
    is_decorated = inspect.isroutine(transforms) and inspect.Parameter.VAR_POSITIONAL in kinds
    return inspect.Parameter.VAR_KEYWORD in kinds and kinds.isdisjoint(named) and not is_decorated


def get_im_reader_for_transforms(transforms: TTransforms) -> TImReader:
    """
    Give the reader of what the transform takes: arrays for those called by keyword, PIL images for all others.

    Raises:
        InvalidInputError: the transform cannot be called.

    Example:
        >>> get_im_reader_for_transforms(lambda image: image).__name__
        'imread_pillow'

    """
    return imread_cv2 if is_called_by_keyword(transforms) else imread_pillow


def is_rgb_array(image: object) -> TypeGuard[np.ndarray]:
    """
    Tell whether it is an array (H, W, 3) of uint8.

    Example:
        >>> is_rgb_array(np.zeros((2, 2, 3), dtype=np.uint8)), is_rgb_array(np.zeros((2, 2, 3)))
        (True, False)

    """
    return isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def to_rgb(image: TImage) -> Image.Image:
    """
    Give a PIL image of three channels.

    Args:
        image: A PIL image of any mode, or an array (H, W, 3) or (H, W) of uint8.

    Raises:
        InvalidInputError: an array of another shape or dtype.
        TypeError: neither an image nor an array.

    """
    if isinstance(image, np.ndarray):
        if not is_rgb_array(image) and not (image.dtype == np.uint8 and image.ndim == 2):
            raise InvalidInputError(
                f"An array must be (H, W, 3) or (H, W) of uint8 to be a picture, got {image.dtype} {image.shape}."
            )
        image = Image.fromarray(np.ascontiguousarray(image))
    if not isinstance(image, Image.Image):
        raise TypeError(f"A picture must be a PIL image or an array, got {type(image).__name__}.")
    return image if image.mode == "RGB" else image.convert("RGB")
