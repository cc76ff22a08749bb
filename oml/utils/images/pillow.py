"""What a picture opened by Pillow is: how the camera was held, and what it looks like in RGB."""

import struct
import zlib

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # of EXIF: 1 is upright
TURNED = (5, 6, 7, 8)  # width and height change places

# What Pillow's decoders raise for damaged files besides OSError.
DECODER_ERRORS = (
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# Where a JPEG or PNG file may note the orientation of the camera, as Pillow calls the places.
_ORIENTATION_NOTES = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})


def get_orientation(image: Image.Image) -> int:
    """Give the orientation that a camera has noted; 1 where there is none."""
    # reading the tags takes a tenth of the time that a small picture takes, most of which have none
    if image.format in ("JPEG", "PNG") and _ORIENTATION_NOTES.isdisjoint(image.info):
        return 1
    orientation: int = image.getexif().get(ORIENTATION, 1)
    return orientation


def to_rgb(image: Image.Image) -> Image.Image:
    """Give a loaded picture as RGB: 16 bits keep their upper 8, the alpha channel is dropped."""
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut all bright pixels off at 255
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    elif "transparency" in image.info:  # colours of a palette may carry alpha, which only RGBA can take over
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
