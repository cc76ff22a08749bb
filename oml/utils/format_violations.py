"""A rule of the format that a table breaks, with all its rows, and what the rules have to know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from oml.errors import MAX_SHOWN


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


class FormatOptions(NamedTuple):
    """
    What the rules depend on besides the table.

    Attributes:
        root: The folder that the paths are relative to.
        any_labels: Whether labels may be of any kind, several per item too, instead of integers only.
        allow_outside_root: Whether paths may lead out of the folder.
        check_files: Whether the files must be there.

    """

    root: Path
    any_labels: bool = False
    allow_outside_root: bool = True
    check_files: bool = True


def describe(
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
        f"{name_columns(columns)}: {text} Wrong in {len(rows)} of {len(df)} rows, at the positions (values): "
        f"{', '.join(shown)}{more}. {cure}"
    )
    yield FormatViolation(rule, tuple(columns), rows, message, is_error)


def describe_columns(rule: str, columns: Sequence[str], text: str, is_error: bool = True) -> FormatViolation:
    """Give a violation that is not in single rows."""
    nowhere = np.empty(0, dtype=np.int64)
    return FormatViolation(rule, tuple(columns), nowhere, f"{name_columns(columns)}: {text}", is_error)


def name_columns(columns: Sequence[str]) -> str:
    """
    Give the names of columns as the beginning of a message.

    Example:
        >>> name_columns(["x_1", "x_2"])
        "Columns 'x_1', 'x_2'"

    """
    return f"Column{'s' if len(columns) > 1 else ''} {', '.join(map(repr, columns))}"
