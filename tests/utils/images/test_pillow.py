import numpy as np
import pytest
from PIL import Image

from oml.utils.images.pillow import to_rgb


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_16_bits_keep_their_upper_8(dtype: type) -> None:
    picture = to_rgb(Image.fromarray(np.array([[0, 255, 256, 40_000, 65_535]], dtype=dtype)))
    assert np.asarray(picture).reshape(5, 3)[:, 0].tolist() == [0, 0, 1, 156, 255]


def test_what_transparency_hides_stays() -> None:
    picture = Image.new("P", (1, 1), 1)
    picture.putpalette([0, 0, 0, 90, 80, 70])
    picture.info["transparency"] = b"\xff\x00"
    assert to_rgb(picture).getpixel((0, 0)) == (90, 80, 70)
