"""Items of a dataset as blocks of HTML, and blocks side by side on a page."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np

from oml.const import BLACK, TColor

MAX_SIDE = 384  # pixels: larger pictures are shrunk, or a page of photos would weigh as much as the photos
JPEG_QUALITY = 90
TEXT_SIDE = 246  # pixels: with the frame as large as the pictures of `visualize_text`
FRAME = 5  # pixels


def make_html_block(title: str, body: str) -> str:
    """
    Give a block of HTML: the title, which may be any text, above the body, which is HTML already.

    Example:
        >>> make_html_block("1 < 2", "<b>yes</b>")
        '<div><p style="margin: 4px 0">1 &lt; 2</p><b>yes</b></div>'

    """
    return f'<div><p style="margin: 4px 0">{escape(title)}</p>{body}</div>'


def visualize_text_as_html(text: str, title: str = "", color: TColor = BLACK) -> str:
    """
    Give a block of HTML with the text in a frame, whole, as text: it can be selected, and scrolled if it is long.

    Args:
        text: Any; what means something in HTML is escaped.
        title: Stands above the frame.
        color: Of the frame.

    """
    style = (
        f"width: {TEXT_SIDE}px; height: {TEXT_SIDE}px; border: {FRAME}px solid {_name(color)}; overflow: auto; "
        "white-space: pre-wrap; overflow-wrap: anywhere; font-family: sans-serif; background: white; color: black"
    )
    return make_html_block(title, f'<div dir="auto" style="{style}">{escape(text)}</div>')


def visualize_image_as_html(picture: np.ndarray, title: str = "") -> str:
    """
    Give a block of HTML that holds the picture itself, so that a page of it needs no other file.

    Args:
        picture: (H, W, 3), uint8, RGB. It is shrunk where a side exceeds 384 pixels.
        title: Stands above the picture.

    """
    return make_html_block(title, f'<img alt="{escape(title)}" src="{encode_as_url(picture)}">')


def encode_as_url(picture: np.ndarray, image_format: str = "jpeg") -> str:
    """
    Give the picture (H, W, 3), uint8, RGB, as a URL that holds its content: at most 384 x 384 pixels, JPEG or PNG.

    Example:
        >>> encode_as_url(np.zeros((4, 4, 3), dtype=np.uint8))[:27]
        'data:image/jpeg;base64,/9j/'

    """
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = BytesIO()
    image.save(buffer, image_format, quality=JPEG_QUALITY, subsampling=0)  # keeps colours of frames apart from the rest
    return f"data:image/{image_format};base64,{b64encode(buffer.getvalue()).decode()}"


def html_blocks_to_grid(blocks: Sequence[Sequence[str]]) -> str:
    """
    Give one HTML table from HTML blocks: a row of the table for each inner sequence; rows may have different lengths.

    The blocks are put in as they are: what comes from users must be escaped before.

    Example:
        >>> html_blocks_to_grid([["<b>query</b>", "<p>1</p>"]])
        '<table><tr><td><b>query</b></td><td><p>1</p></td></tr></table>'

    """
    rows = ("".join(f"<td>{block}</td>" for block in row) for row in blocks)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _name(color: TColor) -> str:
    return f"rgb({', '.join(map(str, color))})"
