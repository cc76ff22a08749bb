"""Rules of the format about what the items are: files, boxes in them, where a sound starts, texts."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from oml.const import (
    BBOXES_COLUMNS,
    PATHS_COLUMN,
    START_TIME_COLUMN,
    TEXTS_COLUMN,
    X1_COLUMN,
    X2_COLUMN,
    Y1_COLUMN,
    Y2_COLUMN,
)
from oml.utils.format_violations import FormatOptions, FormatViolation, describe, describe_columns

BLANK = "".join(map(chr, range(ord(" ") + 1)))  # the spaces of ASCII and what no printer shows


def find_missing_files(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    """Find paths that are no paths of files."""
    if not options.check_files:
        return
    codes, paths = pd.factorize(df[PATHS_COLUMN])
    root = os.fspath(options.root)
    is_missing = np.array([not _is_there(root, path) for path in paths.tolist()] + [True])  # the last: empty, code -1
    yield from describe_missing_files(df, is_missing[codes], root)


def describe_missing_files(df: pd.DataFrame, is_missing: np.ndarray, root: str) -> Iterator[FormatViolation]:
    """Give the violation if there is a row (N,) whose file is missing."""
    cure = "Check the folder and the paths, which must be relative to it or absolute, or drop these rows."
    text = f"must be the path of an existing file, from the folder {root!r} on."
    yield from describe(df, "path", [PATHS_COLUMN], is_missing, text, cure)


def find_paths_outside_root(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    """Find paths that lead out of the folder, by their names: links are not followed."""
    if options.allow_outside_root:
        return
    codes, paths = pd.factorize(df[PATHS_COLUMN])
    root = os.path.abspath(options.root)
    is_outside = np.array([_is_outside(root, path) for path in paths.tolist()] + [False])
    text = f"must not lead out of the folder {str(options.root)!r}."
    cure = "Choose a folder that holds all files, or allow it by `allow_outside_root=True` (--allow-outside-root)."
    yield from describe(df, "path_outside_root", [PATHS_COLUMN], is_outside[codes], text, cure)


def find_wrong_bboxes(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    """Find boxes that are not four whole numbers around something."""
    missing = tuple(c for c in BBOXES_COLUMNS if c not in df.columns)
    if len(missing) == len(BBOXES_COLUMNS):
        return
    if missing:
        text = f"boxes need all of {BBOXES_COLUMNS}, or none. Add what is missing or drop the others."
        yield describe_columns("bboxes", missing, text)
        return

    def find(wrong: Any, text: str, cure: str) -> Iterator[FormatViolation]:
        yield from describe(df, "bboxes", BBOXES_COLUMNS, wrong, text, cure)

    filled = df[BBOXES_COLUMNS].notna().to_numpy()
    has_box = filled.all(axis=1)
    yield from find(filled.any(axis=1) & ~has_box, "all four must be filled, or none.", "Complete or empty them.")
    numbers = {c: _to_floats(df[c]) for c in BBOXES_COLUMNS}
    values = np.stack(list(numbers.values()), axis=1)
    is_whole = np.isfinite(values) & (values == np.floor(values))
    yield from find(has_box & ~is_whole.all(axis=1), "must be whole numbers of pixels.", "Round them.")
    yield from find(has_box & (values < 0).any(axis=1), "must not be negative.", "Cut the box at the image's edge.")
    for low, high in ((X1_COLUMN, X2_COLUMN), (Y1_COLUMN, Y2_COLUMN)):
        wrong, cure = has_box & (numbers[low] >= numbers[high]), "Swap them, or empty all four where there is no box."
        yield from find(wrong, f"{low!r} must be less than {high!r}.", cure)


def find_wrong_texts(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    """Find what is no text, or one that is empty or only spaces."""
    texts = df[TEXTS_COLUMN]
    if pd.api.types.infer_dtype(texts) in ("string", "empty"):
        wrong = texts.isna().to_numpy() | (texts.str.strip(BLANK) == "").to_numpy(dtype=bool, na_value=True)
    else:
        wrong = np.fromiter((not isinstance(t, str) or not t.strip(BLANK) for t in texts), dtype=bool, count=len(df))
    yield from describe(df, "text", [TEXTS_COLUMN], wrong, "must be a non-empty text.", "Fill or drop these rows.")


def find_wrong_start_times(df: pd.DataFrame, options: FormatOptions) -> Iterator[FormatViolation]:
    """Find start times that are no times in seconds."""
    column = df[START_TIME_COLUMN]
    seconds = _to_floats(column)
    wrong = column.notna().to_numpy() & ~(np.isfinite(seconds) & (seconds >= 0))
    text = "must be seconds, 0 or more, or empty."
    cure = "Write the seconds, or empty the cell to start at the beginning."
    yield from describe(df, "start_time", [START_TIME_COLUMN], wrong, text, cure)


def _to_floats(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _is_there(root: str, path: Any) -> bool:
    return isinstance(path, (str, os.PathLike)) and os.path.isfile(os.path.join(root, path))


def _is_outside(root: str, path: Any) -> bool:
    if not isinstance(path, (str, os.PathLike)):
        return False  # `find_missing_files` has it
    text = os.fspath(path)
    if ".." not in text and not os.path.isabs(text):
        return False
    full = os.path.normpath(os.path.join(root, text))
    return full != root and not full.startswith(os.path.join(root, ""))
