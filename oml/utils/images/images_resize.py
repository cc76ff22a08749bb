"""Resize that keeps the aspect ratio ("karesize") and fills up with zeros, and the way back, for pictures and boxes."""

from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from oml.errors import check

TSize = tuple[int, int]  # height, width
TArray = TypeVar("TArray", Tensor, np.ndarray)


class KaresizeParam(NamedTuple):
    """Where the scaled picture lies inside the new one: its height and width, and the zeros above and to the left."""

    height: int
    width: int
    top: int
    left: int


def get_karesize_param(src_hw: TSize, new_hw: TSize) -> KaresizeParam:
    """
    Find the largest size with the aspect ratio of the source that fits the new size, and centre it.

    Raises:
        InvalidInputError: a size is less than 1.

    Example:
        >>> get_karesize_param((100, 50), (32, 32))
        KaresizeParam(height=32, width=16, top=0, left=8)

    """
    check(min(*src_hw, *new_hw) >= 1, f"Sizes must be at least 1, got {tuple(src_hw)} and {tuple(new_hw)}.")
    scale = min(new_hw[0] / src_hw[0], new_hw[1] / src_hw[1])
    height, width = max(round(src_hw[0] * scale), 1), max(round(src_hw[1] * scale), 1)
    return KaresizeParam(height, width, (new_hw[0] - height) // 2, (new_hw[1] - width) // 2)


def get_image_hw(image: Tensor | np.ndarray) -> TSize:
    """
    Give height and width of an array (H, W) or (H, W, C), or a tensor (H, W), (C, H, W) or (B, C, H, W).

    Raises:
        InvalidInputError: another number of dimensions.
        TypeError: neither an array nor a tensor.

    Example:
        >>> get_image_hw(torch.zeros(3, 20, 30)), get_image_hw(np.zeros((20, 30, 3)))
        ((20, 30), (20, 30))

    """
    if isinstance(image, Tensor):
        check(image.ndim in (2, 3, 4), f"A tensor must be (H, W), (C, H, W) or (B, C, H, W), got {tuple(image.shape)}.")
        return image.shape[-2], image.shape[-1]
    if isinstance(image, np.ndarray):
        check(image.ndim in (2, 3), f"An array must be (H, W) or (H, W, C), got {image.shape}.")
        return image.shape[0], image.shape[1]
    raise TypeError(f"`image` must be a tensor or an array, got {type(image).__name__}.")


def resize_tensor(tensor: Tensor, new_size_hw: TSize) -> Tensor:
    """
    Resize a tensor (H, W), (C, H, W) or (B, C, H, W) bilinearly with antialias; the dtype stays, integers are rounded.

    Example:
        >>> resize_tensor(torch.tensor([[0, 0, 100, 100]]), (1, 2))
        tensor([[14, 86]])

    """
    get_image_hw(tensor)
    dtype = tensor.dtype if tensor.dtype in (torch.float32, torch.float64) else torch.float32
    planes = tensor.to(dtype)[(None,) * (4 - tensor.ndim)]
    resized = interpolate(planes, size=tuple(new_size_hw), mode="bilinear", align_corners=False, antialias=True)
    resized = resized.reshape(*tensor.shape[:-2], *new_size_hw)
    return resized.to(tensor.dtype) if tensor.is_floating_point() else resized.round().to(tensor.dtype)


def resize_ndarray(array: np.ndarray, new_size_hw: TSize) -> np.ndarray:
    """
    Resize an array (H, W) or (H, W, C) as `resize_tensor` does.

    Example:
        >>> resize_ndarray(np.zeros((20, 30, 3), dtype=np.uint8), (4, 6)).shape
        (4, 6, 3)

    """
    get_image_hw(array)
    return _to_array(resize_tensor(_to_tensor(array), new_size_hw))


def karesize_image(image: TArray, new_hw: TSize) -> TArray:
    """
    Resize with the aspect ratio kept, in the middle of zeros.

    Args:
        image: An array (H, W) or (H, W, C), or a tensor (H, W), (C, H, W) or (B, C, H, W).
        new_hw: The height and width wanted.

    Example:
        >>> karesize_image(torch.ones(2, 4), (4, 4)).tolist()
        [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]

    """
    if isinstance(image, np.ndarray):
        get_image_hw(image)
        return _to_array(karesize_image(_to_tensor(image), new_hw))
    param = get_karesize_param(get_image_hw(image), new_hw)
    resized = resize_tensor(image, (param.height, param.width))
    right, bottom = new_hw[1] - param.left - param.width, new_hw[0] - param.top - param.height
    return pad(resized, (param.left, right, param.top, bottom))


def inverse_karesize_image(image: TArray, src_hw: TSize) -> TArray:
    """
    Undo `karesize_image`: cut the zeros off and resize to the size of the source.

    Example:
        >>> inverse_karesize_image(karesize_image(torch.ones(2, 4), (4, 4)), (2, 4)).tolist()
        [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]

    """
    if isinstance(image, np.ndarray):
        get_image_hw(image)
        return _to_array(inverse_karesize_image(_to_tensor(image), src_hw))
    height, width, top, left = get_karesize_param(src_hw, get_image_hw(image))
    return resize_tensor(image[..., top : top + height, left : left + width], src_hw)


def karesize_bboxes(src_bboxes: TArray, src_hw: TSize, new_hw: TSize) -> TArray:
    """
    Move boxes (N, 4) of left, top, right, bottom along with their picture; the result has fractions.

    Example:
        >>> karesize_bboxes(torch.tensor([[0, 0, 4, 2]]), (2, 4), (8, 8)).tolist()
        [[0.0, 2.0, 8.0, 6.0]]

    """
    param = get_karesize_param(src_hw, new_hw)
    scale_x, scale_y = param.width / src_hw[1], param.height / src_hw[0]
    return _map_bboxes(src_bboxes, (scale_x, scale_y), (param.left, param.top))


def inverse_karesize_bboxes(cur_bboxes: TArray, curr_hw: TSize, src_hw: TSize) -> TArray:
    """
    Undo `karesize_bboxes`: give the boxes (N, 4) of a picture of the size `curr_hw` in pixels of its source.

    Example:
        >>> inverse_karesize_bboxes(np.array([[0, 2, 8, 6]]), (8, 8), (2, 4)).tolist()
        [[0.0, 0.0, 4.0, 2.0]]

    """
    param = get_karesize_param(src_hw, curr_hw)
    scale_x, scale_y = src_hw[1] / param.width, src_hw[0] / param.height
    return _map_bboxes(cur_bboxes, (scale_x, scale_y), (-param.left * scale_x, -param.top * scale_y))


def _map_bboxes(bboxes: TArray, scale_xy: tuple[float, float], shift_xy: tuple[float, float]) -> TArray:
    check(bboxes.ndim == 2 and bboxes.shape[1] == 4, f"Boxes must have the shape (N, 4), got {tuple(bboxes.shape)}.")
    if isinstance(bboxes, np.ndarray):
        return np.asarray(bboxes * np.array(2 * scale_xy) + np.array(2 * shift_xy))
    values = bboxes if bboxes.is_floating_point() else bboxes.float()
    return values * values.new_tensor(2 * scale_xy) + values.new_tensor(2 * shift_xy)


def _to_tensor(array: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(np.array(array))  # a copy: views with negative strides cannot be shared
    return tensor if array.ndim == 2 else tensor.permute(2, 0, 1)


def _to_array(tensor: Tensor) -> np.ndarray:
    return (tensor if tensor.ndim == 2 else tensor.permute(1, 2, 0)).contiguous().numpy()
