"""
A table over any dataset of model inputs: the part of the datasets that does not depend on the modality.

The base dataset gives the inputs, the table gives labels (for training), queries and galleries (for prediction), or
both (for validation). Columns `category` and `sequence` join `extra_data`, so batches have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import LongTensor

from oml.const import (
    BLACK,
    CATEGORIES_COLUMN,
    IS_GALLERY_COLUMN,
    IS_QUERY_COLUMN,
    LABELS_COLUMN,
    LABELS_KEY,
    SEQUENCE_COLUMN,
    TColor,
)
from oml.datasets.items import add_extra_data, check_extra_data, check_position
from oml.datasets.labels import SeveralLabels, read_labels_of_any_kind
from oml.datasets.table import check_columns, read_flags, read_labels, read_values
from oml.errors import InvalidInputError, check, show_some
from oml.interfaces.datasets import (
    IBaseDataset,
    IHTMLVisualizableDataset,
    ILabeledDataset,
    IQueryGalleryDataset,
    IQueryGalleryLabeledDataset,
    IVisualizableDataset,
)
from oml.utils.labels import LabelMapping

if TYPE_CHECKING:
    import pandas as pd

TExtraData = Mapping[str, Any]  # sequences of any type: lists, arrays, tensors, pandas Series


def update_extra_data(
    dataset: IBaseDataset, df: pd.DataFrame, extra_data: TExtraData | None
) -> dict[str, Sequence[Any]]:
    """
    Give the records of a table over a dataset: the dataset's own, the given ones, and `category` and `sequence`.

    A given record of the name `category` or `sequence` is taken instead of the column. Nothing is changed in place.

    Raises:
        InvalidInputError: a record has another length than the dataset, or a key that its items have already.

    """
    own = getattr(dataset, "extra_data", None) or {}
    given = check_extra_data(extra_data, len(dataset), [dataset.input_tensors_key, dataset.index_key, *own])
    columns = [name for name in (CATEGORIES_COLUMN, SEQUENCE_COLUMN) if name in df.columns]
    return {**own, **{name: read_values(df, name) for name in columns if name not in own}, **given}


def build_label2category(
    df: pd.DataFrame, labels: np.ndarray | SeveralLabels | None = None
) -> dict[int, str | int] | None:
    """
    Give the category of each label of a table, or None if it has no column `category`.

    A label with several categories has the last one.

    Args:
        df: The table.
        labels: The labels of its rows as integers; those of the table by default, which must be integers then.

    Raises:
        InvalidInputError: the table has no labels, or they are not integers.

    """
    if CATEGORIES_COLUMN not in df.columns:
        return None
    given = read_labels(df) if labels is None else labels
    categories = read_values(df, CATEGORIES_COLUMN)
    if isinstance(given, SeveralLabels):
        categories = np.repeat(categories, np.diff(given.offsets))
        given = given.values
    known, last_from_end = np.unique(given[::-1], return_index=True)
    return dict(zip(known.tolist(), categories[::-1][last_from_end].tolist(), strict=True))


class _TableDataset(IBaseDataset):
    """Items of a base dataset, with a value of each record added."""

    def __init__(self, dataset: IBaseDataset, df: pd.DataFrame, extra_data: TExtraData | None):
        check(
            len(dataset) == len(df),
            f"The table must have a row for each item: it has {len(df)} rows, the dataset has {len(dataset)} items.",
        )
        self.dataset = dataset
        self.df = df
        self.index_key = dataset.index_key
        self.input_tensors_key = dataset.input_tensors_key
        self.extra_data = update_extra_data(dataset, df, extra_data)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> dict[str, Any]:
        position = check_position(item, len(self))
        return self._complete(self.dataset[position], position)

    def __getitems__(self, items: Sequence[int]) -> list[dict[str, Any]]:
        """Give several items, together where the base dataset can read them so; loaders of torch ask for it."""
        read = getattr(self.dataset, "__getitems__", None)
        if read is None or type(self).__getitem__ is not _TableDataset.__getitem__:  # a subclass changes its items
            return [self[item] for item in items]
        positions = [check_position(item, len(self)) for item in items]
        return [self._complete(values, i) for values, i in zip(read(positions), positions, strict=True)]

    def _complete(self, base_item: Mapping[str, Any], position: int) -> dict[str, Any]:
        values = dict(base_item)
        if not self.extra_data:
            return values
        inherited = getattr(self.dataset, "extra_data", None) or {}
        own = {key: record for key, record in self.extra_data.items() if key not in inherited}
        add_extra_data(values, position, own)
        return values


class _WithLabels(_TableDataset, ILabeledDataset):
    """The view of a table that training needs."""

    label_mapping: LabelMapping | None  # what the integers stand for; None where the table has integers

    def _read_labels(self, labels_key: str, label_mapping: LabelMapping | None) -> None:
        self.labels_key = labels_key
        self._labels, self.label_mapping = read_labels_of_any_kind(self.df, label_mapping)
        taken = [self.input_tensors_key, self.index_key, *self.extra_data]
        check(labels_key not in taken, f"`labels_key` is {labels_key!r}, but items have that key already: {taken}.")

    def _complete(self, base_item: Mapping[str, Any], position: int) -> dict[str, Any]:
        values = super()._complete(base_item, position)
        values[self.labels_key] = self._labels[position]
        return values

    def get_labels(self) -> np.ndarray:
        """Give the labels (N,), int64, as a copy; multi-hot (N, L), bool, where items have several."""
        return self._labels.to_multi_hot() if isinstance(self._labels, SeveralLabels) else self._labels.copy()

    def get_label2category(self) -> dict[int, str | int] | None:
        """
        Give the category of each label, or None if the table has no column `category`.

        A label with several categories has the last one.
        """
        return build_label2category(self.df, self._labels)


class _WithQueryGallery(_TableDataset, IQueryGalleryDataset):
    """The view of a table that prediction needs."""

    def _read_query_gallery(self) -> None:
        self._query_ids = np.flatnonzero(read_flags(self.df, IS_QUERY_COLUMN))
        self._gallery_ids = np.flatnonzero(read_flags(self.df, IS_GALLERY_COLUMN))
        if SEQUENCE_COLUMN in self.df.columns:
            rows = np.flatnonzero(self.df[SEQUENCE_COLUMN].isna().to_numpy())
            if len(rows):
                raise InvalidInputError(
                    f"Column {SEQUENCE_COLUMN!r} has no value in {len(rows)} rows (positions {show_some(rows)}): they "
                    "would count as one sequence, whose items do not find each other. Name each differently."
                )

    def get_query_ids(self) -> LongTensor:
        """Give the positions of the queries, (Q,)."""
        return torch.from_numpy(self._query_ids.copy())  # type: ignore[return-value]

    def get_gallery_ids(self) -> LongTensor:
        """Give the positions of the galleries, (G,)."""
        return torch.from_numpy(self._gallery_ids.copy())  # type: ignore[return-value]


class DrawnTable(_TableDataset, IVisualizableDataset, IHTMLVisualizableDataset):
    """A table over a base dataset that can draw its items and show them on a page."""

    def visualize(self, item: int, color: TColor = BLACK) -> np.ndarray:
        """Draw the item as the base dataset does: a picture (H, W, 3), uint8."""
        return cast(IVisualizableDataset, self.dataset).visualize(item, color)

    def visualize_as_html(self, item: int, title: str, color: TColor = BLACK) -> str:
        """Give the base dataset's block of HTML that shows the item under the title."""
        return cast(IHTMLVisualizableDataset, self.dataset).visualize_as_html(item, title, color)


class DFLabeledDataset(_WithLabels):
    """
    Labels for the items of a base dataset, for training.

    Args:
        dataset: Gives the model inputs; item `i` belongs to row `i` of the table, whatever the table's index is.
        df: A table with the column `label`, and `category` and `sequence` if there are any.
        extra_data: Values to put into the items: sequences of the dataset's length.
        labels_key: The key of labels in items.
        label_mapping: Which integers the labels of the table become. By default integers stay as they are, and anything
            else is numbered in the order of appearance; cells that are lists give several labels per item.

    Raises:
        InvalidInputError: the table lacks a column, has wrong values or another length than the dataset; or a key of
            `extra_data` is taken already.

    """

    def __init__(
        self,
        dataset: IBaseDataset,
        df: pd.DataFrame,
        extra_data: TExtraData | None = None,
        labels_key: str = LABELS_KEY,
        label_mapping: LabelMapping | None = None,
    ):
        check_columns(df, [LABELS_COLUMN])
        super().__init__(dataset, df, extra_data)
        self._read_labels(labels_key, label_mapping)


class DFQueryGalleryDataset(_WithQueryGallery):
    """
    Queries and galleries among the items of a base dataset, for prediction: no labels needed.

    Args:
        dataset: Gives the model inputs; item `i` belongs to row `i` of the table, whatever the table's index is.
        df: A table with the columns `is_query` and `is_gallery`, and `category` and `sequence` if there are any.
        extra_data: Values to put into the items: sequences of the dataset's length.

    Raises:
        InvalidInputError: the table lacks a column, has wrong values or another length than the dataset; or a key of
            `extra_data` is taken already.

    """

    def __init__(self, dataset: IBaseDataset, df: pd.DataFrame, extra_data: TExtraData | None = None):
        check_columns(df, [IS_QUERY_COLUMN, IS_GALLERY_COLUMN])
        super().__init__(dataset, df, extra_data)
        self._read_query_gallery()


class DFQueryGalleryLabeledDataset(_WithLabels, _WithQueryGallery, IQueryGalleryLabeledDataset):
    """
    Labels, queries and galleries for the items of a base dataset, for validation.

    Args:
        dataset: Gives the model inputs; item `i` belongs to row `i` of the table, whatever the table's index is.
        df: A table with the columns `label`, `is_query` and `is_gallery`, and `category` and `sequence` if any.
        extra_data: Values to put into the items: sequences of the dataset's length.
        labels_key: The key of labels in items.
        label_mapping: Which integers the labels of the table become. By default integers stay as they are, and anything
            else is numbered in the order of appearance; cells that are lists give several labels per item.

    Raises:
        InvalidInputError: the table lacks a column, has wrong values or another length than the dataset; or a key of
            `extra_data` is taken already.

    """

    def __init__(
        self,
        dataset: IBaseDataset,
        df: pd.DataFrame,
        extra_data: TExtraData | None = None,
        labels_key: str = LABELS_KEY,
        label_mapping: LabelMapping | None = None,
    ):
        check_columns(df, [LABELS_COLUMN, IS_QUERY_COLUMN, IS_GALLERY_COLUMN])
        super().__init__(dataset, df, extra_data)
        self._read_labels(labels_key, label_mapping)
        self._read_query_gallery()
