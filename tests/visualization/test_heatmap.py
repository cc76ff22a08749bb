import numpy as np
import pytest
import torch
from PIL import Image

from oml.errors import InvalidInputError
from oml.visualization.heatmap import draw_heatmap, to_rgb_array


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(20, 30, 3), dtype=np.uint8)


def test_half_of_the_picture_and_half_of_the_colour(picture: np.ndarray) -> None:
    drawn = draw_heatmap(picture, torch.tensor([[0.0, 2.0], [0.0, 2.0]]))
    assert (drawn.shape, drawn.dtype) == (picture.shape, np.uint8)
    blue, red = np.array([0, 0, 127.5]), np.array([127.5, 0, 0])  # the ends of the colour map
    np.testing.assert_allclose(drawn[:, 0], picture[:, 0] / 2 + blue / 2, atol=1)
    np.testing.assert_allclose(drawn[:, -1], picture[:, -1] / 2 + red / 2, atol=1)


def test_pillow_and_numpy_give_equal_pixels(picture: np.ndarray) -> None:
    heat = torch.rand(3, 4)
    drawn = draw_heatmap(Image.fromarray(picture), heat)
    assert isinstance(drawn, Image.Image)
    assert np.array_equal(np.asarray(drawn), draw_heatmap(picture, heat))


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_equal_heat(picture: np.ndarray, value: float) -> None:
    low = np.array([0, 0, 127.5])
    np.testing.assert_allclose(draw_heatmap(picture, torch.full((2, 2), value)), picture / 2 + low / 2, atol=1)


def test_scale_of_the_heat_does_not_matter(picture: np.ndarray) -> None:
    heat = torch.rand(3, 4)
    assert np.array_equal(draw_heatmap(picture, heat), draw_heatmap(picture, heat * 4 - 8))


def test_greyscale(picture: np.ndarray) -> None:
    grey = picture[..., 0]
    assert np.array_equal(to_rgb_array(grey), np.stack([grey] * 3, axis=2))
    assert np.array_equal(to_rgb_array(Image.fromarray(grey)), to_rgb_array(grey))
    assert np.array_equal(to_rgb_array(picture.astype(float)), picture)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 2, 4), np.uint8), r"shape \(H, W, 3\) or \(H, W\), got \(2, 2, 4\)"),
        (np.zeros((0, 2, 3), np.uint8), r"got \(0, 2, 3\)"),
        (np.full((2, 2, 3), 0.5), r"must hold 0\.\.255, got float64 of 0\.5\.\.0\.5\. Scale it"),
        (np.full((2, 2, 3), -3), r"got int64 of -3\.\.-3"),
    ],
)
def test_bad_picture(image: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        draw_heatmap(image, torch.zeros(1, 1))
