"""Tables of texts, in the documented format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oml.const import INDEX_KEY, INPUT_TENSORS_KEY, LABELS_KEY, TEXTS_COLUMN
from oml.datasets.dataframe import DFLabeledDataset, DFQueryGalleryDataset, DFQueryGalleryLabeledDataset, DrawnTable
from oml.datasets.table import check_columns
from oml.datasets.text_items import TextBaseDataset, TExtraData, TTokenizer, check_tokenizer_type
from oml.utils.labels import LabelMapping

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "TextBaseDataset",
    "TextLabeledDataset",
    "TextQueryGalleryDataset",
    "TextQueryGalleryLabeledDataset",
    "check_tokenizer_type",
]


class TextLabeledDataset(DrawnTable, DFLabeledDataset):
    """
    Texts with labels, for training.

    Args:
        df: A table with the columns `text` and `label`; `category` and `sequence` if any.
        tokenizer: As for `TextBaseDataset`, and so are the other arguments.
        max_length: The number of tokens to cut and to pad texts to.
        extra_data: Values to put into the items.
        input_tensors_key: The key of the encoding in items.
        labels_key: The key of the label in items, which is np.int64.
        index_key: The key of the position in items.
        label_mapping: As for `DFLabeledDataset`.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `TextBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        tokenizer: TTokenizer,
        max_length: int = 128,
        extra_data: TExtraData | None = None,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        labels_key: str = LABELS_KEY,
        index_key: str = INDEX_KEY,
        label_mapping: LabelMapping | None = None,
    ):
        texts = _read_texts(df, tokenizer, max_length, input_tensors_key, index_key)
        super().__init__(texts, df, extra_data, labels_key, label_mapping)


class TextQueryGalleryLabeledDataset(DrawnTable, DFQueryGalleryLabeledDataset):
    """
    Texts with labels, queries and galleries, for validation.

    Args:
        df: A table with the columns `text`, `label`, `is_query` and `is_gallery`, and the optional ones.
        tokenizer: This and all other arguments are those of `TextLabeledDataset`, in the documented order.
        max_length: The number of tokens to cut and to pad texts to.
        extra_data: Values to put into the items.
        labels_key: The key of the label in items.
        input_tensors_key: The key of the encoding in items.
        index_key: The key of the position in items.
        label_mapping: As for `DFLabeledDataset`.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `TextBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        tokenizer: TTokenizer,
        max_length: int = 128,
        extra_data: TExtraData | None = None,
        labels_key: str = LABELS_KEY,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
        label_mapping: LabelMapping | None = None,
    ):
        texts = _read_texts(df, tokenizer, max_length, input_tensors_key, index_key)
        super().__init__(texts, df, extra_data, labels_key, label_mapping)


class TextQueryGalleryDataset(DrawnTable, DFQueryGalleryDataset):
    """
    Texts that are queries or galleries, for prediction: no labels needed.

    Args:
        df: A table with the columns `text`, `is_query` and `is_gallery`, and the optional ones.
        tokenizer: This and all other arguments are those of `TextLabeledDataset`.
        max_length: The number of tokens to cut and to pad texts to.
        extra_data: Values to put into the items.
        input_tensors_key: The key of the encoding in items.
        index_key: The key of the position in items.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `TextBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        tokenizer: TTokenizer,
        max_length: int = 128,
        extra_data: TExtraData | None = None,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
    ):
        super().__init__(_read_texts(df, tokenizer, max_length, input_tensors_key, index_key), df, extra_data)


def _read_texts(
    df: pd.DataFrame, tokenizer: TTokenizer, max_length: int, input_tensors_key: str, index_key: str
) -> TextBaseDataset:
    check_columns(df, [TEXTS_COLUMN])
    return TextBaseDataset(df[TEXTS_COLUMN], tokenizer, max_length, None, input_tensors_key, index_key)
