"""Tables of images, in the documented format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oml.const import INDEX_KEY, INPUT_TENSORS_KEY, LABELS_KEY, PATHS_COLUMN, TBBox
from oml.datasets.dataframe import DFLabeledDataset, DFQueryGalleryDataset, DFQueryGalleryLabeledDataset, DrawnTable
from oml.datasets.image_items import ImageBaseDataset, TExtraData, TPath
from oml.datasets.table import check_bboxes, check_columns, read_bboxes
from oml.transforms.images.utils import TTransforms
from oml.utils.images.images import TImReader
from oml.utils.labels import LabelMapping

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ImageBaseDataset",
    "ImageLabeledDataset",
    "ImageQueryGalleryDataset",
    "ImageQueryGalleryLabeledDataset",
    "get_retrieval_images_datasets",
    "parse_bboxes",
]


class ImageLabeledDataset(DrawnTable, DFLabeledDataset):
    """
    Images with labels, for training.

    Args:
        df: A table with the columns `path` and `label`; `x_1`, `x_2`, `y_1`, `y_2`, `category`, `sequence` if any.
        extra_data: As for `ImageBaseDataset`, and so are the other arguments.
        dataset_root: The folder that relative paths start at.
        transform: Any callable that takes an image; None only normalises.
        f_imread: The reader of a file; None takes what fits the transform.
        cache_size: How many files' contents are kept in memory.
        input_tensors_key: The key of the transformed image in items.
        labels_key: The key of the label in items, which is np.int64.
        index_key: The key of the position in items.
        label_mapping: As for `DFLabeledDataset`.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `ImageBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        extra_data: TExtraData | None = None,
        dataset_root: TPath | None = None,
        transform: TTransforms | None = None,
        f_imread: TImReader | None = None,
        cache_size: int = 0,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        labels_key: str = LABELS_KEY,
        index_key: str = INDEX_KEY,
        label_mapping: LabelMapping | None = None,
    ):
        images = _read_images(df, dataset_root, transform, f_imread, cache_size, input_tensors_key, index_key)
        super().__init__(images, df, extra_data, labels_key, label_mapping)


class ImageQueryGalleryLabeledDataset(DrawnTable, DFQueryGalleryLabeledDataset):
    """
    Images with labels, queries and galleries, for validation.

    Args:
        df: A table with the columns `path`, `label`, `is_query` and `is_gallery`, and the optional ones.
        extra_data: This and all other arguments are those of `ImageLabeledDataset`.
        dataset_root: The folder that relative paths start at.
        transform: Any callable that takes an image; None only normalises.
        f_imread: The reader of a file; None takes what fits the transform.
        cache_size: How many files' contents are kept in memory.
        input_tensors_key: The key of the transformed image in items.
        labels_key: The key of the label in items.
        index_key: The key of the position in items.
        label_mapping: As for `DFLabeledDataset`.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `ImageBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        extra_data: TExtraData | None = None,
        dataset_root: TPath | None = None,
        transform: TTransforms | None = None,
        f_imread: TImReader | None = None,
        cache_size: int = 0,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        labels_key: str = LABELS_KEY,
        index_key: str = INDEX_KEY,
        label_mapping: LabelMapping | None = None,
    ):
        images = _read_images(df, dataset_root, transform, f_imread, cache_size, input_tensors_key, index_key)
        super().__init__(images, df, extra_data, labels_key, label_mapping)


class ImageQueryGalleryDataset(DrawnTable, DFQueryGalleryDataset):
    """
    Images that are queries or galleries, for prediction: no labels needed.

    Args:
        df: A table with the columns `path`, `is_query` and `is_gallery`, and the optional ones.
        extra_data: This and all other arguments are those of `ImageLabeledDataset`.
        dataset_root: The folder that relative paths start at.
        transform: Any callable that takes an image; None only normalises.
        f_imread: The reader of a file; None takes what fits the transform.
        cache_size: How many files' contents are kept in memory.
        input_tensors_key: The key of the transformed image in items.
        index_key: The key of the position in items.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `ImageBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        extra_data: TExtraData | None = None,
        dataset_root: TPath | None = None,
        transform: TTransforms | None = None,
        f_imread: TImReader | None = None,
        cache_size: int = 0,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
    ):
        images = _read_images(df, dataset_root, transform, f_imread, cache_size, input_tensors_key, index_key)
        super().__init__(images, df, extra_data)


def parse_bboxes(df: pd.DataFrame) -> list[TBBox | None] | None:
    """
    Give the boxes of a table as left, top, right, bottom for each row, None for a row with four empty cells.

    None if the table has no box columns.

    Raises:
        InvalidInputError: some of the columns `x_1`, `x_2`, `y_1`, `y_2` are missing, or a box is wrong.

    """
    values = read_bboxes(df)
    if values is None:
        return None
    return [(x1, y1, x2, y2) if x1 < x2 else None for x1, y1, x2, y2 in check_bboxes(values).tolist()]


def _read_images(
    df: pd.DataFrame,
    dataset_root: TPath | None,
    transform: TTransforms | None,
    f_imread: TImReader | None,
    cache_size: int,
    input_tensors_key: str,
    index_key: str,
) -> ImageBaseDataset:
    check_columns(df, [PATHS_COLUMN])
    return ImageBaseDataset(
        paths=df[PATHS_COLUMN],
        dataset_root=dataset_root,
        bboxes=read_bboxes(df),
        transform=transform,
        f_imread=f_imread,
        cache_size=cache_size,
        input_tensors_key=input_tensors_key,
        index_key=index_key,
    )


def get_retrieval_images_datasets(
    dataset_root: TPath,
    transforms_train: TTransforms,
    transforms_val: TTransforms,
    f_imread_train: TImReader | None = None,
    f_imread_val: TImReader | None = None,
    dataframe_name: str = "df.csv",
    cache_size: int = 0,
    verbose: bool = True,
    allow_outside_root: bool = False,
) -> tuple[ImageLabeledDataset, ImageQueryGalleryLabeledDataset]:
    """
    Read a table in the documented format from a file, check it, and give the datasets for training and validation.

    It is `oml.datasets.get_retrieval_datasets` for images; see there what becomes of labels and missing splits.

    Args:
        dataset_root: The folder of the table, and of the images if their paths are relative.
        transforms_train: The transform for training.
        transforms_val: The transform for validation.
        f_imread_train: The reader of files for training; None takes what fits the transform.
        f_imread_val: The reader of files for validation; None takes what fits the transform.
        dataframe_name: The name of the table: a csv file with commas, or a parquet file.
        cache_size: How many files' contents each of the two datasets keeps in memory.
        verbose: Whether to warn about what is allowed but suspect.
        allow_outside_root: Whether paths may lead out of the folder.

    Raises:
        FileNotFoundError: there is no such table.
        InvalidInputError: the table breaks a rule of the format.

    """
    from oml.datasets.retrieval import get_retrieval_datasets

    return get_retrieval_datasets(
        "images",
        Path(dataset_root) / dataframe_name,
        dataset_root=dataset_root,
        train={"transform": transforms_train, "f_imread": f_imread_train},
        val={"transform": transforms_val, "f_imread": f_imread_val},
        verbose=verbose,
        allow_outside_root=allow_outside_root,
        cache_size=cache_size,
    )
