"""A small data set of pictures of figures, drawn with Pillow: the same on every machine."""

from collections.abc import Iterator
from math import cos, pi, sin
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from oml.const import BBOXES_COLUMNS, BLUE, GREEN, RED, TBBox, TColor
from oml.utils.generated_datasets import GeneratedDataset

if TYPE_CHECKING:
    from PIL.Image import Image

Outline = tuple[tuple[float, float], ...]  # corners of a polygon inside the unit circle, y pointing down

SIDE = 128  # pixels
OVERSAMPLING = 4  # pictures are drawn this many times larger, for smooth edges
RADII = (22, 40)  # pixels
MAX_TURN = pi / 12
COLORS: tuple[TColor, ...] = (RED, GREEN, BLUE, (255, 150, 0), (150, 0, 200), (0, 170, 170))
BACKGROUNDS: tuple[TColor, ...] = ((255, 255, 255), (235, 235, 215), (215, 225, 240))  # one for each sequence
N_IN_SEQUENCE = 2
N_PICTURES = N_IN_SEQUENCE * len(BACKGROUNDS)  # of each figure


class Figure(NamedTuple):
    """A figure: its category, its split, its outline and, where it has one, the outline of a hole."""

    category: str
    split: str
    outline: Outline
    hole: Outline = ()


class Picture(NamedTuple):
    """A drawn figure and the tight box (left, top, right, bottom) around it, in pixels."""

    image: "Image"
    bbox: TBBox


def _star(n_corners: int, inner_radius: float = 1.0) -> Outline:
    """Give a star whose inner corners are so near to the centre; or, at 1, a regular polygon of twice the corners."""
    angles = (-pi / 2 + i * pi / n_corners for i in range(2 * n_corners))
    radii = (1.0, inner_radius) * n_corners
    return tuple((r * cos(a), r * sin(a)) for r, a in zip(radii, angles, strict=True))


def _scale(outline: Outline, factor: float, shift: float = 0.0) -> Outline:
    return tuple((x * factor + shift, y * factor) for x, y in outline)


def _heart() -> Outline:
    angles = (2 * pi * i / 72 for i in range(72))
    return tuple((sin(a) ** 3, -(13 * cos(a) - 5 * cos(2 * a) - 2 * cos(3 * a) - cos(4 * a)) / 17) for a in angles)


_CIRCLE = _star(36)
_CROSS_HALF: Outline = ((-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1))
FIGURES = {
    "circle": Figure("curved", "train", _CIRCLE),
    "ring": Figure("curved", "train", _CIRCLE, hole=_scale(_CIRCLE, 0.55)),
    "square": Figure("angular", "train", ((-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7))),
    "triangle": Figure("angular", "train", _star(3, 0.5)),
    "heart": Figure("curved", "validation", _scale(_heart(), 0.95)),
    "crescent": Figure("curved", "validation", _CIRCLE, hole=_scale(_CIRCLE, 0.8, shift=0.45)),
    "star": Figure("angular", "validation", _star(5, 0.4)),
    "cross": Figure("angular", "validation", _scale(_CROSS_HALF, 0.3) + _scale(_CROSS_HALF, -0.3)),
}


def draw_figure(figure: Figure, color: TColor, background: TColor, rng: Random) -> Picture:
    """Draw a figure (128 x 128, RGB) of a random size, turn and place, completely inside the picture."""
    from PIL import Image, ImageDraw

    radius, turn = rng.uniform(*RADII), rng.uniform(-MAX_TURN, MAX_TURN)
    cx, cy = (rng.uniform(radius, SIDE - radius) for _ in range(2))
    mask = Image.new("L", (SIDE * OVERSAMPLING, SIDE * OVERSAMPLING))
    for outline, value in ((figure.outline, 255), (figure.hole, 0)):
        turned = ((x * cos(turn) - y * sin(turn), x * sin(turn) + y * cos(turn)) for x, y in outline)
        corners = [(OVERSAMPLING * (cx + radius * x), OVERSAMPLING * (cy + radius * y)) for x, y in turned]
        if corners:
            ImageDraw.Draw(mask).polygon(corners, fill=value)
    mask = mask.resize((SIDE, SIDE), Image.Resampling.BOX)
    image = Image.new("RGB", (SIDE, SIDE), background)
    image.paste(color, mask=mask)
    bbox = mask.point([255 * (v >= 128) for v in range(256)]).getbbox()
    assert bbox is not None
    return Picture(image, bbox)


def generate_mock_images(folder: Path) -> None:
    """Draw all pictures into `folder/images` and write the tables beside them."""
    (folder / "images").mkdir()
    df = pd.DataFrame(list(_draw_rows(folder)))
    df = df.astype(dict.fromkeys(BBOXES_COLUMNS, "Int64"))
    basic = ["label", "path", "split", "is_query", "is_gallery"]
    for name, columns in _TABLES.items():
        df[basic + columns].to_csv(folder / name, index=False)


def _draw_rows(folder: Path) -> Iterator[dict[str, object]]:
    for label, (name, figure) in enumerate(FIGURES.items()):
        for i in range(N_PICTURES):
            n_sequence = i // N_IN_SEQUENCE
            color = COLORS[(label + i) % len(COLORS)]
            image, bbox = draw_figure(figure, color, BACKGROUNDS[n_sequence], Random(f"{name} {i}"))
            path = f"images/{name}_{i + 1}.jpg"
            image.save(folder / path, quality=95)
            is_val = figure.split == "validation"
            left, top, right, bottom = bbox if i + 1 < N_PICTURES else (None,) * 4  # the last one is left without a box
            yield {
                "label": label,
                "path": path,
                "split": figure.split,
                # the first sequence of a figure: queries only, the second: both, the last: galleries only
                "is_query": n_sequence < len(BACKGROUNDS) - 1 if is_val else None,
                "is_gallery": n_sequence > 0 if is_val else None,
                "category": figure.category,
                "sequence": f"{name}_{n_sequence + 1}",
                "x_1": left,
                "x_2": right,
                "y_1": top,
                "y_2": bottom,
            }


_TABLES: dict[str, list[str]] = {
    "df.csv": [],
    "df_with_bboxes.csv": BBOXES_COLUMNS,
    "df_with_category.csv": ["category"],
    "df_with_sequence.csv": ["sequence"],
}
MOCK_IMAGES = GeneratedDataset("mock images 1", tuple(_TABLES), generate_mock_images)
