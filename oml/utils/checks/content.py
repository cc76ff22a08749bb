"""Rows of a table that do not fit what lies in their files."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from oml.const import (
    BBOXES_COLUMNS,
    LABELS_COLUMN,
    PATHS_COLUMN,
    START_TIME_COLUMN,
    X1_COLUMN,
    X2_COLUMN,
    Y1_COLUMN,
    Y2_COLUMN,
)
from oml.errors import show_some
from oml.utils.checks.duplicates import number_rows
from oml.utils.format_violations import FormatViolation, describe
from oml.utils.labels import factorize, find_no_labels, has_several_labels


def find_content_trouble(df: pd.DataFrame, records: np.ndarray, reasons: Iterable[str]) -> Iterator[FormatViolation]:
    """
    Find what does not fit: broken files, extensions, boxes, start times, equal files of different labels.

    Args:
        df: The table.
        records: (N,), of the type `RECORD`: what lies in the file of each row.
        reasons: Why files could not be read.

    """
    shown = show_some(f"{n} x {reason}" for reason, n in Counter(reasons).most_common())
    text = f"must be a file that can be read to its end ({shown})."
    is_broken = records["is_there"] & ~records["is_read"]
    yield from describe(df, "broken_file", [PATHS_COLUMN], is_broken, text, "Replace the files or drop these rows.")
    yield from _find_wrong_extensions(df, records)
    yield from _find_boxes_outside(df, records)
    if START_TIME_COLUMN in df.columns:
        starts = pd.to_numeric(df[START_TIME_COLUMN], errors="coerce").to_numpy(dtype=np.float64, na_value=0.0)
        wrong = records["is_read"] & (records["seconds"] > 0) & (starts >= records["seconds"])
        text, cure = "the sound ends before it starts.", "Correct the seconds, or drop these rows."
        yield from describe(df, "start_time", [PATHS_COLUMN, START_TIME_COLUMN], wrong, text, cure)
    yield from _find_equal_files_of_different_labels(df, records)


def _find_wrong_extensions(df: pd.DataFrame, records: np.ndarray) -> Iterator[FormatViolation]:
    cures = {
        False: "They are read by their content; rename them, since other programs trust the name.",
        True: "Rename them: datasets of sounds refuse them.",
    }
    for is_error, cure in cures.items():
        wrong = records["is_read"] & ~records["is_named_so"] & ((records["seconds"] > 0) == is_error)
        pairs = zip(df[PATHS_COLUMN][wrong], records["format"][wrong].tolist(), strict=True)
        found = Counter((os.path.splitext(path)[1].lower() or "none", form) for path, form in pairs)
        shown = show_some(f"{n} x {extension} on {form}" for (extension, form), n in found.items())
        text = f"the extension is not that of the content: {shown}."
        yield from describe(df, "extension", [PATHS_COLUMN], wrong, text, cure, is_error)


def _find_boxes_outside(df: pd.DataFrame, records: np.ndarray) -> Iterator[FormatViolation]:
    if not set(BBOXES_COLUMNS) <= set(df.columns):
        return
    box = {c: pd.to_numeric(df[c], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan) for c in BBOXES_COLUMNS}
    is_known = records["is_read"] & (records["width"] > 0)
    width, height = records["width"], records["height"]
    is_outside = is_known & ((box[X1_COLUMN] >= width) | (box[Y1_COLUMN] >= height))
    is_cut = is_known & ~is_outside & ((box[X2_COLUMN] > width) | (box[Y2_COLUMN] > height))
    cure = "Boxes are left, right, top, bottom in pixels of the upright picture: correct or empty them."
    yield from describe(df, "bbox_outside", BBOXES_COLUMNS, is_outside, "the box lies outside of the picture.", cure)
    text = "the box begins inside of the picture and ends outside; what lies outside is left out."
    yield from describe(df, "bbox_cut", BBOXES_COLUMNS, is_cut, text, cure, is_error=False)


def _find_equal_files_of_different_labels(df: pd.DataFrame, records: np.ndarray) -> Iterator[FormatViolation]:
    if (
        LABELS_COLUMN not in df.columns
        or set(BBOXES_COLUMNS) & set(df.columns)
        or has_several_labels(df[LABELS_COLUMN])
    ):
        return
    rows = np.flatnonzero(records["is_read"] & ~find_no_labels(df[LABELS_COLUMN]))
    files = number_rows(records["content"][rows])
    pairs = pd.DataFrame({"file": files, "label": factorize(df[LABELS_COLUMN].iloc[rows])[0]})
    n_labels = pairs.drop_duplicates()["file"].value_counts()
    wrong = np.zeros(len(df), dtype=bool)
    wrong[rows[pairs["file"].map(n_labels).to_numpy() > 1]] = True
    text, cure = "files with the same content have different labels.", "Decide on one label, or draw boxes."
    yield from describe(df, "label_conflict", [PATHS_COLUMN, LABELS_COLUMN], wrong, text, cure, is_error=False)
