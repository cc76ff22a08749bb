import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

import oml.datasets
from oml.const import RED
from oml.datasets import (
    ImageBaseDataset,
    ImageLabeledDataset,
    ImageQueryGalleryDataset,
    ImageQueryGalleryLabeledDataset,
)
from oml.datasets.base import DatasetQueryGallery, DatasetWithLabels
from oml.datasets.images import get_retrieval_images_datasets, parse_bboxes
from oml.errors import InvalidInputError
from oml.interfaces.datasets import IVisualizableDataset
from oml.transforms.images.torchvision import get_normalisation_torch
from tests.datasets.conftest import make_pixels

TABLES = [ImageLabeledDataset, ImageQueryGalleryDataset, ImageQueryGalleryLabeledDataset]


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (
            ImageBaseDataset,
            "paths dataset_root bboxes extra_data transform f_imread cache_size input_tensors_key index_key",
        ),
        (
            ImageLabeledDataset,
            "df extra_data dataset_root transform f_imread cache_size input_tensors_key labels_key index_key "
            "label_mapping",
        ),
        (
            ImageQueryGalleryLabeledDataset,
            "df extra_data dataset_root transform f_imread cache_size input_tensors_key labels_key index_key "
            "label_mapping",
        ),
        (
            ImageQueryGalleryDataset,
            "df extra_data dataset_root transform f_imread cache_size input_tensors_key index_key",
        ),
    ],
)
def test_order_of_parameters_is_the_documented_one(cls: type, parameters: str) -> None:
    assert list(inspect.signature(cls).parameters) == parameters.split()


@pytest.mark.parametrize("cls", TABLES)
def test_items_of_a_table_with_any_index(images_root: Path, df: pd.DataFrame, cls: type) -> None:
    df.index = [9, 9, 3, 2, 1, 0]
    dataset = cls(df, dataset_root=images_root, transform=v2.PILToTensor(), index_key="i", input_tensors_key="x")
    assert isinstance(dataset, IVisualizableDataset)
    assert (dataset.input_tensors_key, dataset.index_key, len(dataset)) == ("x", "i", 6)
    batch = next(iter(DataLoader(dataset, batch_size=6)))
    assert batch["i"].tolist() == list(range(6))
    for i in range(6):
        assert np.array_equal(batch["x"][i].permute(1, 2, 0).numpy(), make_pixels(i))
    if cls is not ImageQueryGalleryDataset:
        assert batch["labels"].tolist() == [0, 0, 1, 1, 7, 7]
        assert batch["labels"].dtype == torch.int64
    if cls is not ImageLabeledDataset:
        assert dataset.get_query_ids().tolist() == [0, 2, 3, 5]
        assert dataset.get_gallery_ids().tolist() == [0, 1, 3, 4, 5]


@pytest.mark.parametrize("cls", TABLES)
def test_boxes_of_a_table(images_root: Path, df: pd.DataFrame, cls: type) -> None:
    nan = float("nan")
    boxed = df.assign(x_1=[2.0, nan] * 3, x_2=[10.0, nan] * 3, y_1=[3.0, nan] * 3, y_2=[9.0, nan] * 3)
    dataset = cls(boxed, dataset_root=images_root, transform=v2.PILToTensor())
    assert np.array_equal(dataset[0]["input_tensors"].permute(1, 2, 0).numpy(), make_pixels(0)[3:9, 2:10])
    assert np.array_equal(dataset[1]["input_tensors"].permute(1, 2, 0).numpy(), make_pixels(1))
    assert (dataset.visualize(0, RED)[3, 2:10] == RED).all()
    assert (dataset.visualize(0, RED)[2] == make_pixels(0)[2]).all()
    assert (dataset.visualize(1)[0] == 0).all()
    with pytest.raises(ValueError, match="or none, the table has only x_1, x_2, y_1"):
        cls(boxed.drop(columns="y_2"), dataset_root=images_root)


def test_parse_bboxes(df: pd.DataFrame) -> None:
    nan = float("nan")
    boxes = {"x_1": [0.0, nan], "y_1": [1.0, nan], "x_2": [2.0, nan], "y_2": [3.0, nan]}
    assert parse_bboxes(df.iloc[:2].assign(**boxes)) == [(0, 1, 2, 3), None]
    assert parse_bboxes(df) is None
    with pytest.raises(ValueError, match="or none, the table has only x_1"):
        parse_bboxes(df.assign(x_1=1))


@pytest.mark.parametrize("cls", TABLES)
def test_missing_path_column(df: pd.DataFrame, cls: type) -> None:
    with pytest.raises(AssertionError, match="lacks the columns path"):
        cls(df.drop(columns="path"))


def test_single_query_and_gallery(images_root: Path, df: pd.DataFrame) -> None:
    single = df.iloc[:2].assign(is_query=[True, False], is_gallery=[False, True])
    dataset = ImageQueryGalleryLabeledDataset(single, dataset_root=images_root)
    assert dataset.get_query_ids().shape == dataset.get_gallery_ids().shape == (1,)


def test_category_sequence_and_extra_data(images_root: Path, df: pd.DataFrame) -> None:
    df = df.assign(category=["cat", "cat", "dog", "dog", None, None], sequence=list("aabbcd"))
    dataset = ImageQueryGalleryLabeledDataset(df, {"weight": np.arange(6)}, images_root)
    batch = next(iter(DataLoader(dataset, batch_size=6)))
    assert batch["category"] == ["cat", "cat", "dog", "dog", "nan", "nan"]
    assert batch["sequence"] == list("aabbcd")
    assert batch["weight"].tolist() == list(range(6))
    assert dataset.get_label2category() == {0: "cat", 1: "dog", 7: "nan"}


def test_old_names(images_root: Path, df: pd.DataFrame) -> None:
    train, val = DatasetWithLabels(df, dataset_root=images_root), DatasetQueryGallery(df, dataset_root=images_root)
    assert isinstance(train, ImageLabeledDataset)
    assert isinstance(val, ImageQueryGalleryLabeledDataset)
    assert train[0]["labels"] == val[0]["labels"] == 0


def write_table(root: Path, name: str = "df.csv") -> None:
    pd.DataFrame(
        {
            "label": [40, 7, 40, 7, 40, 40],
            "path": [f"images/{i}.png" for i in range(6)],
            "split": ["validation", "train", "train", "train", "validation", "validation"],
            "is_query": [True, None, None, None, False, True],
            "is_gallery": [False, None, None, None, True, True],
        }
    ).to_csv(root / name, index=False)


def test_retrieval_datasets_of_a_file(images_root: Path) -> None:
    write_table(images_root, "table.csv")
    transform_train, transform_val = get_normalisation_torch(), v2.PILToTensor()
    train, val = get_retrieval_images_datasets(
        images_root, transform_train, transform_val, dataframe_name="table.csv", cache_size=3, verbose=False
    )
    assert isinstance(train, ImageLabeledDataset)
    assert isinstance(val, ImageQueryGalleryLabeledDataset)
    assert train.get_labels().tolist() == [0, 1, 0]  # 7 appears first
    assert val.get_labels().tolist() == [40, 40, 40]
    assert val.get_query_ids().tolist() == [0, 2]
    assert val.get_gallery_ids().tolist() == [1, 2]
    assert train.df.index.tolist() == val.df.index.tolist() == [0, 1, 2]
    assert np.array_equal(val[1]["input_tensors"].permute(1, 2, 0).numpy(), make_pixels(4))
    torch.testing.assert_close(train[0]["input_tensors"], transform_train(make_pixels(1)))


def test_retrieval_datasets_of_one_split(images_root: Path, df: pd.DataFrame) -> None:
    df.assign(is_query=None, is_gallery=None).to_csv(images_root / "df.csv", index=False)
    train, val = get_retrieval_images_datasets(images_root, None, None)
    assert (len(train), len(val)) == (6, 0)
    assert train.get_labels().tolist() == [0, 0, 1, 1, 2, 2]


def test_retrieval_datasets_check_the_table(images_root: Path, df: pd.DataFrame) -> None:
    df.drop(columns="split").to_csv(images_root / "df.csv", index=False)
    with pytest.raises(InvalidInputError, match="split"):
        get_retrieval_images_datasets(images_root, None, None)
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        get_retrieval_images_datasets(images_root, None, None, dataframe_name="none.csv")


def test_names_of_the_package() -> None:
    for name in oml.datasets.__all__:
        assert getattr(oml.datasets, name).__name__ == name
    assert set(oml.datasets.__all__) <= set(dir(oml.datasets))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        oml.datasets.Nothing  # noqa: B018


def test_pairs_need_no_tables_and_images_need_no_torchvision() -> None:
    code = (
        "import sys; from oml.datasets import PairDataset; assert 'pandas' not in sys.modules; "
        "from oml.datasets import ImageLabeledDataset; assert not {'torchvision', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
