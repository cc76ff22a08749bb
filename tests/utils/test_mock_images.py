from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oml.utils.dataframe_format import check_retrieval_dataframe_format
from oml.utils.download_mock_dataset import download_mock_dataset, get_mock_images_dataset
from oml.utils.io import calc_folder_hash
from oml.utils.mock_images import SIDE, generate_mock_images

TABLES = ["df.csv", "df_with_bboxes.csv", "df_with_category.csv", "df_with_sequence.csv"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mock")
    get_mock_images_dataset(folder)
    return folder


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_in_the_documented_format(root: Path, name: str) -> None:
    check_retrieval_dataframe_format(root / name, root)
    for df in get_mock_images_dataset(root, name):
        check_retrieval_dataframe_format(df, root)
        assert df.index.tolist() == list(range(len(df)))


def test_both_splits_can_be_used(root: Path) -> None:
    df_train, df_val = get_mock_images_dataset(root)
    assert set(df_train["split"]) == {"train"}
    assert set(df_val["split"]) == {"validation"}
    assert not set(df_train["label"]) & set(df_val["label"])
    assert df_train["label"].dtype == df_val["label"].dtype == np.int64
    assert (df_train["label"].value_counts() >= 2).all()
    assert df_val["is_query"].dtype == df_val["is_gallery"].dtype == bool
    assert df_val["is_query"].sum() >= 2
    kinds = set(zip(df_val["is_query"], df_val["is_gallery"], strict=True))
    assert kinds == {(True, False), (False, True), (True, True)}
    assert (root / "images" / "circle_1.jpg").exists()


def test_each_query_has_an_answer_outside_its_sequence(root: Path) -> None:
    _, df = get_mock_images_dataset(root, "df_with_sequence.csv")
    galleries = df[df["is_gallery"]]
    for query in df[df["is_query"]].itertuples():
        assert ((galleries["label"] == query.label) & (galleries["sequence"] != query.sequence)).any()
        assert (df["sequence"] == query.sequence).sum() == 2


def test_categories_allow_balanced_batches(root: Path) -> None:
    for df in get_mock_images_dataset(root, "df_with_category.csv"):
        assert not df[["label", "category"]].drop_duplicates()["label"].duplicated().any()
        assert df.groupby("category")["label"].nunique().tolist() == [2, 2]


def test_boxes_are_true(root: Path) -> None:
    """Outside its box a picture is background, and the box is tight; JPEG blurs by a few pixels and shades."""
    df = pd.concat(get_mock_images_dataset(root, "df_with_bboxes.csv", global_paths=True))
    boxed = df[df["x_1"].notna()]
    assert (len(boxed), len(df)) == (40, 48)
    for row in boxed.itertuples():
        image = np.asarray(Image.open(row.path)).astype(int)
        assert image.shape == (SIDE, SIDE, 3)
        is_figure = np.abs(image - np.median(image.reshape(-1, 3), axis=0)).max(axis=2) > 100
        ys, xs = np.nonzero(is_figure)
        found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert np.abs(found - [row.x_1, row.y_1, row.x_2, row.y_2]).max() <= 2, row.path
        assert 0 <= row.x_1 < row.x_2 <= SIDE
        assert 0 <= row.y_1 < row.y_2 <= SIDE


def test_pictures_differ(root: Path) -> None:
    pictures = {path.read_bytes() for path in (root / "images").iterdir()}
    assert len(pictures) == 48


def test_generation_is_deterministic(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        generate_mock_images(tmp_path / name)
    assert calc_folder_hash(tmp_path / "a") == calc_folder_hash(tmp_path / "b")


def test_the_older_name(root: Path) -> None:
    for ours, older in zip(
        get_mock_images_dataset(root, "df_with_category.csv", True, True),
        download_mock_dataset(root, True, "df_with_category.csv", True),
        strict=True,
    ):
        pd.testing.assert_frame_equal(ours, older)
        assert ours["path"].str.startswith(str(root)).all()
