"""What all converters do: look for the files, compare the numbers with the published ones, check the result."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from warnings import warn

import pandas as pd

from oml.const import IS_GALLERY_COLUMN, IS_QUERY_COLUMN, LABELS_COLUMN, SPLIT_COLUMN
from oml.errors import InvalidInputError, check, show_some, unknown_name_message
from oml.utils.dataframe_format import TRAIN, VALIDATION, check_retrieval_dataframe_format

OFFICIAL, UNSEEN = "official", "unseen"


class Counts(NamedTuple):
    """Rows and labels of a published data set: of training, of validation, and of all."""

    train: tuple[int, int]
    validation: tuple[int, int]
    labels: int


def find_files(root: Path | str, names: Sequence[str], folders: Sequence[str] = ("",)) -> list[Path]:
    """
    Give the paths of files in the folder, or in one of its sub-folders.

    Raises:
        InvalidInputError: files are missing; all of them are named.

    """
    found = [next((p for p in (Path(root, f, name) for f in folders) if p.is_file()), None) for name in names]
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    check(
        not missing,
        f"The folder {root} lacks {show_some(missing)}. Unpack the data set there as it is published; it needs "
        f"{', '.join(names)} and the pictures.",
    )
    return [path for path in found if path is not None]


def check_counts(df: pd.DataFrame, expected: Counts, name: str, is_complete: bool) -> None:
    """
    Compare the numbers of rows and labels with those of the whole data set.

    Raises:
        InvalidInputError: they differ, and the data set must be complete; else it is a warning.

    """
    train, validation = (df[LABELS_COLUMN][df[SPLIT_COLUMN] == split] for split in (TRAIN, VALIDATION))
    found = Counts(
        (len(train), train.nunique()), (len(validation), validation.nunique()), labels=df[LABELS_COLUMN].nunique()
    )
    if found == expected:
        return
    text = (
        f"The data set {name} has {_show(expected)}, but here are {_show(found)}. Metrics on it cannot be compared "
        "with published ones."
    )
    if is_complete:
        raise InvalidInputError(
            f"{text} Unpack it anew, or take it as it is by `is_complete=False` (--allow-incomplete)."
        )
    warn(text, UserWarning, stacklevel=3)


def split_by_label(df: pd.DataFrame, is_test: pd.Series, protocol: str, n_train_labels: int) -> pd.DataFrame:
    """
    Add the columns of the format for a data set whose official split shares its labels between training and test.

    Args:
        df: With a column `label`, whose labels begin with 1.
        is_test: The official split of the rows.
        protocol: "official", or "unseen": the first labels for training, all others for validation.
        n_train_labels: How many the first ones are.

    Raises:
        InvalidInputError: another protocol.

    """
    if protocol not in (OFFICIAL, UNSEEN):
        raise InvalidInputError(unknown_name_message("protocol", protocol, [OFFICIAL, UNSEEN]))
    return mark_all(df, is_test if protocol == OFFICIAL else df[LABELS_COLUMN] > n_train_labels)


def mark_all(df: pd.DataFrame, is_validation: pd.Series) -> pd.DataFrame:
    """Add the columns of the format: all rows of validation are queries and galleries."""
    flags = is_validation.astype(object).where(is_validation, None)
    split = is_validation.map({True: VALIDATION, False: TRAIN})
    return df.assign(**{SPLIT_COLUMN: split, IS_QUERY_COLUMN: flags, IS_GALLERY_COLUMN: flags})


def finish(df: pd.DataFrame, root: Path | str, name: str, expected: Counts, is_complete: bool) -> pd.DataFrame:
    """
    Check the numbers and the format, and give the table with an index from 0.

    Raises:
        InvalidInputError: the numbers are not the published ones, or a file is missing.

    """
    check_counts(df, expected, name, is_complete)
    check_retrieval_dataframe_format(df, Path(root))
    return df.reset_index(drop=True)


def _show(counts: Counts) -> str:
    return (
        f"{counts.train[0]} rows of {counts.train[1]} labels for training and {counts.validation[0]} of "
        f"{counts.validation[1]} for validation, {counts.labels} labels in all"
    )
