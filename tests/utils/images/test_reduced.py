from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms as v1
from torchvision.transforms import v2

from oml.datasets import ImageBaseDataset
from oml.errors import InvalidInputError
from oml.transforms.images.albumentations import get_normalisation_resize_albu
from oml.transforms.images.first_resize import find_first_resize
from oml.transforms.images.torchvision import (
    get_augs_hypvit,
    get_augs_torch,
    get_normalisation_resize_hypvit,
    get_normalisation_torch,
)
from oml.utils.images.images import imread_pillow
from oml.utils.images.reduced import imread_reduced

BICUBIC = v2.InterpolationMode.BICUBIC
SIDE = 32


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture of 800 x 600 full of details, as stored by cameras and otherwise."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (150, 200, 3), dtype=np.uint8)).resize(
        (800, 600), Image.Resampling.BICUBIC
    )
    image.save(folder / "plain.jpg", quality=90)
    image.save(folder / "lossless.png")
    image.convert("L").save(folder / "grey.jpg", quality=90)
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = image.rotate(90, expand=True)
    turned.save(folder / "turned.jpg", quality=90, exif=exif)
    turned.save(folder / "turned_by_xmp.jpg", quality=90, xmp=b'<x tiff:Orientation="6"/>')
    return folder


def get_size(width: float, height: float) -> tuple[float, float]:
    return SIDE, SIDE


@pytest.mark.parametrize("name", ["plain", "grey", "cmyk", "turned", "turned_by_xmp"])
@pytest.mark.parametrize("bbox", [None, (100, 50, 700, 590), (3, 5, 401, 399), (500, 300, 900, 700)])
def test_resized_it_is_nearly_the_whole_picture(
    photos: Path, name: str, bbox: tuple[int, int, int, int] | None
) -> None:
    path = photos / f"{name}.jpg"
    dataset, exact = (
        ImageBaseDataset([path], bboxes=[bbox], transform=v2.Resize((SIDE, SIDE)), f_imread=reader)
        for reader in (None, imread_pillow)
    )
    reduced, box = imread_reduced(path, get_size, bbox)
    assert reduced.mode == "RGB"
    assert reduced.size in ((200, 150), (400, 300))
    assert (box is None) == (bbox is None)
    given, expected = (np.asarray(d[0]["input_tensors"]).astype(int) for d in (dataset, exact))
    difference = np.abs(given - expected)
    limit = 1.5 if bbox is None else 6  # a box is rounded to reduced pixels: a third of a pixel of the result at most
    assert 0 < difference.mean() < limit
    assert dataset.visualize(0).shape == (600, 800, 3)  # whole pictures are drawn


def test_what_is_small_or_no_jpeg_is_read_as_it_is(photos: Path) -> None:
    for name, size in (("lossless.png", get_size), ("plain.jpg", lambda w, h: (w / 5, h / 5))):
        image, _ = imread_reduced(photos / name, size)
        assert np.array_equal(np.asarray(image), np.asarray(imread_pillow(photos / name)))


@pytest.mark.parametrize(("side", "expected"), [(600 / 6, 2), (600 / 6 + 1, 1), (600 / 12, 4), (600 / 24, 8), (1, 8)])
def test_factors(photos: Path, side: float, expected: int) -> None:
    for source in (photos / "plain.jpg", (photos / "plain.jpg").read_bytes()):
        image, _ = imread_reduced(source, lambda width, height: (width * side / height, side))
        assert image.size == (800 // expected, 600 // expected)
    image, _ = imread_reduced(photos / "turned.jpg", lambda width, height: (width * side / height, side))
    assert image.size == (800 // expected, 600 // expected)


def test_boxes_in_reduced_pixels(photos: Path) -> None:
    image, box = imread_reduced(photos / "plain.jpg", lambda width, height: (10, 10), (80, 40, 480, 440))
    assert (image.size, box) == ((100, 75), (10, 5, 60, 55))
    _, box = imread_reduced(photos / "plain.jpg", lambda width, height: (0.1, 0.1), (400, 300, 403, 302))
    assert box == (100, 75, 101, 76)  # never empty


def test_errors_stay(photos: Path, tmp_path: Path) -> None:
    content = (photos / "plain.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(content[: len(content) // 2])
    dataset = ImageBaseDataset(["half.jpg", "none.jpg"], tmp_path, transform=v2.Resize(SIDE))
    with pytest.raises(OSError, match=r"Item 0: the file .*half\.jpg cannot be read as a picture: .*truncated"):
        dataset[0]
    with pytest.raises(FileNotFoundError, match=r"Item 1: there is no file .*none\.jpg"):
        dataset[1]
    outside = ImageBaseDataset(["plain.jpg"], photos, [(800, 0, 900, 10)], transform=v2.Resize(SIDE))
    with pytest.raises(InvalidInputError, match=r"the box \(800, 0, 900, 10\) .* which is 800 wide and 600 high"):
        outside[0]


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (v2.Resize((10, 20)), (20, 10)),
        (v1.Resize(10), (20, 10)),
        (v1.Compose([v1.Resize([10]), v1.ToTensor()]), (20, 10)),
        (v2.Compose([v2.RGB(), v2.Resize(10, interpolation=BICUBIC)]), (20, 10)),
        (get_augs_torch(8), (8, 8)),
        (get_normalisation_resize_hypvit(16, 8), (32, 16)),
    ],
)
def test_transforms_that_begin_with_a_resize(transform: Any, expected: tuple[float, float]) -> None:
    found = find_first_resize(transform)
    assert found is not None
    assert found(400, 200) == expected


class Resize:
    size = 10


@pytest.mark.parametrize(
    "transform",
    [
        None,
        Resize(),
        get_augs_hypvit(16),
        get_normalisation_torch(),
        get_normalisation_resize_albu(16),
        v2.Compose([v2.CenterCrop(10), v2.Resize(10)]),
        v2.Resize(10, interpolation=v2.InterpolationMode.NEAREST),
        v2.Resize(10, antialias=False),
        v2.Resize(10, max_size=20),
        v1.ToTensor(),
    ],
)
def test_other_transforms_get_all_pixels(transform: Any) -> None:
    assert find_first_resize(transform) is None
