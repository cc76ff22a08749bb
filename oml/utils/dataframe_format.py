"""
The format of the tables that datasets are made of, as a list of rules.

Each rule finds all rows that break it, without a Python loop over rows (files are looked up once per different path).
Positions of rows count from 0, whatever the index of the frame is: in a file, position 0 is the line below the header.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np
import pandas as pd

from oml.const import (
    BBOXES_COLUMNS,
    CATEGORIES_COLUMN,
    IS_GALLERY_COLUMN,
    IS_QUERY_COLUMN,
    LABELS_COLUMN,
    OBLIGATORY_COLUMNS,
    PATHS_COLUMN,
    SEQUENCE_COLUMN,
    SPLIT_COLUMN,
    TEXTS_COLUMN,
    X1_COLUMN,
    X2_COLUMN,
    Y1_COLUMN,
    Y2_COLUMN,
)
from oml.errors import MAX_SHOWN, InvalidInputError

TRAIN, VALIDATION = "train", "validation"
FLAGS = (IS_QUERY_COLUMN, IS_GALLERY_COLUMN)


@dataclass(frozen=True)
class FormatViolation:
    """
    A rule of the format that a table breaks.

    Attributes:
        rule: Short name of the rule.
        columns: The columns that are concerned.
        rows: Positions of all offending rows, ascending; empty if the trouble is not in single rows.
        message: What is wrong, the first offending rows with their values, and what to do.
        is_error: False for what is allowed, but suspect.

    """

    rule: str
    columns: tuple[str, ...]
    rows: np.ndarray
    message: str
    is_error: bool = True


def check_retrieval_dataframe_format(
    df: Path | str | pd.DataFrame, dataset_root: Path | str | None = None, sep: str = ",", verbose: bool = True
) -> None:
    """
    Check that a table is in the documented format: see `find_format_violations` for the rules.

    Args:
        df: A frame, or the path of a csv file. It may hold only one of the splits.
        dataset_root: The folder that the paths are relative to; the working folder if not given.
        sep: The separator of the csv file.
        verbose: Whether to warn about what is allowed, but suspect (a label with several categories).

    Raises:
        InvalidInputError: the first rule that is broken, with the column, the rows and the cure.

    """
    for violation in find_format_violations(read_table(df, sep), dataset_root):
        if violation.is_error:
            raise InvalidInputError(violation.message)
        if verbose:
            warn(violation.message, UserWarning, stacklevel=2)


def read_table(df: Path | str | pd.DataFrame, sep: str = ",") -> pd.DataFrame:
    """
    Give the frame itself, or the one in the csv file at the path.

    Raises:
        TypeError: it is neither a frame nor a path.

    """
    if isinstance(df, pd.DataFrame):
        return df
    if isinstance(df, (str, Path)):
        return pd.read_csv(df, sep=sep)
    raise TypeError(f"df must be a DataFrame or the path of a csv file, got {type(df).__name__}.")


def find_format_violations(df: pd.DataFrame, dataset_root: Path | str | None = None) -> Iterator[FormatViolation]:
    """
    Give every broken rule of the format, in the order of the rules, each with all its rows.

    A rule whose columns are missing is left out (the missing columns are a violation of their own). An empty table with
    the needed columns breaks no rule.

    Args:
        df: The table.
        dataset_root: The folder that the paths are relative to; the working folder if not given.

    """
    for needed, find in _RULES:
        if all(column in df.columns for column in needed):
            yield from find(df, Path(dataset_root or ""))
        if find is _find_column_trouble and not df.columns.is_unique:
            return  # a name that stands for two columns breaks every further rule


def _describe(
    df: pd.DataFrame, rule: str, columns: Sequence[str], wrong: np.ndarray, text: str, cure: str, is_error: bool = True
) -> Iterator[FormatViolation]:
    """Give the violation if there is a row where `wrong` (N,) is True."""
    rows = np.flatnonzero(wrong)
    if len(rows) == 0:
        return
    values = df[list(columns)].iloc[rows[:MAX_SHOWN]].itertuples(index=False, name=None)
    shown = [f"{row} ({', '.join(map(repr, v))})" for row, v in zip(rows[:MAX_SHOWN], values, strict=True)]
    more = f" and {len(rows) - MAX_SHOWN} more" if len(rows) > MAX_SHOWN else ""
    message = (
        f"{_name(columns)}: {text} Wrong in {len(rows)} of {len(df)} rows, at the positions (values): "
        f"{', '.join(shown)}{more}. {cure}"
    )
    yield FormatViolation(rule, tuple(columns), rows, message, is_error)


def _name(columns: Sequence[str]) -> str:
    return f"Column{'s' if len(columns) > 1 else ''} {', '.join(map(repr, columns))}"


def _find_column_trouble(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    nowhere = np.empty(0, dtype=np.int64)
    missing = tuple(c for c in OBLIGATORY_COLUMNS if c not in df.columns)
    if missing:
        text = f"obligatory, but missing. The table has {list(df.columns)}. Add or rename columns."
        yield FormatViolation("columns", missing, nowhere, f"{_name(missing)}: {text}")
    items = (PATHS_COLUMN, TEXTS_COLUMN)
    if not any(c in df.columns for c in items):
        text = f"one of them must be there. The table has {list(df.columns)}. Add the one that holds your items."
        yield FormatViolation("columns", items, nowhere, f"{_name(items)}: {text}")
    twice = tuple(str(c) for c in df.columns[df.columns.duplicated()].unique())
    if twice:
        yield FormatViolation("columns", twice, nowhere, f"{_name(twice)}: must not occur twice. Drop or rename one.")


def _find_wrong_split(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    known = [TRAIN, VALIDATION]
    wrong = ~df[SPLIT_COLUMN].isin(known).to_numpy()
    cure = "Write one of them into each row, in lower case and without spaces."
    yield from _describe(df, "split", [SPLIT_COLUMN], wrong, f"must be one of {known}.", cure)


def _find_train_flags(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    is_train = _is_in_split(df, TRAIN)
    for flag in FLAGS:
        wrong = is_train & df[flag].notna().to_numpy()
        cure = f"Empty the column there, e.g. `df.loc[df.split == '{TRAIN}', '{flag}'] = None`."
        yield from _describe(df, "train_flags", [flag], wrong, "must be empty in train rows.", cure)


def _find_validation_flags(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    is_validation = _is_in_split(df, VALIDATION)
    flags = {flag: _read_flags(df[flag]) for flag in FLAGS}
    for flag, values in flags.items():
        text = "must be True or False (or 1 or 0), not text, in validation rows."
        cure = "Say of each of these rows whether it is one; both flags may be True."
        yield from _describe(df, "validation_flags", [flag], is_validation & (values < 0), text, cure)
    wrong = is_validation & np.all([values == 0 for values in flags.values()], axis=0)
    cure = "Set at least one of the flags, or drop these rows."
    text = "each validation row must be a query or a gallery or both."
    yield from _describe(df, "validation_flags", FLAGS, wrong, text, cure)


def _find_wrong_labels(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    labels = df[LABELS_COLUMN]
    is_integer = pd.api.types.is_integer_dtype(labels.dtype)
    wrong = labels.isna().to_numpy() if is_integer or labels.isna().any() else np.full(len(df), not is_integer)
    text = f"must be of an integer dtype and nowhere empty, got {labels.dtype}."
    cure = "Use `astype(int)` for whole numbers, `pandas.factorize` for names, and drop rows without a label."
    yield from _describe(df, "label", [LABELS_COLUMN], wrong, text, cure)


def _find_queries_without_gallery(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    is_validation, labels = _is_in_split(df, VALIDATION), df[LABELS_COLUMN]
    is_query, is_gallery = (is_validation & (_read_flags(df[flag]) == 1) for flag in FLAGS)
    wrong = is_query & ~labels.isin(labels[is_gallery]).to_numpy()
    text = "each label of a query must also be the label of a gallery."
    cure = "Make one of the rows of such a label a gallery, or drop its queries."
    yield from _describe(df, "query_labels", [LABELS_COLUMN], wrong, text, cure)


def _find_missing_files(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    codes, paths = pd.factorize(df[PATHS_COLUMN])
    is_missing = np.array([not _is_there(root, path) for path in paths] + [True])  # the last for empty cells: code -1
    cure = "Check the folder and the paths, which must be relative to it or absolute, or drop these rows."
    text = f"must be the path of an existing file, from the folder {str(root)!r} on."
    yield from _describe(df, "path", [PATHS_COLUMN], is_missing[codes], text, cure)


def _find_wrong_bboxes(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    missing = tuple(c for c in BBOXES_COLUMNS if c not in df.columns)
    if len(missing) == len(BBOXES_COLUMNS):
        return
    if missing:
        text = f"boxes need all of {BBOXES_COLUMNS}, or none. Add what is missing or drop the others."
        yield FormatViolation("bboxes", missing, np.empty(0, dtype=np.int64), f"{_name(missing)}: {text}")
        return

    def describe(wrong: Any, text: str, cure: str) -> Iterator[FormatViolation]:
        yield from _describe(df, "bboxes", BBOXES_COLUMNS, wrong, text, cure)

    filled = df[BBOXES_COLUMNS].notna().to_numpy()
    has_box = filled.all(axis=1)
    yield from describe(filled.any(axis=1) & ~has_box, "all four must be filled, or none.", "Complete or empty them.")
    numbers = {c: _to_floats(df[c]) for c in BBOXES_COLUMNS}
    values = np.stack(list(numbers.values()), axis=1)
    is_whole = np.isfinite(values) & (values == np.floor(values))
    yield from describe(has_box & ~is_whole.all(axis=1), "must be whole numbers of pixels.", "Round them.")
    yield from describe(has_box & (values < 0).any(axis=1), "must not be negative.", "Cut the box at the image's edge.")
    for low, high in ((X1_COLUMN, X2_COLUMN), (Y1_COLUMN, Y2_COLUMN)):
        wrong, cure = has_box & (numbers[low] >= numbers[high]), "Swap them, or empty all four where there is no box."
        yield from describe(wrong, f"{low!r} must be less than {high!r}.", cure)


def _find_wrong_texts(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    texts = df[TEXTS_COLUMN]
    if pd.api.types.infer_dtype(texts) in ("string", "empty"):
        wrong = texts.isna().to_numpy() | (texts == "").to_numpy(dtype=bool, na_value=True)
    else:
        wrong = np.fromiter((not isinstance(t, str) or not t for t in texts), dtype=bool, count=len(df))
    yield from _describe(df, "text", [TEXTS_COLUMN], wrong, "must be a non-empty text.", "Fill or drop these rows.")


def _find_missing_sequences(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    wrong = _is_in_split(df, VALIDATION) & df[SEQUENCE_COLUMN].isna().to_numpy()
    text = "must not be empty in validation rows: they would count as one sequence, whose items do not find each other."
    cure = "Name each such row's sequence; a row that belongs to none gets a name that no other row has."
    yield from _describe(df, "sequence", [SEQUENCE_COLUMN], wrong, text, cure)


def _find_ambiguous_categories(df: pd.DataFrame, root: Path) -> Iterator[FormatViolation]:
    pairs = df[[LABELS_COLUMN, CATEGORIES_COLUMN]].reset_index(drop=True).drop_duplicates()
    wrong = np.zeros(len(df), dtype=bool)
    wrong[pairs.index[pairs.duplicated(LABELS_COLUMN, keep=False)]] = True
    text = "rows of one label are expected to be of one category; the last one counts."
    columns = [LABELS_COLUMN, CATEGORIES_COLUMN]
    yield from _describe(df, "category", columns, wrong, text, "Give each label one category.", is_error=False)


_RULES: tuple[tuple[Sequence[str], Callable[[pd.DataFrame, Path], Iterator[FormatViolation]]], ...] = (
    ((), _find_column_trouble),
    ((SPLIT_COLUMN,), _find_wrong_split),
    ((SPLIT_COLUMN, *FLAGS), _find_train_flags),
    ((SPLIT_COLUMN, *FLAGS), _find_validation_flags),
    ((LABELS_COLUMN,), _find_wrong_labels),
    ((LABELS_COLUMN, SPLIT_COLUMN, *FLAGS), _find_queries_without_gallery),
    ((PATHS_COLUMN,), _find_missing_files),
    ((), _find_wrong_bboxes),
    ((TEXTS_COLUMN,), _find_wrong_texts),
    ((SPLIT_COLUMN, SEQUENCE_COLUMN), _find_missing_sequences),
    ((LABELS_COLUMN, CATEGORIES_COLUMN), _find_ambiguous_categories),
)


def _is_in_split(df: pd.DataFrame, split: str) -> np.ndarray:
    return df[SPLIT_COLUMN].isin([split]).to_numpy()


def _read_flags(column: pd.Series) -> np.ndarray:
    """Give 1 for True, 0 for False and -1 for anything else, of whatever dtype the column is; int8 (N,)."""
    codes, values = pd.factorize(column)
    meanings = [int(v == 1) if isinstance(v, (bool, np.bool_, Real)) and v in (0, 1) else -1 for v in values]
    return np.array([*meanings, -1], dtype=np.int8)[codes]  # the last for empty cells: code -1


def _to_floats(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _is_there(root: Path, path: Any) -> bool:
    return isinstance(path, (str, os.PathLike)) and os.path.isfile(os.path.join(root, path))
