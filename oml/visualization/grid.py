"""A table of pictures with titles as one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from oml.errors import InvalidInputError, check

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL_SIZE = 1.4  # inches, both sides
GAP = 0.1  # inches between cells
LINE_HEIGHT = 0.15  # inches a line of text takes at FONT_SIZE
FONT_SIZE = 8  # points
PICTURE_SIDE = 256  # pixels: more than a cell shows on paper and on a screen, so that big photos do not stay in memory


class GridCell(NamedTuple):
    """A picture (H, W, 3) or (H, W), uint8, with its frame drawn in, and the text above it, of any number of lines."""

    picture: np.ndarray
    title: str = ""


def draw_grid(rows: Sequence[Sequence[GridCell | None]], column_titles: Sequence[str] = ()) -> Figure:
    """
    Draw rows of pictures, left-aligned, as a figure that pyplot does not know of, so nothing leaks.

    Pictures keep their aspect ratio and are shrunk to `PICTURE_SIDE`; the longest row sets the width.

    Args:
        rows: Cells of each row; None leaves a blank place, rows may differ in length. No rows give an empty figure.
        column_titles: Texts above the columns, such as "query" or "GT"; fewer than columns are fine.

    Raises:
        InvalidInputError: a picture is not uint8 of the shape (H, W, 3) or (H, W), or has no pixels.

    Example:
        >>> red = np.full((20, 30, 3), (255, 0, 0), dtype=np.uint8)
        >>> figure = draw_grid([[GridCell(red, "query"), GridCell(red, "id 7"), None, GridCell(red)]], ["", "top 1"])
        >>> [ax.get_title() for ax in figure.axes]
        ['query', 'id 7', '']

    """
    from matplotlib.figure import Figure

    n_columns = max([len(column_titles), 1, *(len(row) for row in rows)])
    header = LINE_HEIGHT * _count_lines(column_titles) + GAP
    row_heights = [
        LINE_HEIGHT * _count_lines([c.title for c in row if c is not None]) + CELL_SIZE + GAP for row in rows
    ]
    width, height = n_columns * (CELL_SIZE + GAP) + GAP, header + sum(row_heights) + GAP
    figure = Figure(figsize=(width, height))

    for column, title in enumerate(column_titles):
        x = GAP + column * (CELL_SIZE + GAP) + CELL_SIZE / 2
        figure.text(x / width, 1 - GAP / height, title, ha="center", va="top", size=FONT_SIZE, weight="bold")

    bottom = height - header
    for i_row, (row, row_height) in enumerate(zip(rows, row_heights, strict=True)):
        bottom -= row_height
        for column, cell in enumerate(row):
            if cell is None:
                continue
            left = GAP + column * (CELL_SIZE + GAP)
            ax = figure.add_axes((left / width, bottom / height, CELL_SIZE / width, CELL_SIZE / height))
            ax.imshow(_shrink(cell.picture, place=f"row {i_row}, column {column}"), cmap="gray", vmin=0, vmax=255)
            ax.set_anchor("N")  # a wide picture stays under its title
            ax.set_title(cell.title, size=FONT_SIZE, pad=2)
            ax.set_axis_off()

    return figure


def _count_lines(texts: Sequence[str]) -> int:
    return max((text.count("\n") + 1 for text in texts if text), default=0)


def _shrink(picture: np.ndarray, place: str) -> np.ndarray:
    from PIL import Image

    is_picture = picture.dtype == np.uint8 and (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3))
    check(
        is_picture,
        f"A picture must be uint8 of the shape (H, W, 3) or (H, W), got {picture.dtype} {picture.shape} at {place}: "
        f"scale it to 0..255 and convert with `.astype('uint8')`.",
    )
    if picture.size == 0:
        raise InvalidInputError(f"The picture at {place} has no pixels: its shape is {picture.shape}.")
    if max(picture.shape[:2]) <= PICTURE_SIDE:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE), reducing_gap=2.0)
    return np.asarray(image)
