"""Tables of sounds, in the documented format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oml.const import (
    DEFAULT_CONVERT_TO_MONO,
    DEFAULT_SAMPLE_RATE,
    INDEX_KEY,
    INPUT_TENSORS_KEY,
    LABELS_KEY,
    MAX_AUDIO_LEN,
    PATHS_COLUMN,
)
from oml.datasets.audio_items import AudioBaseDataset, TExtraData, TPath, TSpecReprFunc
from oml.datasets.dataframe import DFLabeledDataset, DFQueryGalleryDataset, DFQueryGalleryLabeledDataset, DrawnTable
from oml.datasets.table import check_columns, read_start_times
from oml.utils.audios import default_spec_repr_func
from oml.utils.labels import LabelMapping

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AudioBaseDataset",
    "AudioLabeledDataset",
    "AudioQueryGalleryDataset",
    "AudioQueryGalleryLabeledDataset",
    "parse_start_times",
]


class AudioLabeledDataset(DrawnTable, DFLabeledDataset):
    """
    Sounds with labels, for training.

    Args:
        df: A table with the columns `path` and `label`; `start_time`, `category`, `sequence` if any.
        dataset_root: The folder that relative paths start at.
        extra_data: As for `AudioBaseDataset`, and so are the other arguments.
        input_tensors_key: The key of the samples in items.
        index_key: The key of the position in items.
        labels_key: The key of the label in items, which is np.int64.
        sample_rate: In hertz; files of other rates are resampled.
        max_num_seconds: The length of all items; None keeps each sound whole.
        convert_to_mono: Whether to average the channels.
        spec_repr_func: Gives the spectrogram of samples, for pictures.
        label_mapping: As for `DFLabeledDataset`.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `AudioBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        dataset_root: TPath | None = None,
        extra_data: TExtraData | None = None,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
        labels_key: str = LABELS_KEY,
        sample_rate: int = DEFAULT_SAMPLE_RATE,
        max_num_seconds: float | None = MAX_AUDIO_LEN,
        convert_to_mono: bool = DEFAULT_CONVERT_TO_MONO,
        spec_repr_func: TSpecReprFunc = default_spec_repr_func,
        label_mapping: LabelMapping | None = None,
    ):
        options = (input_tensors_key, index_key, sample_rate, max_num_seconds, convert_to_mono)
        audios = _read_audios(df, dataset_root, *options, spec_repr_func)
        super().__init__(audios, df, extra_data, labels_key, label_mapping)


class AudioQueryGalleryLabeledDataset(DrawnTable, DFQueryGalleryLabeledDataset):
    """
    Sounds with labels, queries and galleries, for validation.

    Args:
        df: A table with the columns `path`, `label`, `is_query` and `is_gallery`, and the optional ones.
        dataset_root: This and all other arguments are those of `AudioLabeledDataset`.
        extra_data: Values to put into the items.
        input_tensors_key: The key of the samples in items.
        index_key: The key of the position in items.
        labels_key: The key of the label in items.
        sample_rate: In hertz; files of other rates are resampled.
        max_num_seconds: The length of all items; None keeps each sound whole.
        convert_to_mono: Whether to average the channels.
        spec_repr_func: Gives the spectrogram of samples, for pictures.
        label_mapping: As for `DFLabeledDataset`.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `AudioBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        dataset_root: TPath | None = None,
        extra_data: TExtraData | None = None,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
        labels_key: str = LABELS_KEY,
        sample_rate: int = DEFAULT_SAMPLE_RATE,
        max_num_seconds: float | None = MAX_AUDIO_LEN,
        convert_to_mono: bool = DEFAULT_CONVERT_TO_MONO,
        spec_repr_func: TSpecReprFunc = default_spec_repr_func,
        label_mapping: LabelMapping | None = None,
    ):
        options = (input_tensors_key, index_key, sample_rate, max_num_seconds, convert_to_mono)
        audios = _read_audios(df, dataset_root, *options, spec_repr_func)
        super().__init__(audios, df, extra_data, labels_key, label_mapping)


class AudioQueryGalleryDataset(DrawnTable, DFQueryGalleryDataset):
    """
    Sounds that are queries or galleries, for prediction: no labels needed.

    Args:
        df: A table with the columns `path`, `is_query` and `is_gallery`, and the optional ones.
        dataset_root: This and all other arguments are those of `AudioLabeledDataset`.
        extra_data: Values to put into the items.
        input_tensors_key: The key of the samples in items.
        index_key: The key of the position in items.
        sample_rate: In hertz; files of other rates are resampled.
        max_num_seconds: The length of all items; None keeps each sound whole.
        convert_to_mono: Whether to average the channels.
        spec_repr_func: Gives the spectrogram of samples, for pictures.

    Raises:
        InvalidInputError: the table lacks a column or has wrong values; see also `AudioBaseDataset`.

    """

    def __init__(
        self,
        df: pd.DataFrame,
        dataset_root: TPath | None = None,
        extra_data: TExtraData | None = None,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
        sample_rate: int = DEFAULT_SAMPLE_RATE,
        max_num_seconds: float | None = MAX_AUDIO_LEN,
        convert_to_mono: bool = DEFAULT_CONVERT_TO_MONO,
        spec_repr_func: TSpecReprFunc = default_spec_repr_func,
    ):
        options = (input_tensors_key, index_key, sample_rate, max_num_seconds, convert_to_mono)
        super().__init__(_read_audios(df, dataset_root, *options, spec_repr_func), df, extra_data)


def parse_start_times(df: pd.DataFrame) -> list[float] | None:
    """
    Give the start time of each row in seconds, 0 for an empty cell; None if the table has no column `start_time`.

    The table stays as it is.

    Raises:
        InvalidInputError: the column is not of a float dtype, or a value is negative or infinite.

    Example:
        >>> import pandas as pd
        >>> parse_start_times(pd.DataFrame({"start_time": [1.5, None]}))
        [1.5, 0.0]

    """
    values = read_start_times(df)
    return None if values is None else values.tolist()


def _read_audios(
    df: pd.DataFrame,
    dataset_root: TPath | None,
    input_tensors_key: str,
    index_key: str,
    sample_rate: int,
    max_num_seconds: float | None,
    convert_to_mono: bool,
    spec_repr_func: TSpecReprFunc,
) -> AudioBaseDataset:
    check_columns(df, [PATHS_COLUMN])
    return AudioBaseDataset(
        paths=df[PATHS_COLUMN],
        dataset_root=dataset_root,
        input_tensors_key=input_tensors_key,
        index_key=index_key,
        sample_rate=sample_rate,
        max_num_seconds=max_num_seconds,
        convert_to_mono=convert_to_mono,
        start_times=read_start_times(df),
        spec_repr_func=spec_repr_func,
    )
