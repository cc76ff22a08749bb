import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFont

from oml.utils import get_glyphs_dataset
from oml.utils.dataframe_format import check_retrieval_dataframe_format
from oml.utils.glyphs import MIN_FONTS, REFERENCE_FONT, SIDE, choose_letters, draw_glyph, find_fonts, group_look_alikes


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glyphs")
    get_glyphs_dataset(folder)
    return folder


@pytest.mark.parametrize("df_name", ["df.csv", "df_with_sequence.csv"])
def test_tables_keep_the_format(root, df_name):
    check_retrieval_dataframe_format(root / df_name, dataset_root=root)


def test_size_and_split(root):
    df_train, df_val = get_glyphs_dataset(root)
    n_labels = df_train["label"].nunique() + df_val["label"].nunique()
    assert n_labels == pytest.approx(1230, rel=0.05)
    assert len(df_train) + len(df_val) == pytest.approx(18500, rel=0.05)
    assert set(df_train["label"]).isdisjoint(df_val["label"])
    assert abs(df_train["label"].nunique() - df_val["label"].nunique()) <= 1
    assert df_val["is_query"].all()
    assert df_val["is_gallery"].all()
    assert set(df_val["category"]) == {"Latin", "Greek", "Cyrillic", "Armenian", "Georgian"}
    assert pd.concat([df_train, df_val]).groupby("label")["category"].nunique().max() == 1


def test_each_query_has_an_answer_in_another_family(root):
    _, df_val = get_glyphs_dataset(root, df_name="df_with_sequence.csv")
    assert set(df_val["sequence"]) == {"DejaVuSans", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral"}
    assert df_val.groupby("label")["sequence"].nunique().min() >= 2


def test_pictures_are_whole_letters(root):
    df_train, _ = get_glyphs_dataset(root, global_paths=True)
    for path in df_train["path"].sample(200, random_state=0):
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
        assert pixels.shape == (SIDE, SIDE)
        assert pixels.min() < 100


def test_every_letter_is_in_enough_fonts():
    fonts = find_fonts()
    assert len(fonts) == 16
    letters = choose_letters(fonts)
    assert min(sum(letter in font.letters for font in fonts) for letter in letters) == MIN_FONTS
    assert "a" in letters
    assert "7" not in letters


def test_letters_that_look_the_same_share_a_label():
    reference = next(font for font in find_fonts() if font.name == REFERENCE_FONT)
    labels = group_look_alikes(["A", "B", "Α", "А", "a", "б"], ImageFont.truetype(reference.path, 24))
    assert labels == {"A": 0, "B": 1, "Α": 0, "А": 0, "a": 2, "б": 3}


def test_drawing_is_deterministic_and_centred():
    reference = next(font for font in find_fonts() if font.name == REFERENCE_FONT)
    pen = ImageFont.truetype(reference.path, 24)
    assert draw_glyph("o", pen).tobytes() == draw_glyph("o", pen).tobytes()
    ink = np.argwhere(np.asarray(draw_glyph("o", pen)) < 128)
    np.testing.assert_allclose((ink.min(0) + ink.max(0)) / 2, (SIDE - 1) / 2, atol=1)
