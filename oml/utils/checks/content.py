"""Rows of a table that do not fit what lies in their files."""

import os
from collections import Counter
from collections.abc import Iterator

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
from oml.utils.checks.files import FileFacts
from oml.utils.format_violations import FormatViolation, describe
from oml.utils.labels import factorize, find_no_labels, has_several_labels

# Extensions of each format, as Pillow and soundfile call it; others are not judged.
EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "WAV": (".wav",),
    "WAVEX": (".wav",),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "MPEG": (".mp3",),
}


def find_content_trouble(df: pd.DataFrame, codes: np.ndarray, facts: FileFacts) -> Iterator[FormatViolation]:
    """
    Find what does not fit: broken files, extensions, boxes, start times, equal files of different labels.

    Args:
        df: The table.
        codes: (N,): the file of each row, -1 for rows without.
        facts: What lies in the files.

    """
    records = facts.take(codes)
    is_broken = (codes >= 0) & ~records["is_read"]
    reasons = Counter(facts.errors.values())
    shown = show_some(f"{n} x {reason}" for reason, n in reasons.most_common())
    text = f"must be a file that can be read to its end ({shown})."
    yield from describe(df, "broken_file", [PATHS_COLUMN], is_broken, text, "Replace the files or drop these rows.")
    yield from _find_wrong_extensions(df, records)
    yield from _find_boxes_outside(df, records)
    if START_TIME_COLUMN in df.columns:
        starts = pd.to_numeric(df[START_TIME_COLUMN], errors="coerce").to_numpy(dtype=np.float64, na_value=0.0)
        wrong = records["is_read"] & (records["seconds"] > 0) & (starts >= records["seconds"])
        text, cure = "the sound ends before it starts.", "Correct the seconds, or drop these rows."
        yield from describe(df, "start_time", [PATHS_COLUMN, START_TIME_COLUMN], wrong, text, cure)
    yield from _find_equal_files_of_different_labels(df, codes, records)


def _find_wrong_extensions(df: pd.DataFrame, records: np.ndarray) -> Iterator[FormatViolation]:
    paths = df[PATHS_COLUMN].tolist()
    extensions = [os.path.splitext(p)[1].lower() if isinstance(p, (str, os.PathLike)) else "" for p in paths]
    formats = records["format"]
    allowed = {name: set(values) for name, values in EXTENSIONS.items()}
    pairs = pd.Series(list(zip(formats.tolist(), extensions, strict=True)))
    is_fine = {pair: pair[0] not in allowed or pair[1] in allowed[pair[0]] for pair in pairs.unique()}
    wrong = ~pairs.map(is_fine).to_numpy(dtype=bool) if len(pairs) else np.zeros(0, dtype=bool)
    is_sound = records["seconds"] > 0
    cures = {
        False: "They are read by their content; rename them, since other programs trust the name.",
        True: "Rename them: datasets of sounds refuse them.",
    }
    for is_error, cure in cures.items():
        is_found = wrong & (is_sound == is_error)
        found = Counter(pairs[is_found])
        shown = show_some(f"{n} x {e or 'none'} on {f}" for (f, e), n in found.items())
        text = f"the extension is not that of the content: {shown}."
        yield from describe(df, "extension", [PATHS_COLUMN], is_found, text, cure, is_error)


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


def _find_equal_files_of_different_labels(
    df: pd.DataFrame, codes: np.ndarray, records: np.ndarray
) -> Iterator[FormatViolation]:
    if (
        LABELS_COLUMN not in df.columns
        or set(BBOXES_COLUMNS) & set(df.columns)
        or has_several_labels(df[LABELS_COLUMN])
    ):
        return
    rows = np.flatnonzero(records["is_read"] & ~find_no_labels(df[LABELS_COLUMN]))
    files = np.unique(records["content"][rows], axis=0, return_inverse=True)[1].reshape(-1)
    pairs = pd.DataFrame({"file": files, "label": factorize(df[LABELS_COLUMN].iloc[rows])[0]})
    n_labels = pairs.drop_duplicates()["file"].value_counts()
    wrong = np.zeros(len(df), dtype=bool)
    wrong[rows[pairs["file"].map(n_labels).to_numpy() > 1]] = True
    text, cure = "files with the same content have different labels.", "Decide on one label, or draw boxes."
    yield from describe(df, "label_conflict", [PATHS_COLUMN, LABELS_COLUMN], wrong, text, cure, is_error=False)
