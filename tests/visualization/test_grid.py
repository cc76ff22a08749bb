import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from oml.errors import InvalidInputError
from oml.visualization.grid import CELL_SIZE, GAP, PICTURE_SIDE, GridCell, draw_grid


def make_picture(height: int, width: int, value: int = 7) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_titles_and_pictures_land_in_reading_order() -> None:
    rows = [[GridCell(make_picture(8, 8, 10 * r + c), f"{r}-{c}") for c in range(3)] for r in range(2)]
    figure = draw_grid(rows, column_titles=["query", "", "GT"])

    assert [ax.get_title() for ax in figure.axes] == ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]
    assert [int(ax.images[0].get_array()[0, 0, 0]) for ax in figure.axes] == [0, 1, 2, 10, 11, 12]
    assert [t.get_text() for t in figure.texts] == ["query", "", "GT"]
    x0 = [ax.get_position().x0 for ax in figure.axes]
    y0 = [ax.get_position().y0 for ax in figure.axes]
    assert x0[0] < x0[1] < x0[2]
    assert x0[:3] == x0[3:]
    assert y0[0] == y0[2] > y0[3] == y0[5] > 0


def test_blank_places_and_short_rows_keep_columns() -> None:
    cell = GridCell(make_picture(4, 4), "x")
    figure = draw_grid([[cell, None, cell], [cell]])
    assert len(figure.axes) == 3
    assert figure.get_size_inches()[0] == pytest.approx(3 * (CELL_SIZE + GAP) + GAP)


@pytest.mark.parametrize("rows", [[], [[]], [[None]]])
def test_nothing_to_draw_gives_an_empty_figure(rows: list) -> None:
    figure = draw_grid(rows)
    assert figure.axes == []
    figure.canvas.draw()


def test_titles_do_not_cover_pictures() -> None:
    cell = GridCell(make_picture(9, 9), "id 12345\n0.123")
    figure = draw_grid([[cell, cell], [cell, cell]], column_titles=["query", "GT"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # lays the texts out
    renderer = canvas.get_renderer()
    titles = [ax.title.get_window_extent(renderer).padded(-0.5) for ax in figure.axes]  # they may touch
    pictures = [ax.get_window_extent(renderer) for ax in figure.axes]
    assert not any(t.overlaps(p) for t in titles for p in pictures)
    assert not any(t.overlaps(h.get_window_extent(renderer)) for t in titles for h in figure.texts)
    assert not titles[0].overlaps(titles[1])
    assert titles[0].y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    ("shape", "expected"), [((1024, 512, 3), (PICTURE_SIDE, PICTURE_SIDE // 2, 3)), ((5, 7), (5, 7))]
)
def test_big_pictures_are_shrunk_and_small_ones_kept(shape: tuple, expected: tuple) -> None:
    figure = draw_grid([[GridCell(np.zeros(shape, dtype=np.uint8))]])
    assert figure.axes[0].images[0].get_array().shape == expected


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((2, 2, 3)), r"uint8.*got float64 \(2, 2, 3\) at row 0, column 1"),
        (np.zeros((3, 2, 2), dtype=np.uint8), r"got uint8 \(3, 2, 2\)"),
        (np.zeros((0, 2, 3), dtype=np.uint8), r"row 0, column 1 has no pixels: its shape is \(0, 2, 3\)"),
    ],
)
def test_pictures_of_another_kind_are_refused(picture: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        draw_grid([[None, GridCell(picture)]])


def test_pyplot_is_not_touched() -> None:
    code = (
        "import sys, numpy as np; from oml.visualization.grid import GridCell, draw_grid; "
        "assert 'matplotlib' not in sys.modules; "
        "draw_grid([[GridCell(np.zeros((2, 2, 3), dtype=np.uint8))]]); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
