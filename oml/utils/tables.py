"""Tables from wherever they are: files, frames, data sets of Hugging Face."""

from pathlib import Path
from typing import Any

import pandas as pd

from oml.errors import InvalidInputError

TTable = Any  # a DataFrame, the path of a file, or an object with `to_pandas`
PARQUET_EXTENSIONS = (".parquet", ".pq")


def read_table(df: TTable, sep: str = ",") -> pd.DataFrame:
    """
    Give a table as a frame: columns are arrays, texts lie in Arrow's memory where pyarrow is installed.

    Args:
        df: A frame, which is given back as it is; the path of a parquet file (by its extension) or of a csv file
            (any other one, compressed or not); or a `datasets.Dataset`, a table of pyarrow or a frame of polars: what
            has a method `to_pandas`.
        sep: The separator of a csv file.

    Raises:
        TypeError: it is none of them.
        FileNotFoundError: there is no such file.
        InvalidInputError: the file is no such table.
        ImportError: it is a parquet file and pyarrow is not installed.

    Example:
        >>> import pyarrow
        >>> read_table(pyarrow.table({"label": [0, 1], "text": ["a chair", "a table"]})).shape
        (2, 2)

    """
    if isinstance(df, pd.DataFrame):
        return df
    if isinstance(df, str | Path):
        return _read_file(df, sep)
    if isinstance(df, type) or not callable(getattr(df, "to_pandas", None)):
        raise TypeError(
            "df must be a DataFrame, the path of a csv or parquet file, or a `datasets.Dataset`, got "
            f"{type(df).__name__}."
        )
    frame = df.to_pandas()
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"`to_pandas()` of {type(df).__name__} must give a DataFrame, got {type(frame).__name__}.")
    return frame


def _read_file(path: str | Path, sep: str) -> pd.DataFrame:
    is_parquet = str(path).lower().endswith(PARQUET_EXTENSIONS)
    try:
        return _read_parquet(path) if is_parquet else _read_csv(path, sep)
    except ValueError as error:  # of any library that reads it
        kind = "parquet" if is_parquet else f"csv, in UTF-8 and with {sep!r} between columns"
        raise InvalidInputError(f"{path} cannot be read as a table ({kind}): {str(error).strip()}") from error


def _read_csv(path: str | Path, sep: str) -> pd.DataFrame:
    df = pd.read_csv(path, sep=sep)
    names = pd.read_csv(path, sep=sep, header=None, nrows=1, dtype=str).iloc[0]
    repeated = set(names[names.duplicated()].dropna())
    if repeated:  # pandas numbers them, and `label.1` may also be a name that somebody chose
        pairs = zip(names.iloc[-len(df.columns) :], df.columns, strict=True)
        df.columns = pd.Index([name if name in repeated else column for name, column in pairs])
    return df


def _read_parquet(path: str | Path) -> pd.DataFrame:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Reading {path} needs pyarrow: pip install open-metric-learning[data]. Or write the table as csv."
        ) from error
    return pd.read_parquet(path)
