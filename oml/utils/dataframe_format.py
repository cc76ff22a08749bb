"""
The format of the tables that datasets are made of, as a list of rules.

Each rule finds all rows that break it, without a Python loop over rows (files are looked up once per different path).
Positions of rows count from 0, whatever the index of the frame is: in a file, position 0 is the line below the header.
"""

from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from pathlib import Path
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
    START_TIME_COLUMN,
    TEXTS_COLUMN,
)
from oml.errors import InvalidInputError
from oml.utils.format_items import (
    find_missing_files,
    find_paths_outside_root,
    find_wrong_bboxes,
    find_wrong_start_times,
    find_wrong_texts,
)
from oml.utils.format_violations import FormatOptions, FormatViolation, describe, describe_columns
from oml.utils.labels import find_no_labels, has_several_labels
from oml.utils.tables import TTable, read_table

TRAIN, VALIDATION = "train", "validation"
FLAGS = (IS_QUERY_COLUMN, IS_GALLERY_COLUMN)
ITEM_COLUMNS = (PATHS_COLUMN, TEXTS_COLUMN, START_TIME_COLUMN, *BBOXES_COLUMNS)
COLUMNS = (*OBLIGATORY_COLUMNS, *ITEM_COLUMNS, CATEGORIES_COLUMN, SEQUENCE_COLUMN)


def check_retrieval_dataframe_format(
    df: TTable, dataset_root: Path | str | None = None, sep: str = ",", verbose: bool = True
) -> None:
    """
    Check that a table is in the documented format: see `find_format_violations` for the rules.

    Args:
        df: A table as `read_table` takes it. It may hold only one of the splits.
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


def find_format_violations(
    df: pd.DataFrame,
    dataset_root: Path | str | None = None,
    any_labels: bool = False,
    allow_outside_root: bool = True,
    check_files: bool = True,
) -> Iterator[FormatViolation]:
    """
    Give every broken rule of the format, in the order of the rules, each with all its rows.

    A rule whose columns are missing is left out (the missing columns are a violation of their own). An empty table with
    the needed columns breaks no rule.

    Args:
        df: The table.
        dataset_root: The folder that the paths are relative to; the working folder if not given.
        any_labels: Whether labels may be of any hashable kind, or lists of several, instead of integers only.
        allow_outside_root: Whether paths may lead out of the folder.
        check_files: Whether the files must be there.

    """
    options = FormatOptions(Path(dataset_root or ""), any_labels, allow_outside_root, check_files)
    df, violations = empty_nested_cells(df)
    yield from violations
    for needed, find in _RULES:
        if all(column in df.columns for column in needed):
            yield from find(df, options)
        if find is _find_column_trouble and not df.columns.is_unique:
            return  # a name that stands for two columns breaks every further rule


def empty_nested_cells(df: pd.DataFrame) -> tuple[pd.DataFrame, list[FormatViolation]]:
    """
    Find cells that hold a list or a mapping where one value belongs, as nested columns of parquet do.

    Returns:
        The table with such cells emptied, so that other rules may compare all values, and the violations.

    """
    violations: list[FormatViolation] = []
    for column in (c for c in COLUMNS if c != LABELS_COLUMN and c in df.columns and df.columns.is_unique):
        if df[column].dtype != object or not pd.api.types.infer_dtype(df[column]).startswith("mixed"):
            continue
        is_nested = np.fromiter((not pd.api.types.is_hashable(cell) for cell in df[column]), dtype=bool, count=len(df))
        text, cure = "must hold one value, not several.", "Take out the one that counts, or empty these cells."
        violations += describe(df, "nested", [column], is_nested, text, cure)
        if is_nested.any():
            df = df.assign(**{column: df[column].mask(is_nested, None)})
    return df, violations


def _find_column_trouble(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    missing = tuple(c for c in OBLIGATORY_COLUMNS if c not in df.columns)
    if missing:
        text = f"obligatory, but missing. The table has {list(df.columns)}. Add or rename columns."
        yield describe_columns("columns", missing, text)
    items = (PATHS_COLUMN, TEXTS_COLUMN)
    if not any(c in df.columns for c in items):
        text = f"one of them must be there. The table has {list(df.columns)}. Add the one that holds your items."
        yield describe_columns("columns", items, text)
    twice = tuple(dict.fromkeys(map(str, df.columns[df.columns.duplicated()])))
    if twice:
        yield describe_columns("columns", twice, "must not occur twice. Drop or rename one.")


def _find_wrong_split(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    known = [TRAIN, VALIDATION]
    wrong = ~df[SPLIT_COLUMN].isin(known).to_numpy()
    cure = "Write one of them into each row, in lower case and without spaces."
    yield from describe(df, "split", [SPLIT_COLUMN], wrong, f"must be one of {known}.", cure)


def _find_train_flags(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    is_train = _is_in_split(df, TRAIN)
    for flag in FLAGS:
        wrong = is_train & df[flag].notna().to_numpy()
        cure = f"Empty the column there, e.g. `df.loc[df.split == '{TRAIN}', '{flag}'] = None`."
        yield from describe(df, "train_flags", [flag], wrong, "must be empty in train rows.", cure)


def _find_validation_flags(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    is_validation = _is_in_split(df, VALIDATION)
    flags = {flag: _read_flags(df[flag]) for flag in FLAGS}
    for flag, values in flags.items():
        text = "must be True or False (or 1 or 0), not text, in validation rows."
        cure = "Say of each of these rows whether it is one; both flags may be True."
        yield from describe(df, "validation_flags", [flag], is_validation & (values < 0), text, cure)
    wrong = is_validation & np.all([values == 0 for values in flags.values()], axis=0)
    cure = "Set at least one of the flags, or drop these rows."
    text = "each validation row must be a query or a gallery or both."
    yield from describe(df, "validation_flags", FLAGS, wrong, text, cure)


def _find_wrong_labels(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    labels = df[LABELS_COLUMN]
    if options.any_labels:
        text = "must be a number, a text or another hashable value in each row, or a list of them in each row."
        yield from describe(df, "label", [LABELS_COLUMN], find_no_labels(labels), text, "Fill or drop these rows.")
        return
    is_integer = pd.api.types.is_integer_dtype(labels.dtype)
    wrong = labels.isna().to_numpy() if is_integer or labels.isna().any() else np.full(len(df), not is_integer)
    text = f"must be of an integer dtype and nowhere empty, got {labels.dtype}."
    cure = "Use `astype(int)` for whole numbers, `pandas.factorize` for names, and drop rows without a label."
    yield from describe(df, "label", [LABELS_COLUMN], wrong, text, cure)


def _find_queries_without_gallery(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    is_validation = _is_in_split(df, VALIDATION)
    is_query, is_gallery = (is_validation & (_read_flags(df[flag]) == 1) for flag in FLAGS)
    labels = df[LABELS_COLUMN].reset_index(drop=True)
    if has_several_labels(labels):
        labels = labels[~find_no_labels(labels)].map(list).explode().dropna()
    is_known = labels.isin(labels[is_gallery[labels.index]]).groupby(labels.index).any()
    is_found = np.zeros(len(df), dtype=bool)
    is_found[is_known.index] = is_known
    text = "each label of a query must also be the label of a gallery."
    cure = "Make one of the rows of such a label a gallery, or drop its queries."
    yield from describe(df, "query_labels", [LABELS_COLUMN], is_query & ~is_found, text, cure)


def _find_missing_sequences(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    wrong = _is_in_split(df, VALIDATION) & df[SEQUENCE_COLUMN].isna().to_numpy()
    text = "must not be empty in validation rows: they would count as one sequence, whose items do not find each other."
    cure = "Name each such row's sequence; a row that belongs to none gets a name that no other row has."
    yield from describe(df, "sequence", [SEQUENCE_COLUMN], wrong, text, cure)


def _find_ambiguous_categories(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    if has_several_labels(df[LABELS_COLUMN]):
        return  # a category of an item with several labels says nothing about each of them
    pairs = df[[LABELS_COLUMN, CATEGORIES_COLUMN]].reset_index(drop=True).drop_duplicates()
    wrong = np.zeros(len(df), dtype=bool)
    wrong[pairs.index[pairs.duplicated(LABELS_COLUMN, keep=False)]] = True
    text = "rows of one label are expected to be of one category; the last one counts."
    columns = [LABELS_COLUMN, CATEGORIES_COLUMN]
    yield from describe(df, "category", columns, wrong, text, "Give each label one category.", is_error=False)


_RULES: tuple[tuple[Sequence[str], Callable[[pd.DataFrame, FormatOptions], Iterator[FormatViolation]]], ...] = (
    ((), _find_column_trouble),
    ((SPLIT_COLUMN,), _find_wrong_split),
    ((SPLIT_COLUMN, *FLAGS), _find_train_flags),
    ((SPLIT_COLUMN, *FLAGS), _find_validation_flags),
    ((LABELS_COLUMN,), _find_wrong_labels),
    ((LABELS_COLUMN, SPLIT_COLUMN, *FLAGS), _find_queries_without_gallery),
    ((PATHS_COLUMN,), find_missing_files),
    ((PATHS_COLUMN,), find_paths_outside_root),
    ((), find_wrong_bboxes),
    ((START_TIME_COLUMN,), find_wrong_start_times),
    ((TEXTS_COLUMN,), find_wrong_texts),
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
