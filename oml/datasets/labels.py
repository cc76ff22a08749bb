"""Labels of a table as integers, and what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oml.const import LABELS_COLUMN
from oml.datasets.table import check_columns, read_labels
from oml.utils.labels import LabelMapping, check_filled, factorize, flatten, has_several_labels

if TYPE_CHECKING:
    import pandas as pd


class SeveralLabels(Sequence[np.ndarray]):
    """
    Several labels per item, kept as one array of integers and one of offsets; a row is multi-hot.

    Attributes:
        values: The labels of all items, one item after another, int64.
        offsets: (N + 1,): those of item `i` are `values[offsets[i] : offsets[i + 1]]`.
        n_labels: L, the width of a row.

    """

    def __init__(self, values: np.ndarray, offsets: np.ndarray, n_labels: int):
        self.values = values
        self.offsets = offsets
        self.n_labels = n_labels

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, item: Any) -> Any:
        row = np.zeros(self.n_labels, dtype=bool)
        row[self.values[self.offsets[item] : self.offsets[item + 1]]] = True
        return row

    def to_multi_hot(self) -> np.ndarray:
        """Give all rows, bool (N, L)."""
        table = np.zeros((len(self), self.n_labels), dtype=bool)
        table[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.values] = True
        return table


def read_labels_of_any_kind(
    df: pd.DataFrame, mapping: LabelMapping | None = None
) -> tuple[np.ndarray | SeveralLabels, LabelMapping | None]:
    """
    Give the labels of a table as integers, and what they stand for.

    Integers are taken as they are (and the mapping is None) unless a mapping is given. Anything else hashable is
    numbered in the order of appearance. A column of lists, sets or arrays gives several labels per item, numbered too.

    Raises:
        InvalidInputError: there is no such column, a cell is empty or no label, or the mapping lacks a name.

    Example:
        >>> import pandas as pd
        >>> labels, mapping = read_labels_of_any_kind(pd.DataFrame({"label": ["cat", "dog", "cat"]}))
        >>> labels.tolist(), mapping.names
        ([0, 1, 0], ['cat', 'dog'])
        >>> labels, mapping = read_labels_of_any_kind(pd.DataFrame({"label": [["red", "dress"], ["red"]]}))
        >>> labels.to_multi_hot().tolist(), mapping.names
        ([[True, True], [True, False]], ['red', 'dress'])

    """
    import pandas as pd

    check_columns(df, [LABELS_COLUMN])
    column = df[LABELS_COLUMN]
    if has_several_labels(column):
        flat, offsets = flatten(column)
        mapping = LabelMapping(factorize(flat)[1]) if mapping is None else mapping
        return SeveralLabels(mapping.encode(flat), offsets, len(mapping)), mapping
    if mapping is None and (len(column) == 0 or pd.api.types.is_integer_dtype(column.dtype)):
        return read_labels(df), None
    filled = check_filled(column)
    mapping = LabelMapping(factorize(filled)[1]) if mapping is None else mapping
    return mapping.encode(filled), mapping
