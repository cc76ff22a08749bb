import numpy as np
import pytest
from PIL import Image

from oml.utils.images.pillow import convert


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_16_bits_keep_their_upper_8(dtype: type, mode: str) -> None:
    picture = convert(Image.fromarray(np.array([[0, 255, 256, 40_000, 65_535]], dtype=dtype)), mode)
    assert picture.mode == mode
    assert np.asarray(picture).reshape(5, -1)[:, 0].tolist() == [0, 0, 1, 156, 255]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_transparency_hides_stays(mode: str) -> None:
    picture = Image.new("P", (1, 1), 1)
    picture.putpalette([0, 0, 0, 90, 90, 90])
    picture.info["transparency"] = b"\xff\x00"
    assert np.asarray(convert(picture, mode)).reshape(-1)[0] == 90
