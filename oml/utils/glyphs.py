"""Glyphs: letters of five scripts in sixteen fonts, a real retrieval data set that needs no download."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from oml.const import GLYPHS_DATASET_PATH, MOCK_DATASET_DEFAULT_CSV
from oml.utils.generated_datasets import GeneratedDataset, get_generated_dataset

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN")
REFERENCE_FONT = "DejaVuSans"
FONT_FAMILIES = ("DejaVuSansMono", "DejaVuSans", "DejaVuSerif", "STIXGeneral")  # a longer name before its beginning
MIN_FONTS = 12
SIDE = 32  # pixels
FONT_SIZE = 24  # pixels: the tallest letters just fit
SPLIT_SEED = 0


class Font(NamedTuple):
    """A font file that comes with matplotlib, the family it belongs to and the letters that it can draw."""

    name: str
    family: str
    letters: frozenset[str]
    path: Path


def get_glyphs_dataset(
    dataset_root: Path | str = GLYPHS_DATASET_PATH,
    df_name: str = MOCK_DATASET_DEFAULT_CSV,
    check_md5: bool = True,
    global_paths: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Give the tables (train, validation) of about 19,000 pictures of letters, which are drawn first if not there yet.

    A picture is one letter in one of the text fonts of matplotlib (DejaVu and STIX): 32 x 32 pixels, black on white.
    Label: the letter, where letters that look identical in DejaVu Sans share one label. Category: the script. The
    labels are split in halves, so letters at validation have not been seen in training; there each picture is a query
    and a gallery (1 vs rest). Drawing takes a few seconds; the pictures are kept for the next time.

    Args:
        dataset_root: The folder of the data set; by default in the cache folder.
        df_name: `df.csv`, or `df_with_sequence.csv`, which adds the font's family as the sequence: then pictures of
            the query's own family do not count as answers, which is harder.
        check_md5: Whether to check all files by their hashes, and to draw the set again if one is damaged. If a file is
            missing, that is done anyway.
        global_paths: Whether to put `dataset_root` before the paths of the tables.

    Raises:
        ValueError: `df_name` is not one of the two.
        OSError: the folder cannot be written.
        FileExistsError: the folder holds other files with the names of the data set's files.

    """
    return get_generated_dataset(GLYPHS, dataset_root, df_name, check_md5, global_paths)


def draw_glyphs(folder: Path) -> None:
    """Draw all pictures into `folder/images` and write both tables beside them."""
    import numpy as np
    from PIL import ImageFont

    fonts = find_fonts()
    letters = choose_letters(fonts)
    reference = next(font for font in fonts if font.name == REFERENCE_FONT)
    labels = group_look_alikes(letters, ImageFont.truetype(reference.path, FONT_SIZE))
    n_labels = max(labels.values()) + 1
    is_train = np.random.RandomState(SPLIT_SEED).permutation(n_labels) < n_labels // 2
    categories: dict[int, str] = {}
    for letter, label in labels.items():
        categories.setdefault(label, get_script(letter))

    (folder / "images").mkdir(parents=True)
    rows = []
    for font in fonts:
        pen = ImageFont.truetype(font.path, FONT_SIZE)
        for letter in (letter for letter in letters if letter in font.letters):
            path = f"images/{ord(letter):04x}_{font.name}.png"
            draw_glyph(letter, pen).save(folder / path)
            label = labels[letter]
            rows.append((label, "train" if is_train[label] else "validation", path, categories[label], font.family))

    df = pd.DataFrame(rows, columns=["label", "split", "path", "category", "sequence"])
    is_validation = df["split"] == "validation"
    for column in ("is_query", "is_gallery"):
        df[column] = is_validation.astype(object).where(is_validation, None)
    df.drop(columns="sequence").to_csv(folder / "df.csv", index=False)
    df.to_csv(folder / "df_with_sequence.csv", index=False)


def find_fonts() -> list[Font]:
    """Give the text fonts that matplotlib brings, in the order of their names."""
    import matplotlib as mpl
    from matplotlib.ft2font import FT2Font

    fonts = []
    for path in sorted(Path(mpl.get_data_path(), "fonts", "ttf").glob("*.ttf")):
        family = next((family for family in FONT_FAMILIES if path.stem.startswith(family)), None)
        if family is not None and "Display" not in path.stem:
            letters = frozenset(map(chr, FT2Font(str(path)).get_charmap()))
            fonts.append(Font(path.stem, family, letters, path))
    return fonts


def get_script(letter: str) -> str:
    """
    Give the script of a letter as Unicode names it, e.g. `Greek`.

    Example:
        >>> get_script("λ")
        'Greek'

    """
    return unicodedata.name(letter, "UNKNOWN").split()[0].capitalize()


def choose_letters(fonts: list[Font]) -> list[str]:
    """Give the letters of the scripts that enough of the fonts can draw, in the order of Unicode."""

    def find() -> Iterator[str]:
        for letter in frozenset().union(*(font.letters for font in fonts)):
            is_letter = unicodedata.category(letter).startswith("L") and get_script(letter).upper() in SCRIPTS
            if is_letter and sum(letter in font.letters for font in fonts) >= MIN_FONTS:
                yield letter

    return sorted(find())


def group_look_alikes(letters: list[str], pen: "FreeTypeFont") -> dict[str, int]:
    """Give each letter a label out of 0, 1, 2, ...; letters that the font draws with the same pixels share it."""
    labels_of_pictures: dict[bytes, int] = {}
    return {
        letter: labels_of_pictures.setdefault(draw_glyph(letter, pen).tobytes(), len(labels_of_pictures))
        for letter in letters
    }


def draw_glyph(letter: str, pen: "FreeTypeFont") -> "Image":
    """Draw the letter in black in the middle of a white square."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = pen.getbbox(letter)
    picture = Image.new("L", (SIDE, SIDE), color=255)
    corner = ((SIDE - (right - left)) / 2 - left, (SIDE - (bottom - top)) / 2 - top)
    ImageDraw.Draw(picture).text(corner, letter, font=pen, fill=0)
    return picture


GLYPHS = GeneratedDataset(name="glyphs 1", tables=("df.csv", "df_with_sequence.csv"), generate=draw_glyphs)
