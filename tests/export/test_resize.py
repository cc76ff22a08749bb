import numpy as np
import pytest
import torch
from PIL import Image

from oml.bundles.preprocessing import make_picture
from oml.export.inputs import Pixels, make_preprocessing
from oml.export.resize import FILTERS, Window, cubic, triangle
from oml.transforms.images.albumentations import get_normalisation_resize_albu
from oml.transforms.images.torchvision import get_normalisation_resize_hypvit, get_normalisation_resize_torch

SIZES = [(301, 403), (403, 301), (64, 64), (21, 50), (7, 90)]  # of pictures whose rows Pillow does first


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", FILTERS)
def test_pixels_are_those_of_pillow(size, interpolation):
    picture = make_picture(*size)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    expected = np.array(picture.resize((40, 30), filters[interpolation])).astype(float)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    found = Window((30, 40), interpolation=interpolation)(pixels)[0].permute(1, 2, 0).numpy()
    difference = np.abs(found - expected)
    assert difference.max() <= 1  # Pillow rounds its coefficients to 22 bits, so ties may fall otherwise
    assert (difference > 0).mean() < (0.05 if interpolation == "bilinear" else 0.001)  # whose weights make ties


def test_pictures_whose_columns_pillow_does_first():
    picture = make_picture(90, 20)
    expected = np.array(picture.resize((40, 30), Image.Resampling.BILINEAR)).astype(float)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    assert np.abs(Window((30, 40))(pixels)[0].permute(1, 2, 0).numpy() - expected).max() <= 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "transform",
    [
        get_normalisation_resize_torch(im_size=24),
        get_normalisation_resize_hypvit(im_size=32, crop_size=24),
        get_normalisation_resize_hypvit(im_size=33, crop_size=24),
        get_normalisation_resize_hypvit(im_size=20, crop_size=25),
    ],
    ids=["stretch", "crop", "odd crop", "crop with padding"],
)
def test_the_graph_does_what_the_transform_does(transform, size):
    picture = make_picture(*size)
    found = make_preprocessing(transform)(Pixels(transform)(picture)[None])[0]
    difference = (found - transform(picture)).abs()
    assert difference.max() < 1.01 / 255 / 0.224
    assert (difference > 1e-5).float().mean() < 0.05


@pytest.mark.parametrize("size", SIZES)
def test_fitting_into_a_white_square(size):
    picture, transform = make_picture(*size), get_normalisation_resize_albu(im_size=25)
    found = make_preprocessing(transform)(Pixels(transform)(picture)[None])[0]
    difference = (found - transform(picture)).abs()
    assert difference.max() < 1.01 / 255 / 0.224
    assert (difference > 1e-5).float().mean() < 0.01  # interpolate calculates in float32, ties fall otherwise


def test_filters_by_hand():
    x = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, -0.5])
    assert triangle(x).tolist() == [1.0, 0.5, 0.0, 0.0, 0.0, 0.5]
    assert cubic(x).tolist() == [1.0, 0.5625, 0.0, -0.0625, 0.0, 0.5625]
