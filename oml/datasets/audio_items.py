"""Sounds as items of a dataset: read, cut to length, drawn, played."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from oml.const import (
    AUDIO_EXTENSIONS,
    BLACK,
    DEFAULT_CONVERT_TO_MONO,
    DEFAULT_SAMPLE_RATE,
    INDEX_KEY,
    INPUT_TENSORS_KEY,
    MAX_AUDIO_LEN,
    TColor,
)
from oml.datasets.items import add_extra_data, check_extra_data, check_position
from oml.datasets.strings import PackedStrings
from oml.datasets.table import check_start_times
from oml.errors import InvalidInputError, check, show_some
from oml.interfaces.datasets import IBaseDataset, IHTMLVisualizableDataset, IVisualizableDataset
from oml.utils.audio_files import find_window, import_audio_libraries, read_audio
from oml.utils.audios import default_spec_repr_func, visualize_audio, visualize_audio_with_player

if TYPE_CHECKING:
    import pandas as pd

TPath = Path | str
TExtraData = Mapping[str, Any]  # sequences of any type: lists, arrays, tensors, pandas Series
TSpecReprFunc = Callable[[Tensor], Tensor]


class AudioBaseDataset(IBaseDataset, IVisualizableDataset, IHTMLVisualizableDataset):
    """
    Sounds by their paths, without labels: all that inference needs.

    Items are `{input_tensors_key: samples (C, frames), float32 in -1..1, index_key: position, **extra_data}`. A sound
    that is longer than `max_num_seconds` is cut: the window begins at its start time. A shorter one is padded with
    zeros on the left, and its start time does not matter. Only the window is decoded.

    Args:
        paths: Paths of wav, flac, mp3 or ogg files: a list, an array, a pandas Series with any index.
        dataset_root: The folder that relative paths start at.
        extra_data: Values to put into the items: sequences of the dataset's length.
        input_tensors_key: The key of the samples in items.
        index_key: The key of the position in items.
        sample_rate: In hertz; files of other rates are resampled.
        max_num_seconds: The length of all items. None keeps each sound whole, whatever its start time: lengths differ
            then, and a loader needs a `collate_fn` of its own.
        convert_to_mono: Whether to average the channels.
        start_times: For each item where its window begins, in seconds; NaN is 0.
        spec_repr_func: Gives the spectrogram (frequencies, frames) of samples (C, frames), for pictures.

    Raises:
        InvalidInputError: lengths do not agree, an argument is out of its range, a file has an unknown extension, or a
            key is taken.
        TypeError: a path is neither a string nor path-like.
        ImportError: `soundfile` or `soxr` is not installed.

    """

    def __init__(
        self,
        paths: Sequence[TPath] | np.ndarray | pd.Series,
        dataset_root: TPath | None = None,
        extra_data: TExtraData | None = None,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
        sample_rate: int = DEFAULT_SAMPLE_RATE,
        max_num_seconds: float | None = MAX_AUDIO_LEN,
        convert_to_mono: bool = DEFAULT_CONVERT_TO_MONO,
        start_times: Sequence[float] | np.ndarray | None = None,
        spec_repr_func: TSpecReprFunc = default_spec_repr_func,
    ):
        import_audio_libraries()
        check(input_tensors_key != index_key, f"`input_tensors_key` and `index_key` are both {index_key!r}.")
        if start_times is not None:
            check(
                len(start_times) == len(paths), f"There are {len(paths)} `paths`, but {len(start_times)} `start_times`."
            )
        _check_options(sample_rate, max_num_seconds, convert_to_mono)
        self._paths = PackedStrings(paths, name="paths")
        _check_extensions(self._paths)
        self._start_times = None if start_times is None else check_start_times(start_times)
        self._root = os.fspath(dataset_root) if dataset_root is not None else ""
        self.sample_rate = int(sample_rate)
        self.max_num_seconds = max_num_seconds
        self.num_frames = None if max_num_seconds is None else int(max_num_seconds * sample_rate)
        self.convert_to_mono = convert_to_mono
        self.spec_repr_func = spec_repr_func
        self.input_tensors_key = input_tensors_key
        self.index_key = index_key
        self.extra_data = check_extra_data(extra_data, len(paths), [input_tensors_key, index_key])

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """
        Read a sound.

        Raises:
            IndexError: there is no such item.
            FileNotFoundError: there is no such file; this and the other messages name the item and its path.
            OSError: the file is no audio, is damaged, or has the extension of another format.
            InvalidInputError: the sound ends before its start time.

        """
        position = check_position(item, len(self))
        values = {self.input_tensors_key: self.get_audio(position), self.index_key: position}
        add_extra_data(values, position, self.extra_data)
        return values

    def get_path(self, item: int) -> Path:
        """Give the path of the item's file, `dataset_root` included."""
        return Path(os.path.join(self._root, self._paths[item]))

    def get_audio(self, item: int) -> Tensor:
        """Give the samples of an item, (C, frames), float32; with the errors of `__getitem__`."""
        position = check_position(item, len(self))
        path = os.path.join(self._root, self._paths[position])
        offset = self._get_frame_offset(position)
        try:
            audio = read_audio(path, self.sample_rate, self.convert_to_mono, offset, self.num_frames)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"Item {position}: there is no file {path}. Check `dataset_root` and the paths."
            ) from error
        except OSError as error:
            raise OSError(
                f"Item {position}: the file {path} cannot be read as audio: {error}. Replace it or drop its row."
            ) from error
        except ValueError as error:
            raise InvalidInputError(
                f"Item {position}, {path}: {error} The `start_time` of its row must lie inside of the sound; both "
                f"numbers count frames at {self.sample_rate} Hz."
            ) from error
        return audio if self.num_frames is None else self._trim_or_pad(audio, 0, self.num_frames)

    def visualize(self, item: int, color: TColor = BLACK) -> np.ndarray:
        """Draw the spectrogram of the item as a picture (H, W, 3), uint8, in a frame."""
        return visualize_audio(self.spec_repr_func(self.get_audio(item)), color)

    def visualize_as_html(self, item: int, title: str, color: TColor = BLACK) -> str:
        """Give a block of HTML: the title, the spectrogram in a frame and a player; it needs no other files."""
        audio = self.get_audio(item)
        return visualize_audio_with_player(audio, self.spec_repr_func(audio), self.sample_rate, title, color)

    def _get_frame_offset(self, position: int) -> int:
        if self._start_times is None or self.num_frames is None:
            return 0
        return int(self._start_times[position] * self.sample_rate)

    @staticmethod
    def _trim_or_pad(audio: Tensor, frame_offset: int, num_frames: int) -> Tensor:
        """
        Give `num_frames` frames of samples (C, frames): the window at the offset, with zeros before it if it is short.

        Raises:
            InvalidInputError: the offset lies behind the end.

        """
        start, stop = find_window(audio.shape[-1], frame_offset, num_frames)
        return pad(audio[..., start:stop], (num_frames - (stop - start), 0))


def _check_options(sample_rate: Any, max_num_seconds: Any, convert_to_mono: Any) -> None:
    check(
        isinstance(sample_rate, int | np.integer) and int(sample_rate) > 0,
        f"`sample_rate` must be a positive whole number of hertz, got {sample_rate!r}. For instance: 16000.",
    )
    check(isinstance(convert_to_mono, bool), f"`convert_to_mono` must be True or False, got {convert_to_mono!r}.")
    if max_num_seconds is None:
        warnings.warn(
            "`max_num_seconds` is None: sounds are neither cut nor padded and start times do not count. Items of "
            "different lengths make no batch by themselves: give the loader a `collate_fn`.",
            stacklevel=4,
        )
        return
    check(
        0 < max_num_seconds < float("inf") and int(max_num_seconds * sample_rate) > 0,
        f"`max_num_seconds` must be positive (and long enough for one frame), got {max_num_seconds!r}.",
    )


def _check_extensions(paths: PackedStrings) -> None:
    is_known = np.zeros(len(paths), dtype=bool)
    for extension in AUDIO_EXTENSIONS:
        is_known |= paths.find_endings(extension)
    rows = np.flatnonzero(~is_known)
    check(
        len(rows) == 0,
        f"Audio files must end in {', '.join(AUDIO_EXTENSIONS)}, {len(rows)} paths do not: "
        f"{show_some(f'{paths[row]!r} in row {row}' for row in rows[:100])}. Convert them, or leave them out.",
    )
