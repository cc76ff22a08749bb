"""From a table with both splits to the datasets for training and validation, for every modality."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oml.const import LABELS_COLUMN, SPLIT_COLUMN
from oml.errors import InvalidInputError, unknown_name_message
from oml.utils.labels import LabelMapping, find_label_names, has_several_labels

if TYPE_CHECKING:
    import pandas as pd

# Modality -> the module of its datasets and the beginning of their names.
MODALITIES = {
    "images": ("oml.datasets.images", "Image"),
    "texts": ("oml.datasets.texts", "Text"),
    "audios": ("oml.datasets.audios", "Audio"),
}


def get_retrieval_datasets(
    modality: str,
    table: Any,
    dataset_root: Path | str | None = None,
    train: Mapping[str, Any] | None = None,
    val: Mapping[str, Any] | None = None,
    verbose: bool = True,
    allow_outside_root: bool = False,
    **both: Any,
) -> tuple[Any, Any]:
    """
    Read a table in the documented format, check it, and give the datasets for training and validation.

    Labels of the train split become 0, 1, ... in the order in which they appear, as classification losses need. Integer
    labels of the validation split stay as they are; labels of any other kind, and lists of several, are numbered over
    both splits, the train split first. `dataset.label_mapping` tells the way back. A split that the table does not have
    gives an empty dataset.

    Args:
        modality: "images", "texts" or "audios".
        table: A frame, the path of a csv or parquet file, or a `datasets.Dataset`, as `read_table` takes them.
        dataset_root: The folder that relative paths start at.
        train: Arguments of the dataset for training, e.g. `{"transform": ...}`.
        val: Arguments of the dataset for validation.
        verbose: Whether to warn about what is allowed but suspect.
        allow_outside_root: Whether paths may lead out of `dataset_root`, where one is given. Off by default, since a
            table may come from somebody else.
        **both: Arguments of both datasets, e.g. `tokenizer`.

    Returns:
        An `ImageLabeledDataset` and an `ImageQueryGalleryLabeledDataset`, or those of the other modality.

    Raises:
        FileNotFoundError: there is no such table.
        InvalidInputError: the table breaks a rule of the format, or the modality is unknown.
        TypeError: the datasets do not take one of the arguments.

    """
    from oml.utils.dataframe_format import TRAIN, VALIDATION
    from oml.utils.tables import read_table

    if modality not in MODALITIES:
        raise InvalidInputError(unknown_name_message("modality", modality, list(MODALITIES)))
    module, prefix = MODALITIES[modality]
    datasets = import_module(module)
    df = read_table(table)
    _check(df, dataset_root, allow_outside_root, verbose)
    df_train, df_val = (_take_split(df, split) for split in (TRAIN, VALIDATION))
    for_train, for_val = make_label_mappings(df_train, df_val)
    if for_val is None:  # the table of the dataset shows the labels of its items, as long as they are integers
        df_train = df_train.assign(**{LABELS_COLUMN: for_train.encode(df_train[LABELS_COLUMN])})
    else:
        both = {"label_mapping": for_val, **both}
    if modality != "texts":
        both = {"dataset_root": dataset_root, **both}
    dataset_train = getattr(datasets, f"{prefix}LabeledDataset")(df_train, **{**both, **(train or {})})
    dataset_val = getattr(datasets, f"{prefix}QueryGalleryLabeledDataset")(df_val, **{**both, **(val or {})})
    dataset_train.label_mapping = for_train
    return dataset_train, dataset_val


def _take_split(df: pd.DataFrame, split: str) -> pd.DataFrame:
    return df[(df[SPLIT_COLUMN] == split).to_numpy(dtype=bool, na_value=False)].reset_index(drop=True)


def make_label_mappings(df_train: pd.DataFrame, df_val: pd.DataFrame) -> tuple[LabelMapping, LabelMapping | None]:
    """
    Give the mappings of labels for training and for validation; None means that integers stay as they are.

    Example:
        >>> import pandas as pd
        >>> train, val = make_label_mappings(pd.DataFrame({"label": [7, 5]}), pd.DataFrame({"label": [9]}))
        >>> train.names, val
        ([7, 5], None)
        >>> train, val = make_label_mappings(pd.DataFrame({"label": ["b", "a"]}), pd.DataFrame({"label": ["c", "a"]}))
        >>> train.names, train is val
        (['b', 'a', 'c'], True)

    """
    from pandas.api.types import is_integer_dtype

    columns = [df[LABELS_COLUMN] for df in (df_train, df_val)]
    names = find_label_names(columns[0])
    if not any(has_several_labels(column) for column in columns) and is_integer_dtype(columns[1].dtype):
        return LabelMapping(names), None
    known = dict.fromkeys(names)
    mapping = LabelMapping([*names, *(name for name in find_label_names(columns[1]) if name not in known)])
    return mapping, mapping


def _check(df: pd.DataFrame, root: Path | str | None, allow_outside_root: bool, verbose: bool) -> None:
    from warnings import warn

    from oml.utils.dataframe_format import find_format_violations

    allow_outside_root = allow_outside_root or root is None
    for violation in find_format_violations(df, root, any_labels=True, allow_outside_root=allow_outside_root):
        if violation.is_error:
            raise InvalidInputError(f"{violation.message} `oml check` lists all that is wrong in a table.")
        if verbose:
            warn(violation.message, UserWarning, stacklevel=4)
