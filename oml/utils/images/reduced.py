"""Large JPEGs decoded at a fraction of their size, where they are to become small anyway."""

from collections.abc import Callable

from PIL import Image

from oml.const import TBBox
from oml.utils.images.images import TImSource, clip_bbox, read_picture
from oml.utils.images.pillow import TURNED, get_orientation

GAP = 3.0  # a reduced picture has at least so many times the width and height that it is resized to
FACTORS = (8, 4, 2)  # what the decoder of JPEG offers


def imread_reduced(
    im_src: TImSource, get_size: Callable[[float, float], tuple[float, float]], bbox: TBBox | None = None
) -> tuple[Image.Image, TBBox | None]:
    """
    Read a picture as `imread_pillow` does, a JPEG at half, a quarter or an eighth of its size if that is large enough.

    The decoder averages blocks of pixels, as resizing does: resized to the wanted size, the two differ by less than one
    step of 255 on average, also where the picture is full of details.

    Args:
        im_src: A path or the content of a file.
        get_size: Gives the width and height that a picture (or the part in the box) of a width and height becomes.
        bbox: The part that is wanted: left, top, right, bottom in pixels of the upright picture, or None for all of it.

    Returns:
        The upright picture and the box in its pixels.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the file is not a picture, or a damaged one.

    """
    whole: list[tuple[int, int]] = []

    def reduce(image: Image.Image) -> None:
        if image.format not in ("JPEG", "MPO"):
            return
        width, height = image.size
        upright = (height, width) if get_orientation(image) in TURNED else (width, height)
        factor = _choose_factor(upright, get_size, bbox)
        if factor > 1:
            whole.append(upright)
            image.draft(None, (width // factor, height // factor))

    image = read_picture(im_src, reduce)
    if bbox is None or not whole:
        return image, bbox
    (width, height), (whole_width, whole_height) = image.size, whole[0]
    left, top, right, bottom = clip_bbox(bbox, whole_width, whole_height)
    x, y = width / whole_width, height / whole_height
    left, top = round(left * x), round(top * y)
    return image, (left, top, max(round(right * x), left + 1), max(round(bottom * y), top + 1))


def _choose_factor(
    size: tuple[int, int], get_size: Callable[[float, float], tuple[float, float]], bbox: TBBox | None
) -> int:
    left, top, right, bottom = clip_bbox((0, 0, *size) if bbox is None else bbox, *size)
    width, height = right - left, bottom - top
    if width == 0 or height == 0:
        return 1  # the box lies outside, which is found later
    wanted = get_size(width, height)
    return next((f for f in FACTORS if width >= f * GAP * wanted[0] and height >= f * GAP * wanted[1]), 1)
