import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oml.errors import InvalidInputError
from oml.utils.images.images_resize import (
    get_image_hw,
    get_karesize_param,
    inverse_karesize_bboxes,
    inverse_karesize_image,
    karesize_bboxes,
    karesize_image,
    resize_ndarray,
    resize_tensor,
)

SIDES = st.integers(1, 40)
SIZES = st.tuples(SIDES, SIDES)


@given(src_hw=SIZES, new_hw=SIZES)
def test_scaled_picture_fits_and_touches_a_border(src_hw: tuple[int, int], new_hw: tuple[int, int]) -> None:
    height, width, top, left = get_karesize_param(src_hw, new_hw)
    assert 1 <= height <= new_hw[0]
    assert 1 <= width <= new_hw[1]
    assert height == new_hw[0] or width == new_hw[1]
    assert top == (new_hw[0] - height) // 2
    assert left == (new_hw[1] - width) // 2


@pytest.mark.parametrize("shape", [(12, 20), (12, 20, 3), (12, 20, 1), (1, 1, 3)])
@pytest.mark.parametrize("new_hw", [(30, 30), (5, 17), (1, 1)])
def test_shapes_and_types_of_arrays(shape: tuple[int, ...], new_hw: tuple[int, int]) -> None:
    image = np.full(shape, 200, dtype=np.uint8)
    resized = karesize_image(image, new_hw)
    assert resized.shape == (*new_hw, *shape[2:])
    assert resized.dtype == np.uint8
    assert set(np.unique(resized)) <= {0, 200}
    restored = inverse_karesize_image(resized, shape[:2])
    assert np.array_equal(restored, image)


@pytest.mark.parametrize("shape", [(12, 20), (3, 12, 20), (2, 3, 12, 20), (0, 3, 4, 4), (3, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.uint8, torch.int64])
def test_shapes_and_types_of_tensors(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    image = torch.full(shape, 7).to(dtype)
    resized = karesize_image(image, (15, 15))
    assert resized.shape == (*shape[:-2], 15, 15)
    assert resized.dtype == dtype
    torch.testing.assert_close(inverse_karesize_image(resized, (shape[-2], shape[-1])), image)


def test_tensor_and_array_agree() -> None:
    image = np.random.default_rng(0).integers(0, 255, (13, 7, 3), dtype=np.uint8)
    from_array = karesize_image(image, (20, 31))
    from_tensor = karesize_image(torch.from_numpy(image).permute(2, 0, 1), (20, 31))
    assert np.array_equal(from_array, from_tensor.permute(1, 2, 0).numpy())
    flipped = karesize_image(image[::-1, ::-1], (20, 31))  # negative strides
    assert np.abs(flipped[::-1, ::-1].astype(int) - from_array).max() <= 1


@pytest.mark.parametrize("new_hw", [(7, 9), (40, 60), (16, 16)])
def test_resize_agrees_with_pillow(new_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((new_hw[1], new_hw[0]), Image.Resampling.BILINEAR))
    assert np.abs(resize_ndarray(image, new_hw).astype(int) - expected).max() <= 1  # both round


@given(
    src_hw=SIZES,
    new_hw=SIZES,
    boxes=st.lists(st.tuples(*[st.integers(0, 40)] * 4), max_size=5),
    as_array=st.booleans(),
)
def test_boxes_come_back(
    src_hw: tuple[int, int], new_hw: tuple[int, int], boxes: list[tuple[int, ...]], as_array: bool
) -> None:
    array = np.array(boxes, dtype=np.int64).reshape(-1, 4)
    source = array if as_array else torch.from_numpy(array)
    moved = karesize_bboxes(source, src_hw, new_hw)
    restored = inverse_karesize_bboxes(moved, new_hw, src_hw)
    assert type(moved) is type(restored) is type(source)
    np.testing.assert_allclose(np.asarray(restored), array, atol=1e-2)  # float32 pixels up to 1600


def test_box_of_a_thing_moves_with_the_thing() -> None:
    image = np.zeros((40, 20), dtype=np.uint8)
    image[8:24, 4:12] = 255
    moved = karesize_image(image, (20, 30))
    left, top, right, bottom = karesize_bboxes(np.array([[4, 8, 12, 24]]), (40, 20), (20, 30))[0].astype(int)
    assert (moved[top:bottom, left:right] > 128).all()
    assert (moved > 128).sum() == (bottom - top) * (right - left)


def test_errors_name_what_was_given() -> None:
    with pytest.raises(TypeError, match="must be a tensor or an array, got list"):
        get_image_hw([[1]])  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"\(H, W\) or \(H, W, C\), got \(2,\)"):
        get_image_hw(np.zeros(2))
    with pytest.raises(InvalidInputError, match=r"\(B, C, H, W\), got \(1, 1, 1, 2, 2\)"):
        resize_tensor(torch.zeros(1, 1, 1, 2, 2), (2, 2))
    with pytest.raises(InvalidInputError, match=r"at least 1, got \(0, 3\) and \(2, 2\)"):
        get_karesize_param((0, 3), (2, 2))
    with pytest.raises(InvalidInputError, match=r"shape \(N, 4\), got \(4,\)"):
        karesize_bboxes(np.zeros(4), (2, 2), (2, 2))
