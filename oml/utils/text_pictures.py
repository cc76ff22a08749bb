"""Texts as pictures: for figures of items that are not images."""

from bisect import bisect
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oml.const import BLACK, PAD_COLOR, TColor

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SIDE = 256  # pixels
FRAME = 5  # pixels, the thickness of the frame
MARGIN = 12  # pixels, between the picture's edge and the text
FONT_SIZES = range(28, 9, -2)  # pixels, the first that lets the whole text fit is taken
LINE_HEIGHT = 1.25  # in font sizes
ELLIPSIS = "…"
MAX_LETTERS = 100  # in a line: more do not fit, even the narrowest, so they are not worth measuring


def visualize_text(text: str, color: TColor = BLACK, draw_bbox: bool = True) -> np.ndarray:
    """
    Draw the text, black on white, as a picture (256, 256, 3) uint8 in RGB.

    Lines are broken between words, and inside words that are longer than a line; long texts are drawn smaller, and what
    does not fit even then is replaced by an ellipsis.

    Args:
        text: May be empty.
        color: Of the frame.
        draw_bbox: Whether to draw a frame of 5 pixels along the edges.

    Example:
        >>> visualize_text("a small wooden table").shape
        (256, 256, 3)

    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIDE, SIDE), PAD_COLOR)
    draw = ImageDraw.Draw(image)
    size, lines = _lay_out(draw, text)
    for i, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + i * size * LINE_HEIGHT), line, fill=BLACK, font=_load_font(size))
    if draw_bbox:
        draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=color, width=FRAME)
    return np.array(image)


def _lay_out(draw: "ImageDraw", text: str) -> tuple[int, list[str]]:
    """Give the font size and the lines of the text."""
    for size in FONT_SIZES:
        n_fit = int((SIDE - 2 * MARGIN) / (size * LINE_HEIGHT))
        lines = list(islice(_break_lines(draw, text, _load_font(size)), n_fit + 1))
        if len(lines) <= n_fit:
            return size, lines
    return size, [*lines[: n_fit - 1], lines[n_fit - 1][:-1] + ELLIPSIS]


def _break_lines(draw: "ImageDraw", text: str, font: Any) -> Iterator[str]:
    def fits(line: str) -> bool:
        return len(line) <= MAX_LETTERS and draw.textlength(line, font) <= SIDE - 2 * MARGIN

    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if fits(longer):
                line = longer
                continue
            if line:
                yield line
            line = word
            while not fits(line):  # a word longer than a line
                n = max(1, bisect(range(1, MAX_LETTERS), False, key=lambda k: not fits(line[:k])))
                yield line[:n]
                line = line[n:]
        yield line


@cache
def _load_font(size: int) -> Any:
    from PIL import ImageFont

    # DejaVu, which matplotlib ships, knows far more letters than Pillow's own font.
    spec = find_spec("matplotlib")  # finds its folder without the price of importing it
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.exists():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)
