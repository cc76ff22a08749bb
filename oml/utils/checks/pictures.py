"""What lies in the file of a picture, and what it looks like."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from oml.utils.images.pillow import ORIENTATION, TURNED, get_orientation, to_rgb

SIDE = 9  # pixels of the picture that looks are taken from
DRAFT_SIDE = 32  # a JPEG is decoded at a fraction of its size, but not below this
LARGE = 2**19  # pixels: more are not kept


def inspect_image(content: bytes) -> tuple[tuple[Any, ...], Image.Image]:
    """
    Give the format, width, height and 0 seconds of a picture, and what its looks are taken from, in grey or RGB.

    A JPEG is read to its end, but only a fraction of its pixels is computed.
    """
    with Image.open(BytesIO(content)) as image:
        image_format, (width, height) = image.format or "", image.size
        draft = image.draft("L", (DRAFT_SIDE, DRAFT_SIDE))  # of a JPEG
        image.load()
        turn = get_orientation(image)
        picture = image if image.mode == "L" else to_rgb(image)
    size: tuple[float, float] = picture.size
    if draft is None:
        width, height = picture.size  # some formats turn themselves when loaded
    else:
        size = draft[1][2:]  # with fractions: the last row and column stand for parts of some
    if turn != 1 or size != picture.size or picture.width * picture.height > LARGE:
        picture = Image.fromarray(shrink([picture], size)[0])
    if turn != 1:
        picture.getexif()[ORIENTATION] = turn
        picture = ImageOps.exif_transpose(picture)
    if turn in TURNED:
        width, height = height, width
    return (image_format, width, height, 0.0), picture


def shrink(images: Sequence[Image.Image], size: tuple[float, float] | None = None) -> np.ndarray:
    """
    Give the 9 x 9 grey pixels that looks are taken from, (N, 9, 9) uint8, of pictures of one mode and size.

    All are averaged at once, side by side: where one ends, so does a place. One axis after the other, since the order
    in which Pillow takes them, and so the rounding, depends on the shape.

    Args:
        images: The pictures.
        size: The width and height that count of a single picture, from the left and upper edge on.

    """
    width, height = images[0].size
    row = images[0]
    if len(images) > 1:
        row = Image.new(images[0].mode, (width * len(images), height))
        for i, image in enumerate(images):
            row.paste(image, (i * width, 0))
    right, bottom = size or row.size
    box = Image.Resampling.BOX
    grey = (row if row.mode == "L" else row.convert("L")).resize(
        (SIDE * len(images), height), box, (0, 0, right, height)
    )
    pixels = grey.resize((SIDE * len(images), SIDE), box, (0, 0, grey.width, bottom)).tobytes()
    return np.frombuffer(pixels, dtype=np.uint8).reshape(SIDE, -1, SIDE).swapaxes(0, 1)


def calc_looks(pixels: np.ndarray) -> np.ndarray:
    """
    Give 128 bits, (N, 2) uint64, of which nearly all are the same for a picture that was resized or compressed anew.

    A difference hash: of each of 8 x 8 places, whether it is brighter than its left and than its upper neighbour.

    Args:
        pixels: (N, 9, 9), uint8: each picture in grey, averaged over 9 x 9 places.

    Example:
        >>> calc_looks(np.zeros((1, 9, 9), dtype=np.uint8)).tolist()
        [[0, 0]]

    """
    across = pixels[:, 1:, 1:] > pixels[:, 1:, :-1]
    down = pixels[:, 1:, 1:] > pixels[:, :-1, 1:]
    bits = np.concatenate([across, down], axis=1).reshape(len(pixels), -1)
    return np.packbits(bits, axis=1).view(np.uint64)
