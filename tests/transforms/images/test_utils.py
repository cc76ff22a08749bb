import functools
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms as v1
from torchvision.transforms import v2

from oml.errors import InvalidInputError
from oml.transforms.images.albumentations import get_normalisation_albu
from oml.transforms.images.torchvision import get_normalisation_torch
from oml.transforms.images.utils import get_im_reader_for_transforms, is_called_by_keyword, to_rgb
from oml.utils.images.images import imread_cv2, imread_pillow


class LikeAlbumentations:
    """Has the signature that pipelines and single transforms of albumentations have in all their versions."""

    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        if args:
            raise KeyError("You have to pass data to augmentations as named arguments")
        return data


def plain_function(image: Any) -> Any:
    return image


def keyword_function(*, image: Any) -> Any:
    return {"image": image}


def decorated(function: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class WithOptions:
    def __call__(self, image: Any, **options: Any) -> Any:
        return image


@pytest.mark.parametrize(
    "transform", [LikeAlbumentations(), keyword_function, get_normalisation_albu(), lambda **data: data]
)
def test_called_by_keyword(transform: Any) -> None:
    assert is_called_by_keyword(transform)
    assert get_im_reader_for_transforms(transform) is imread_cv2
    assert set(transform(image=np.zeros((2, 2, 3), dtype=np.uint8))) == {"image"}


@pytest.mark.parametrize(
    "transform",
    [
        plain_function,
        decorated(plain_function),
        functools.partial(plain_function),
        lambda x: x,
        WithOptions(),
        v1.Compose([]),
        v1.ToTensor(),
        v2.Compose([v2.ToImage()]),
        v2.RandomHorizontalFlip(),
        get_normalisation_torch(),
        math.log,
        np.asarray,
    ],
)
def test_called_by_position(transform: Any) -> None:
    assert not is_called_by_keyword(transform)
    assert get_im_reader_for_transforms(transform) is imread_pillow


@pytest.mark.parametrize("transform", ["norm_albu", None, 3, [plain_function]])
def test_not_callable(transform: Any) -> None:
    with pytest.raises(AssertionError, match=f"takes a PIL image will do, got {type(transform).__name__}"):
        get_im_reader_for_transforms(transform)


def test_to_rgb() -> None:
    rgb = Image.new("RGB", (2, 1), (1, 2, 3))
    assert to_rgb(rgb) is rgb
    assert to_rgb(np.asarray(rgb)).getpixel((1, 0)) == (1, 2, 3)
    assert to_rgb(np.asarray(rgb)[:, ::-1]).size == (2, 1)
    assert to_rgb(np.full((1, 2), 9, dtype=np.uint8)).getpixel((1, 0)) == (9, 9, 9)
    assert to_rgb(Image.new("L", (2, 1), 9)).getpixel((1, 0)) == (9, 9, 9)
    with pytest.raises(InvalidInputError, match=r"got uint8 \(2, 2, 4\)"):
        to_rgb(np.zeros((2, 2, 4), dtype=np.uint8))
