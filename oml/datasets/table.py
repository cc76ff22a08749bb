"""
Columns of a table in the documented format, as arrays.

Only what a dataset cannot do without is checked here, by column and row (positions from 0, whatever the index is);
`oml.utils.dataframe_format.check_retrieval_dataframe_format` knows all rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from oml.const import (
    BBOXES_COLUMNS,
    LABELS_COLUMN,
    START_TIME_COLUMN,
    X1_COLUMN,
    X2_COLUMN,
    Y1_COLUMN,
    Y2_COLUMN,
    TBBoxes,
)
from oml.errors import MAX_SHOWN, InvalidInputError, check, show_some

if TYPE_CHECKING:
    import pandas as pd

MISSING_TEXT = "nan"
NO_BOX = (0, 0, 0, 0)  # an empty box stands for the whole picture


def check_columns(df: pd.DataFrame, needed: Sequence[str]) -> None:
    """
    Refuse a table that lacks columns.

    Raises:
        InvalidInputError: names the missing columns and those that are there.

    """
    missing = [column for column in needed if column not in df.columns]
    check(
        not missing,
        f"The table lacks the columns {show_some(missing)}: this dataset needs {', '.join(needed)}. "
        f"Its columns: {show_some(df.columns, limit=20) or 'none'}.",
    )


def read_labels(df: pd.DataFrame) -> np.ndarray:
    """
    Give the labels (N,) as int64.

    Raises:
        InvalidInputError: there is no such column, or its values are not integers.

    """
    from pandas.api.types import is_integer_dtype

    check_columns(df, [LABELS_COLUMN])
    column = df[LABELS_COLUMN]
    if len(column) == 0:
        return np.zeros(0, dtype=np.int64)
    _check_rows(column.isna().to_numpy(), column, "must not be empty", "Give each item a label.")
    check(
        is_integer_dtype(column.dtype),
        f"Column {LABELS_COLUMN!r} must be integers, its dtype is {column.dtype}, it begins with "
        f"{show_some(map(repr, column.head(3)))}. Whole numbers become integers by `df['label'].astype(int)`, names by "
        "`pd.factorize(df['label'])[0]`.",
    )
    return np.array(column.to_numpy(dtype=np.int64))


def read_flags(df: pd.DataFrame, name: str) -> np.ndarray:
    """
    Give a column of True and False, or 1 and 0, as booleans (N,).

    Raises:
        InvalidInputError: there is no such column, or it has other or missing values.

    """
    import pandas as pd

    check_columns(df, [name])
    codes, values = pd.factorize(df[name], use_na_sentinel=True)
    is_flag = np.array([value in (0, 1) for value in values] + [False], dtype=bool)  # the last one: no value, code -1
    cure = "Query and gallery rows are marked by True and False, or 1 and 0; leave rows of the train split out."
    _check_rows(~is_flag[codes], df[name], "must be True or False", cure)
    return np.array([bool(value) for value in values] + [False])[codes]


def read_values(df: pd.DataFrame, name: str) -> np.ndarray:
    """
    Give a column of numbers or texts as an array (N,) whose values can be batched.

    Numbers keep their dtype (missing ones are NaN). If any value is not a number, all become texts, of which equal ones
    are one object, and missing ones are "nan".

    Raises:
        InvalidInputError: there is no such column.

    """
    import pandas as pd

    check_columns(df, [name])
    column = df[name]
    if pd.api.types.is_numeric_dtype(column.dtype) and isinstance(column.dtype, np.dtype):
        return np.array(column.to_numpy())
    codes, values = pd.factorize(column, use_na_sentinel=True)
    if all(isinstance(value, Number) for value in values) and len(values):
        present = np.array(list(values))
        return present[codes] if (codes >= 0).all() else np.append(present.astype(float), np.nan)[codes]
    return np.array([*map(str, values), MISSING_TEXT], dtype=object)[codes]


def read_bboxes(df: pd.DataFrame) -> np.ndarray | None:
    """
    Give the boxes (N, 4) of left, top, right, bottom as they are, with NaNs for empty cells, for `check_bboxes`.

    None if the table has no box columns.

    Raises:
        InvalidInputError: some of the four columns are there, but not all; or the values are not numbers.

    """
    present = [column for column in BBOXES_COLUMNS if column in df.columns]
    if not present:
        return None
    check(
        len(present) == len(BBOXES_COLUMNS),
        f"Boxes need all of the columns {', '.join(BBOXES_COLUMNS)} or none, the table has only {', '.join(present)}.",
    )
    try:
        return df[[X1_COLUMN, Y1_COLUMN, X2_COLUMN, Y2_COLUMN]].to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"The columns {', '.join(BBOXES_COLUMNS)} must be numbers: {error}.") from error


def check_bboxes(bboxes: TBBoxes | np.ndarray) -> np.ndarray:
    """
    Give boxes of left, top, right, bottom as an array (N, 4) of int32, with `NO_BOX` where there is none.

    Fractions of a pixel are cut off.

    Args:
        bboxes: For each item four numbers, or None or four NaNs for no box.

    Raises:
        InvalidInputError: a box that is not four numbers, has some of them missing, is empty or begins outside the
            picture; the message names the rows.

    Example:
        >>> check_bboxes([(1, 2, 10, 20), None]).tolist()
        [[1, 2, 10, 20], [0, 0, 0, 0]]

    """
    rows: Any = bboxes
    if not isinstance(bboxes, np.ndarray):
        rows = [(np.nan,) * 4 if box is None else tuple(box) for box in bboxes]
        _check_boxes(np.array([len(row) != 4 for row in rows], dtype=bool), rows, "must be four numbers")
    values = np.trunc(np.asarray(rows, dtype=np.float64).reshape(len(rows), 4)).clip(max=np.iinfo(np.int32).max)
    n_missing = np.isnan(values).sum(axis=1)
    is_box = n_missing == 0
    _check_boxes((n_missing > 0) & (n_missing < 4), rows, "must have all four numbers or none")
    left, top, right, bottom = values.T
    _check_boxes(is_box & ((left >= right) | (top >= bottom)), rows, "must have left < right and top < bottom")
    _check_boxes(is_box & ((left < 0) | (top < 0)), rows, "must not begin outside the picture")
    return np.where(is_box[:, None], values, NO_BOX).astype(np.int32)


def read_start_times(df: pd.DataFrame) -> np.ndarray | None:
    """
    Give the start times (N,) in seconds, 0 for empty cells; None if the table has no such column.

    Raises:
        InvalidInputError: the column is not of a float dtype, or a value is negative or infinite.

    """
    from pandas.api.types import is_float_dtype

    if START_TIME_COLUMN not in df.columns:
        return None
    column = df[START_TIME_COLUMN]
    check(
        is_float_dtype(column.dtype),
        f"Column {START_TIME_COLUMN!r} must be seconds of a float dtype, its dtype is {column.dtype}. "
        f"Numbers become such by `df['{START_TIME_COLUMN}'].astype(float)`.",
    )
    return check_start_times(column.to_numpy(dtype=np.float64, na_value=np.nan))


def check_start_times(start_times: Sequence[float] | np.ndarray) -> np.ndarray:
    """
    Give start times (N,) in seconds as a new array of float64, with 0 for NaN.

    Raises:
        InvalidInputError: a value is negative or infinite, or not a number; the message names the rows.

    """
    try:
        values = np.array(start_times, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"Start times must be numbers of seconds: {error}.") from error
    values[np.isnan(values)] = 0.0
    rows = np.flatnonzero((values < 0) | np.isinf(values))
    shown = [f"{values[row]} in row {row}" for row in rows[:MAX_SHOWN]]
    check(
        len(rows) == 0,
        f"Start times must be seconds from 0 on, {len(rows)} rows break this; the first: {', '.join(shown)}. "
        "Leave the cell empty to begin at the beginning.",
    )
    return values


def _check_rows(is_bad: np.ndarray, column: pd.Series, problem: str, cure: str) -> None:
    rows = np.flatnonzero(is_bad)
    if len(rows):
        shown = [f"{column.iloc[row]!r} in row {row}" for row in rows[:MAX_SHOWN]]
        raise InvalidInputError(
            f"Column {column.name!r} {problem}, {len(rows)} rows break this; the first: {', '.join(shown)}. {cure}"
        )


def _check_boxes(is_bad: np.ndarray, boxes: Any, problem: str) -> None:
    rows = np.flatnonzero(is_bad)
    if len(rows):
        shown = [f"{tuple(map(float, boxes[row]))} in row {row}" for row in rows[:MAX_SHOWN]]
        raise InvalidInputError(
            f"A box (left, top, right, bottom) {problem}, {len(rows)} rows break this; the first: {', '.join(shown)}."
        )
