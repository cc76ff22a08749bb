"""Everything that can be wrong with a data set, found at once."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oml.const import BBOXES_COLUMNS, LABELS_COLUMN, PATHS_COLUMN, SPLIT_COLUMN, TEXTS_COLUMN
from oml.utils.checks.content import find_content_trouble
from oml.utils.checks.duplicates import find_equal, find_similar, number_rows
from oml.utils.checks.files import RECORD, inspect_files
from oml.utils.checks.neighbours import find_close, find_label_suspects, read_embeddings
from oml.utils.checks.report import DatasetReport
from oml.utils.dataframe_format import TRAIN, VALIDATION, empty_nested_cells, find_format_violations
from oml.utils.format_items import describe_missing_files
from oml.utils.format_violations import FormatViolation, describe, describe_columns
from oml.utils.labels import factorize, find_no_labels, has_several_labels
from oml.utils.tables import TTable, read_table

LONG_TAIL = 20  # times that the most frequent label of a split may be as frequent as the middle one


def check_dataset(
    table: TTable,
    dataset_root: Path | str | None = None,
    embeddings: Any = None,
    allow_outside_root: bool = False,
    check_files: bool = True,
    n_workers: int | None = None,
    verbose: bool = True,
    sep: str = ",",
) -> DatasetReport:
    """
    Find everything that is wrong or suspect in a data set: all broken rules at once, each with all its rows.

    Errors: the rules of the format (`oml.utils.dataframe_format`), paths that lead out of the folder, missing and
    broken files, boxes outside of their pictures, sounds that end before their start time. Suspect: files whose
    extension is not that of their content (an error for sounds, which their datasets refuse then), boxes that are cut
    off, labels with several categories or a single item, a long tail of rare labels, equal files with different labels,
    items that are the same or look nearly the same in training and in validation. From embeddings: items of both splits
    that nearly coincide (cosine of at least 0.98), and labels that none of the nearest neighbours has while these agree
    on another one.

    Args:
        table: A frame, the path of a csv or parquet file, or a `datasets.Dataset`.
        dataset_root: The folder that the paths are relative to; by default that of the table's file.
        embeddings: (N, D), one for each row of the table, from any model.
        allow_outside_root: Whether paths may lead out of the folder.
        check_files: Whether to look into the files.
        n_workers: Processes that read files; all cores by default.
        verbose: Whether to show progress bars.
        sep: The separator of a csv file.

    Raises:
        TypeError: it is no table.
        FileNotFoundError: there is no such table.
        InvalidInputError: the embeddings do not belong to the table.

    Example:
        >>> df = pd.DataFrame({"label": [0, 0], "split": ["train", "tain"], "text": ["a chair", ""]})
        >>> report = check_dataset(df.assign(is_query=None, is_gallery=None))
        >>> [(finding.rule, finding.rows.tolist()) for finding in report.errors]
        [('split', [1]), ('text', [1])]

    """
    df, nested = empty_nested_cells(read_table(table, sep))
    root = Path(table).parent if dataset_root is None and isinstance(table, str | Path) else dataset_root
    folder = "" if root is None else os.fspath(root)
    vectors = None if embeddings is None else read_embeddings(embeddings, len(df))
    codes, paths = np.zeros(0, dtype=np.int64), []
    has_files = check_files and PATHS_COLUMN in df.columns and df.columns.is_unique
    if has_files:
        codes, names = pd.factorize(df[PATHS_COLUMN])
        paths = names.tolist()
    with inspect_files(paths, folder, n_workers, verbose) as wait:  # meanwhile, what needs no files
        options = {"any_labels": True, "allow_outside_root": allow_outside_root or root is None, "check_files": False}
        findings = [*nested, *find_format_violations(df, root, **options)]
        report = DatasetReport(len(df), summarise(df), findings)
        facts = wait()
    if not df.columns.is_unique:
        return report
    records = np.append(facts.records, np.zeros(1, dtype=RECORD))[codes] if has_files else None  # the last: no path
    if records is not None:
        findings += describe_missing_files(df, ~records["is_there"], folder)
        findings += find_content_trouble(df, records, facts.errors.values())
    if LABELS_COLUMN in df.columns and SPLIT_COLUMN in df.columns:
        findings += find_label_trouble(df)
        findings += find_leaks(df, records, vectors)
        findings += find_suspects(df, vectors)
    return report


def summarise(df: pd.DataFrame) -> dict[str, Any]:
    """Give the numbers of items and labels of each split."""
    if SPLIT_COLUMN not in df.columns or LABELS_COLUMN not in df.columns or not df.columns.is_unique:
        return {}
    summary: dict[str, Any] = {}
    for split in (TRAIN, VALIDATION):
        labels = df[LABELS_COLUMN][(df[SPLIT_COLUMN] == split).to_numpy(dtype=bool, na_value=False)]
        if len(labels):
            counts = _count_labels(labels)
            summary[split] = (
                f"{len(labels)} items of {len(counts)} labels, {counts.min()} to {counts.max()} each, "
                f"{np.median(counts):g} in the middle"
            )
    return summary


def find_label_trouble(df: pd.DataFrame) -> Iterator[FormatViolation]:
    """Find labels with a single item, and splits whose labels have very different numbers of items."""
    for split in (TRAIN, VALIDATION):
        is_split = (df[SPLIT_COLUMN] == split).to_numpy(dtype=bool, na_value=False) & ~find_no_labels(df[LABELS_COLUMN])
        labels = df[LABELS_COLUMN][is_split]
        if not len(labels) or has_several_labels(labels):
            continue
        codes = factorize(labels)[0]
        counts = np.bincount(codes)
        is_single = np.zeros(len(df), dtype=bool)
        is_single[np.flatnonzero(is_split)[counts[codes] == 1]] = True
        text = f"a label of the {split} split has this item only."
        cure = "Samplers of pairs cannot use it, and no query finds it: add items or drop the label."
        yield from describe(df, "singleton", [LABELS_COLUMN], is_single, text, cure, is_error=False)
        middle = np.median(counts)
        if counts.max() > LONG_TAIL * middle:
            text = (
                f"the {split} split has a long tail: the most frequent label has {counts.max()} items, the middle one "
                f"{middle:g}. Balance batches by labels (`BalanceSampler`), and look at metrics by label."
            )
            yield describe_columns("long_tail", [LABELS_COLUMN], text, is_error=False)


def find_leaks(df: pd.DataFrame, records: np.ndarray | None, vectors: Any) -> Iterator[FormatViolation]:
    """Find validation items that are also, or nearly, in the train split; and equal items with different labels."""
    splits = df[SPLIT_COLUMN].to_numpy(dtype=object)
    train, val = np.flatnonzero(splits == TRAIN), np.flatnonzero(splits == VALIDATION)
    boxes = df[BBOXES_COLUMNS] if set(BBOXES_COLUMNS) <= set(df.columns) else None
    found = np.full(len(df), -1, dtype=np.int64)

    def take(
        answers: np.ndarray, own: np.ndarray, others: np.ndarray, rule: str, text: str
    ) -> Iterator[FormatViolation]:
        rows = own[(answers >= 0) & (found[own] < 0)]
        found[rows] = others[answers[(answers >= 0) & (found[own] < 0)]]
        pairs = ", ".join(f"{row} and {found[row]}" for row in rows[:5])
        is_found = np.zeros(len(df), dtype=bool)
        is_found[rows] = True
        cure = f"The first pairs: {pairs}. Metrics count what was learnt by heart: keep such items in one split."
        column = next(name for name in (PATHS_COLUMN, TEXTS_COLUMN, LABELS_COLUMN) if name in df.columns)
        yield from describe(df, rule, [column], is_found, text, cure, is_error=False)

    if records is not None:
        own, others = val[records["is_read"][val]], train[records["is_read"][train]]
        content, looks = records["content"], records["looks"]
        same = content if boxes is None else np.column_stack([content, number_rows(boxes).astype(np.uint64)])
        text = "the same file is in the train split."
        yield from take(find_equal(same[own], same[others]), own, others, "duplicate", text)
        if boxes is None:
            text = "a picture that looks nearly the same is in the train split."
            yield from take(find_similar(looks[own], looks[others]), own, others, "near_duplicate", text)
    elif TEXTS_COLUMN in df.columns:
        texts = pd.factorize(df[TEXTS_COLUMN])[0]
        own, others = val[texts[val] >= 0], train[texts[train] >= 0]
        text = "the same text is in the train split."
        yield from take(find_equal(texts[own], texts[others]), own, others, "duplicate", text)
    if vectors is not None:
        text = "an item whose embedding nearly coincides is in the train split."
        yield from take(find_close(vectors[val], vectors[train]), val, train, "near_duplicate", text)


def find_suspects(df: pd.DataFrame, vectors: Any) -> Iterator[FormatViolation]:
    """Find labels that the neighbours of an item do not share."""
    labels = df[LABELS_COLUMN]
    if vectors is None or has_several_labels(labels) or find_no_labels(labels).any():
        return
    codes, names = factorize(labels)
    rows, theirs = find_label_suspects(vectors, codes)
    is_suspect = np.zeros(len(df), dtype=bool)
    is_suspect[rows] = True
    shown = ", ".join(f"{row} may be {names[label]!r}" for row, label in zip(rows[:5], theirs[:5], strict=True))
    text = "none of the nearest neighbours has this label, and they agree on another one."
    cure = f"Look at them: {shown}."
    yield from describe(df, "label_suspect", [LABELS_COLUMN], is_suspect, text, cure, is_error=False)


def _count_labels(labels: pd.Series) -> np.ndarray:
    labels = labels[~find_no_labels(labels)]
    if has_several_labels(labels):
        labels = labels.map(list).explode().dropna()
    codes = factorize(labels)[0]
    return np.bincount(codes) if len(codes) else np.zeros(1, dtype=np.int64)
